"""The page of a comparison: a verdict, scores side by side, and every image that is decided differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fancnn.compare.candidates import Candidate, CommonImages, Excluded
from fancnn.compare.conclusions import (
    ESCAPE_COLUMNS,
    conclusion_sentences,
    equal_note,
    escape_rows,
    interval_title,
    mcnemar_words,
    threshold_note,
)
from fancnn.compare.pairwise_comparisons import Flip, PairwiseComparison
from fancnn.metrics.score_registry import SCORES
from fancnn.pages import formatting as words
from fancnn.pages.gallery import Thumbnail, thumbnails
from fancnn.pages.page_template import rendered
from fancnn.pages.score_table import SPLIT_TITLES, score_rows

LISTED = 200  # flips of a pair in the page; flips.csv has all
SHOWN_FLIPS = 48  # of those with a thumbnail


@dataclass(frozen=True)
class ShownFlip:
    """A flip with its image, or without one where there are too many."""

    flip: Flip
    thumbnail: Thumbnail | None


@dataclass(frozen=True)
class Pair:
    """A comparison as the page shows it."""

    comparison: PairwiseComparison
    differences: list[tuple[str, str, str]]
    interval_title: str
    flips: list[ShownFlip]
    excluded: tuple[Excluded, ...]
    conclusion: list[str]
    mcnemar: str
    mistakes_differ: bool
    threshold_note: str
    equal_note: str
    escapes: list[list[str]]


def comparison_page(
    candidates: Sequence[Candidate],
    common: CommonImages,
    scores: Mapping[str, Mapping[str, Any]],
    comparisons: Sequence[PairwiseComparison],
    root: Path,
    looks: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the whole page; the same models and images give the same bytes.

    Args:
        candidates: The models, the one in use first.
        common: Their decisions on the same images.
        scores: By letter, as `metrics.json` has them.
        comparisons: The first with each of the others.
        root: Folder that the first candidate's paths are relative to.
        looks: By letter, how often these images were looked at, in words; those missing are not known.
    """
    recheck = any(item.thresholds.has_recheck for item in candidates)
    go = sum(row.label == 0 for row in common.rows[0])
    return rendered(
        Path(__file__).with_name("comparison.html.j2"),
        candidates=candidates,
        looks=looks,
        common=common,
        split=SPLIT_TITLES[common.split],
        sizes=(len(common.rows[0]), go, len(common.rows[0]) - go),
        letters=list(scores),
        escape_columns=ESCAPE_COLUMNS,
        scores=score_rows(scores, recheck=recheck),
        pairs=[_pair(item, candidates[0], root) for item in comparisons],
    )


def difference_rows(comparison: PairwiseComparison) -> list[tuple[str, str, str]]:
    """Return score, second less first, and where that may lie."""
    return [
        (
            SCORES[name].title,
            words.UNDEFINED if difference.value is None else f"{difference.value:+.4f}",
            _signed(difference.interval),
        )
        for name, difference in comparison.differences.items()
    ]


def _pair(comparison: PairwiseComparison, first: Candidate, root: Path) -> Pair:
    shown = comparison.flips[:LISTED]
    images = thumbnails((flip.first for flip in shown[:SHOWN_FLIPS]), root, first.thresholds, first.hashes)
    padded = [*images, *[None] * (len(shown) - len(images))]
    return Pair(
        comparison=comparison,
        differences=difference_rows(comparison),
        interval_title=interval_title(comparison),
        flips=[ShownFlip(*pair) for pair in zip(shown, padded, strict=True)],
        excluded=comparison.excluded[:LISTED],
        conclusion=conclusion_sentences(comparison),
        mcnemar=mcnemar_words(comparison),
        mistakes_differ=comparison.mistakes_differ,
        threshold_note=threshold_note(comparison),
        equal_note=equal_note(comparison),
        escapes=escape_rows(comparison),
    )


def _signed(interval: Any) -> str:
    return "" if interval is None else f"{interval.low:+.4f} to {interval.high:+.4f}"
