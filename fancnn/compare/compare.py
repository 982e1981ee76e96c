"""The story of `python -m fancnn.compare`: may the new model take the place of the old one?

`flips.csv`, version 1: a row for each image that two models decide differently: path, class, defect_type, group, part
(where there are several images of one, which then has the row; the path is of the first model's worst image), label,
first and second (letters), the probability and decision of both, and the change (one of
`fancnn.compare.pairwise_comparisons.FLIP_KINDS`).

`compare.json`, version 2:

| key | meaning |
| --- | --- |
| format, version | `fancnn-comparison`, 2 |
| split, images, go, ng | what is compared, each image once; with `data.part` parts, and `images` counts them |
| unit | `image`, `part` or `group`: what bounds, tests and differences count as independent |
| confidence | of bounds and differences, for all models together |
| new_escape_rate, new_overkill_rate | the margins; null where none was given |
| repeated | by letter, rows that repeat an image and do not count |
| contradicted | images with two labels, not compared |
| models | by letter: place, thresholds, trained_on (images compared that trained it), scores, looks and
`weights_sha256` (absent before) as in `metrics.json` |
| pairs | the first with each of the others, see below |
| notes | what makes the comparison less than it seems, in sentences |
| verdict, passes | the worst of all pairs, and whether that is `passes` |

A pair: `first`, `second`; `flips`, counts by kind; `new_escapes` and `new_overkills`, each with the fields of
`fancnn.metrics.replacement.NewMistakes` (`bound` is a share of parts, `units` how many groups or images hold them);
`mcnemar` (`p`, `adjusted` by Holm for all pairs, `unit`); `differences`, by score [value, low, high]; `rechecked`,
images that each sends to a person; `equal_overkill`: the second's thresholds that do to as many good parts what the
first does, overkills and new escapes there, null where no good part is common; `not_compared`: path, label and reason
of each part that the first decided and that is not compared; `verdict`, one of
`fancnn.metrics.replacement.VERDICTS`; `passes`; and `conclusion`, the sentences that people read.

Version 1 had `part` for split, `pictures` for images, `changes` for flips, `mcnemar` as a number (by image), bad parts
alone in `not_compared`, and for a verdict `no new escapes`, `new escapes`, `not all compared` or null, with
`no_new_escapes` beside it: it bounded nothing and did not judge overkills.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fancnn.compare.candidates import Candidate, CommonImages, common_images, letters, read_candidate
from fancnn.compare.comparison_page import comparison_page, difference_rows
from fancnn.compare.conclusions import (
    ESCAPE_COLUMNS,
    conclusion,
    equal_note,
    escape_rows,
    interval_title,
    mcnemar_words,
    overall,
    threshold_note,
)
from fancnn.compare.pairwise_comparisons import PairwiseComparison, pairwise_comparisons
from fancnn.compare.settings import CompareSettings
from fancnn.files.atomic_files import atomic_text
from fancnn.files.json_files import write_json
from fancnn.files.tables import table_writer
from fancnn.metrics.parts import images_of_parts
from fancnn.metrics.replacement import Verdict
from fancnn.pages.score_table import score_rows
from fancnn.plurals import plural
from fancnn.runs.metrics_file import split_metrics
from fancnn.runs.recorded_looks import record_look, weights_of
from fancnn.settings.groups import ALL
from fancnn.system.console import print_table, say

FORMAT, VERSION = "fancnn-comparison", 2
FLIPS_VERSION = 1
COLUMNS = (
    *("path", "class", "defect_type", "group", "part", "label", "first", "second"),
    *("first_probability", "second_probability", "first_decision", "second_decision", "change"),
)
OTHERS_LOOKED = (
    "More models than these were looked at on these images: bounds hold for a comparison that was planned, not for the "
    "best of several made one after the other. Name all candidates in one command, and they are corrected together."
)
PRINTED = 10  # parts that are not compared, on the terminal; compare.json has all


@dataclass(frozen=True)
class Compared:
    """What a comparison came to.

    Attributes:
        page: `compare.html`.
        candidates: The models, the first one in use.
        common: Their decisions on the same images.
        scores: Of each model on these, by letter.
        comparisons: The first with each of the others.
        looked: By letter, how often the images have been looked at, in words.
    """

    page: Path
    candidates: tuple[Candidate, ...]
    common: CommonImages
    scores: Mapping[str, Mapping[str, Any]]
    comparisons: tuple[PairwiseComparison, ...]
    looked: Mapping[str, str]

    @property
    def verdict(self) -> Verdict:
        """Return the worst of all verdicts."""
        return overall(self.comparisons)

    @property
    def passes(self) -> bool:
        """Return whether every other model may take the place of the first, as far as margins say."""
        return self.verdict == "passes"


def compare(settings: CompareSettings) -> Compared:
    """Compare the first model with each of the others; leave `compare.html`, `flips.csv` and `compare.json`.

    Raises:
        UserError: If one cannot be read, no images are common to all, or a margin is no share.
    """
    compared = compare_silently(settings)
    _print(compared)
    say(f"\ncompare.html, flips.csv and compare.json: {compared.page.parent}")
    return compared


def compare_silently(settings: CompareSettings) -> Compared:
    """Do what `compare` does, and print nothing."""
    settings.validate_paths()
    places = [Path(run).expanduser() for run in settings.runs]
    named = zip(places, letters(len(places)), strict=True)
    candidates = [read_candidate(place, letter, settings.threshold) for place, letter in named]
    common = common_images(candidates, settings.split)
    images = [images_of_parts(rows, item.images) for item, rows in zip(candidates, common.rows, strict=True)]
    scores = {item.letter: split_metrics(rows, item.thresholds) for item, rows in zip(candidates, images, strict=True)}
    comparisons = pairwise_comparisons(
        candidates,
        common,
        new_escape_rate=settings.new_escape_rate,
        new_overkill_rate=settings.new_overkill_rate,
        confidence=settings.confidence,
    )
    looks = {
        item.letter: record_look("compare", rows, weights_of(item.place)) if common.split in ("test", ALL) else None
        for item, rows in zip(candidates, images, strict=True)
    }
    looked = {letter: of.in_words() for letter, of in looks.items() if of is not None}
    if any(of is not None and of.number + of.later > len(candidates) for of in looks.values()):
        common = replace(common, notes=(*common.notes, OTHERS_LOOKED))
    root = Path(settings.root).expanduser() if settings.root else candidates[0].root or Path()
    output = Path(settings.output).expanduser()
    with atomic_text(output / "compare.html") as file:
        file.write(comparison_page(candidates, common, scores, comparisons, root, looked))
    _write_flips(output / "flips.csv", comparisons)
    plain = _to_dict(settings, candidates, common, scores, comparisons)
    for letter, model in plain["models"].items():
        model["looks"] = None if (of := looks[letter]) is None else of.to_dict()
    for item in candidates:
        plain["models"][item.letter]["weights_sha256"] = weights_of(item.place)
    write_json(output / "compare.json", plain)
    return Compared(
        page=output / "compare.html",
        candidates=tuple(candidates),
        common=common,
        scores=scores,
        comparisons=tuple(comparisons),
        looked=looked,
    )


def _write_flips(path: Path, comparisons: Sequence[PairwiseComparison]) -> None:
    with table_writer(path, COLUMNS, FLIPS_VERSION) as add:
        for comparison in comparisons:
            for flip in comparison.flips:
                row = flip.first
                add(
                    {
                        **{"path": row.path, "class": row.class_name, "defect_type": row.defect_type},
                        **{"group": row.group, "part": row.part, "label": row.label},
                        **{"first": comparison.first, "second": comparison.second},
                        **{"first_probability": row.probability, "second_probability": flip.second.probability},
                        **{"first_decision": flip.first_decision, "second_decision": flip.second_decision},
                        "change": flip.kind,
                    }
                )


def _to_dict(
    settings: CompareSettings,
    candidates: Sequence[Candidate],
    common: CommonImages,
    scores: Mapping[str, Mapping[str, Any]],
    comparisons: Sequence[PairwiseComparison],
) -> dict[str, Any]:
    ng = sum(row.label == 1 for row in common.rows[0])
    return {
        **{"format": FORMAT, "version": VERSION, "split": common.split},
        **{"images": len(common.rows[0]), "go": len(common.rows[0]) - ng, "ng": ng},
        **{"unit": common.unit, "confidence": settings.confidence},
        **{"new_escape_rate": settings.new_escape_rate, "new_overkill_rate": settings.new_overkill_rate},
        **{"repeated": dict(common.repeated), "contradicted": common.contradicted},
        "models": {
            item.letter: {
                "place": str(item.place.resolve()),
                "thresholds": [item.thresholds.lower, item.thresholds.upper],
                "trained_on": common.trained_on[item.letter],
                "scores": scores[item.letter],
            }
            for item in candidates
        },
        "pairs": [_pair_to_dict(item) for item in comparisons],
        "notes": list(common.notes),
        **_verdict_to_dict(overall(comparisons)),
    }


def _pair_to_dict(comparison: PairwiseComparison) -> dict[str, Any]:
    equal, p, adjusted = comparison.equal, comparison.mcnemar, comparison.mcnemar_adjusted
    return {
        **{"first": comparison.first, "second": comparison.second, "flips": dict(comparison.counts)},
        "new_escapes": asdict(comparison.new_escapes),
        "new_overkills": asdict(comparison.new_overkills),
        "mcnemar": {"p": p, "adjusted": adjusted, "unit": comparison.unit},
        "differences": {
            name: [difference.value, *(asdict(difference.interval).values() if difference.interval else (None, None))]
            for name, difference in comparison.differences.items()
        },
        "rechecked": list(comparison.rechecked),
        "equal_overkill": None
        if equal is None
        else {**asdict(equal), "thresholds": [equal.thresholds.lower, equal.thresholds.upper]},
        "not_compared": [
            {"path": item.row.path, "label": item.row.label, "reason": item.reason} for item in comparison.excluded
        ],
        **_verdict_to_dict(comparison.verdict),
        "conclusion": conclusion(comparison),
    }


def _verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    return {"verdict": verdict, "passes": verdict == "passes"}


def _print(compared: Compared) -> None:
    candidates, common = compared.candidates, compared.common
    for item in candidates:
        say(f"{item.letter}: {item.place} ({item.thresholds.in_words()})")
    recheck = any(item.thresholds.has_recheck for item in candidates)
    rows = [
        [name, *(f"{value} ({interval})" if interval else value for value, interval in cells)]
        for name, _, cells in score_rows(compared.scores, recheck=recheck, on_comparison_console=True)
    ]
    print_table(f"{plural(len(common.rows[0]), common.noun)} of {common.split}", ["", *compared.scores], rows)
    for comparison in compared.comparisons:
        differences = [list(row) for row in difference_rows(comparison)]
        less = f"{comparison.second} less {comparison.first} ({interval_title(comparison)})"
        print_table(less, ["", "difference", "between"], differences)
        counts = ", ".join(f"{kind} {number}" for kind, number in comparison.counts.items() if number) or "none"
        print_table(f"new escapes of {comparison.second}", ["", *ESCAPE_COLUMNS], escape_rows(comparison))
        say(f"decided differently: {counts}")
        say(mcnemar_words(comparison))
    for note in common.notes:
        say(f"warning: {note}")
    for comparison in compared.comparisons:
        _print_conclusion(comparison)
    for letter, sentence in compared.looked.items():
        say(f"{letter}: {sentence}")


def _print_conclusion(comparison: PairwiseComparison) -> None:
    """Print the verdict and what it depends on, and the first of the parts that are not compared."""
    for item in comparison.excluded[:PRINTED]:
        say(f"not compared: {item.row.path} ({item.reason})")
    if len(comparison.excluded) > PRINTED:
        say(f"not compared: {len(comparison.excluded) - PRINTED:,} more, in compare.html and compare.json")
    if note := threshold_note(comparison):
        say(f"warning: {note}")
    say(equal_note(comparison))
    say(conclusion(comparison))
