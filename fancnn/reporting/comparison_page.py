"""The page of a comparison: a verdict, scores side by side, and every picture that is decided differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fancnn.reporting import words
from fancnn.reporting.contenders import Common, Contender, LeftOut
from fancnn.reporting.duels import Change, Duel
from fancnn.reporting.gallery import Thumbnail, thumbnails
from fancnn.reporting.html import rendered
from fancnn.reporting.page import PART_NAMES, score_rows, score_title
from fancnn.reporting.verdicts import ESCAPE_COLUMNS, equal_note, escape_rows, threshold_note, verdict

LISTED = 200  # flips of a pair in the page; flips.csv has all
PICTURED = 48  # of those with a thumbnail


@dataclass(frozen=True)
class Flipped:
    """A change with its picture, or without one where there are too many."""

    change: Change
    thumbnail: Thumbnail | None


@dataclass(frozen=True)
class Pair:
    """A duel as the page shows it."""

    duel: Duel
    differences: list[tuple[str, str, str]]
    flipped: list[Flipped]
    left_out: tuple[LeftOut, ...]
    verdict: str
    threshold_note: str
    equal_note: str
    escapes: list[list[str]]


def comparison_page(
    contenders: Sequence[Contender],
    common: Common,
    parts: Mapping[str, Mapping[str, Any]],
    duels: Sequence[Duel],
    root: Path,
    looks: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The whole page; the same models and pictures give the same bytes.

    Args:
        contenders: The models, the one in use first.
        common: Their decisions on the same pictures.
        parts: Scores by letter, as `metrics.json` has them.
        duels: The first against each of the others.
        root: Folder that the first contender's paths are relative to.
        looks: By letter, how often these images were looked at, in words; those missing are not known.
    """
    recheck = any(item.thresholds.has_recheck for item in contenders)
    go = sum(row.label == 0 for row in common.rows[0])
    return rendered(
        "comparison.html.j2",
        contenders=contenders,
        looks=looks,
        common=common,
        part=PART_NAMES[common.part],
        sizes=(len(common.rows[0]), go, len(common.rows[0]) - go),
        letters=list(parts),
        escape_columns=ESCAPE_COLUMNS,
        scores=score_rows(parts, recheck=recheck),
        pairs=[_pair(duel, contenders[0], root) for duel in duels],
    )


def difference_rows(duel: Duel) -> list[tuple[str, str, str]]:
    """Score, second less first, and where that may lie."""
    return [
        (score_title(name), words.UNDEFINED if value is None else f"{value:+.4f}", _signed(interval))
        for name, (value, interval) in duel.differences.items()
    ]


def _pair(duel: Duel, first: Contender, root: Path) -> Pair:
    shown = duel.changes[:LISTED]
    pictures = thumbnails((change.first for change in shown[:PICTURED]), root, first.thresholds, first.hashes)
    padded = [*pictures, *[None] * (len(shown) - len(pictures))]
    return Pair(
        duel=duel,
        differences=difference_rows(duel),
        flipped=[Flipped(*pair) for pair in zip(shown, padded, strict=True)],
        left_out=duel.left_out[:LISTED],
        verdict=verdict(duel),
        threshold_note=threshold_note(duel),
        equal_note=equal_note(duel),
        escapes=escape_rows(duel),
    )


def _signed(interval: Any) -> str:
    return "" if interval is None else f"{interval.low:+.4f} to {interval.high:+.4f}"
