"""The report of one model: a page that needs no script, no network and no other file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fancnn.inspection.clusters import natural_groups
from fancnn.inspection.defect_types import naming
from fancnn.inspection.forecast import Outcomes, effective_parts, forecast
from fancnn.inspection.intervals import Interval
from fancnn.inspection.prior_shift import mix_in_words
from fancnn.inspection.scores import Confusion
from fancnn.inspection.uncertainty import rate_intervals
from fancnn.pictures import PARTS, Picture
from fancnn.plurals import plural
from fancnn.reporting import origins, words
from fancnn.reporting.breakdown import by_group, by_type
from fancnn.reporting.cautions import ENOUGH, cautions, independent_ng, ng_groups, proof, rests_on
from fancnn.reporting.figures import Figures
from fancnn.reporting.gallery import samples, shelves
from fancnn.reporting.html import rendered
from fancnn.reporting.material import ALL, Material

ALONE = {
    "decided_rate": "share of parts that no person looks at",
    "alone_accuracy": "of the parts that the machine decides alone, those decided rightly",
    "alone_precision": "of the parts that it rejects alone, those that are NG",
    "alone_recall": "of the NG parts that it decides alone, those that it rejects",
    "alone_specificity": "of the GO parts that it decides alone, those that it passes",
    "alone_f1": "harmonic mean of precision and recall of the machine alone",
    "recheck_rate": "share of parts that a person looks at",
    "recheck_rate_ng": "of the NG parts, those that a person looks at",
    "recheck_rate_go": "of the GO parts, those that a person looks at",
}
SCORES = {
    "escape_rate": "share of NG parts that pass",
    "overkill_rate": "share of GO parts that are rejected",
    "accuracy": "share of parts decided rightly",
    "balanced_accuracy": "mean of recall and specificity: the mix of GO and NG plays no part",
    "precision": "share of rejected parts that are NG",
    "recall": "share of NG parts that are not passed",
    "specificity": "share of GO parts that are not rejected",
    "f1": "harmonic mean of precision and recall",
    "mcc": "correlation of truth and decision: 0 is guessing, 1 perfect",
    "auroc": "chance that an NG part scores above a GO part, at any threshold",
    "average_precision": "mean precision over all recalls",
    "brier": "mean squared error of P(NG): 0 is best",
    "calibration_error": "mean distance of promised and observed share of NG, for the mix of these pictures: 0 is best",
    "loss": "cross-entropy of P(NG): 0 is best",
}
IF_RIGHT = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc")  # with RECHECK
FORECAST = {
    "escapes_per_million": "bad parts passed, of a million made",
    "escapes_per_shift": "bad parts passed in a shift",
    "false_rejects_per_shift": "good parts rejected in a shift",
    "looks_per_shift": "looks of a person in a shift",
    "cost_per_month": "cost of mistakes and looks in a month",
}
PART_NAMES = {"train": "training", "val": "validation", "test": "test", ALL: "all"}
GROUPS_SHOWN = 10
CERTIFIED = "certified: "  # how `metrics.json` says it
NAMES = ("GO", "NG")

ScoreRow = tuple[str, str, list[tuple[str, str]]]
"""Name, meaning, and for each part the value and where it may lie."""


def report_page(material: Material, figures: Figures) -> str:
    """The whole page; the same material gives the same bytes."""
    groups, rates = by_group(material.judged, material.thresholds), _rates(material)
    shelved = shelves(material.judged, material.thresholds, material.root, material.hashes)
    sampled = samples(_pictures(material), material.root)
    return rendered(
        "report.html.j2",
        title=material.place.name or str(material.place),
        material=material,
        origin=_origin(material),
        claims=claims(material.counts, rates, recheck=material.thresholds.has_recheck),
        decided_alone=decided_alone(material.counts, rates),
        interval_unit=interval_unit(material.parts.get(material.part, {})),
        interval_notes=interval_notes(material.parts),
        rests=rests_on(material),
        proof=proof(material.counts.ng, ng_groups(material))
        if independent_ng(material) >= ENOUGH
        else "",  # else a caution
        certificate=certificate(material),
        cautions=cautions(material, (item for of in (*shelved, *sampled) for item in of.pictures)),
        parts=[PART_NAMES.get(part, part) for part in material.parts],
        scores=score_rows(material.parts, recheck=material.thresholds.has_recheck),
        figures=figures,
        mix=mix(material),
        kinds=by_type(material.judged, material.thresholds, searched=material.searched),
        named=naming(material.judged, material.thresholds),
        groups=groups[:GROUPS_SHOWN],
        group_count=len(groups),
        forecast=_forecast(material),
        shelves=shelved,
        counts=_counts(material),
        samples=sampled,
        command=origins.command(material),
        facts=origins.facts(material),
    )


def mix(material: Material) -> str:
    """Which mix of parts a probability is for, and what one of 0.5 means on the line, as far as they are known."""
    rate = (material.about.get("calibration") or {}).get("ng_rate")
    if rate is not None:
        return f"{mix_in_words(rate, material.line_ng_rate)}."
    labels, _ = material.arrays
    here = f" The numbers here are for these pictures, {words.percent(float(labels.mean()))} NG." if labels.size else ""
    return f"For which mix of GO and NG parts P(NG) was meant is not known.{here}"


def certificate(material: Material) -> str:
    """What was proven of the run's thresholds, as `fancnn.certify` stored it; empty where nothing was, or of others."""
    said = str(material.about.get("decision") or "")
    ours = material.own_thresholds and material.pictures  # evaluate's folder may be about other thresholds
    return said.removeprefix(CERTIFIED) if ours and said.startswith(CERTIFIED) else ""


def claims(counts: Confusion, intervals: Mapping[str, Interval | None], *, recheck: bool) -> list[words.Claim]:
    """What happens to a hundred bad and a hundred good parts, and how many of each a person sees."""
    ng, go, looked = ("bad parts", "NG parts"), ("good parts", "GO parts"), "would go to a person"
    shown = [
        (counts.escapes, counts.ng, ng, "would pass", "escape_rate"),
        (counts.overkills, counts.go, go, "would be rejected", "overkill_rate"),
    ]
    if recheck:
        shown += [
            (counts.go_rechecked, counts.go, go, looked, "recheck_rate_go"),
            (counts.ng_rechecked, counts.ng, ng, looked, "recheck_rate_ng"),
        ]
    return [
        words.share_claim(count, total, of_what, what, seen, intervals[name])
        for count, total, (of_what, seen), what, name in shown
    ]


def decided_alone(counts: Confusion, intervals: Mapping[str, Interval | None]) -> str:
    """What the machine does without a person, and what its scores take for granted; empty where no part is rechecked.

    Example:
        >>> decided_alone(Confusion(0, 0, 0, 0, ng_rechecked=3, go_rechecked=7), {"alone_accuracy": None})[:75]
        'The machine decides none of 10 parts alone: its own scores are undefined. S'
    """
    looked, total = counts.ng_rechecked + counts.go_rechecked, counts.ng + counts.go
    if not looked:
        return ""
    decided, right = total - looked, counts.ng_found + counts.go_passed
    granted = "Scores “if the person is right” take the person who looks at the rest never to miss."
    if not decided:
        return f"The machine decides none of {plural(total, 'part')} alone: its own scores are undefined. {granted}"
    interval = intervals["alone_accuracy"]
    where = f"; 95 %: {words.hundredths(interval.low)} to {words.hundredths(interval.high)}" if interval else ""
    alone = f"The machine decides {decided:,} of {plural(total, 'part')} alone ({words.percent(decided / total)})"
    return f"{alone}, and {right:,} of these rightly ({words.percent(right / decided)}{where}). {granted}"


def interval_unit(metrics: Mapping[str, Any]) -> str:
    """What the intervals of a part count, where that is not each picture by itself; empty where it is."""
    if metrics.get("interval_unit") != "group":
        return ""
    groups = plural(metrics["groups"], "group")
    return f"Intervals are for parts and rest on {groups}: parts of one group are not taken for independent."


def interval_notes(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a reader must know of the intervals of each part."""
    notes = {name: metrics.get("interval_note") for name, metrics in parts.items()}
    return [f"{PART_NAMES.get(name, name)}: {note}." for name, note in notes.items() if note]


def score_rows(
    parts: Mapping[str, Mapping[str, Any]], *, recheck: bool
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, meaning, and for each part the value with its interval."""
    meanings = {**ALONE, **SCORES} if recheck else SCORES
    return [
        (
            score_title(name, recheck=recheck),
            meaning,
            [
                (words.number(part.get(name)), words.between(part.get("intervals", {}).get(name)))
                for part in parts.values()
            ],
        )
        for name, meaning in meanings.items()
    ]


def score_title(name: str, *, recheck: bool = False) -> str:
    """What a score is called; `recheck`: where parts may go to a person, whom some scores take to be right.

    Example:
        >>> score_title("f1"), score_title("f1", recheck=True), score_title("alone_f1")
        ('F1', 'F1, if the person is right', 'F1 of the machine alone')
    """
    if name == "decided_rate":
        return "decided by the machine alone"
    if name.startswith("recheck_rate_"):
        return f"recheck rate of {name[-2:].upper()}"
    alone, plain = name.startswith("alone_"), name.removeprefix("alone_")
    capitals = {"auroc": "AUROC", "mcc": "MCC", "f1": "F1", "brier": "Brier score"}
    title = capitals.get(plain, plain.replace("_", " "))
    if alone:
        return f"{title} of the machine alone"
    return f"{title}, if the person is right" if recheck and name in IF_RIGHT else title


def _rates(material: Material) -> Mapping[str, Interval | None]:
    groups = natural_groups([row.group for row in material.judged])
    return rate_intervals(*material.arrays, material.thresholds, groups)


def _origin(material: Material) -> str:
    return "run" if material.about else "table"


def _forecast(material: Material) -> list[tuple[str, str, str]]:
    """What the line may expect; empty where the line or one of the classes is not known."""
    counts, thresholds, costs = material.counts, material.thresholds, material.costs
    if material.line is None or not counts.ng or not counts.go:
        return []
    if costs and costs.look is None and thresholds.has_recheck:
        costs = None
    outcomes = Outcomes(
        *(counts.escapes, counts.ng_rechecked, counts.ng_found),
        *(counts.go_passed, counts.go_rechecked, counts.overkills),
    )
    worth = effective_parts(*material.arrays, thresholds, natural_groups([row.group for row in material.judged]))
    expected = forecast(outcomes, material.line, costs, recheck=thresholds.has_recheck, worth=worth)
    return [
        (
            FORECAST[name],
            words.quantity(estimate.value),
            f"{words.quantity(estimate.interval.low)} to {words.quantity(estimate.interval.high)}",
        )
        for name, estimate in expected.items()
        if estimate is not None and (name != "looks_per_shift" or thresholds.has_recheck)
    ]


def _pictures(material: Material) -> Sequence[Picture]:
    """The run's pictures, or what the table says of its own."""
    if material.pictures:
        return material.pictures
    known = [row for row in material.rows if row.label is not None]
    return [
        Picture(
            path=row.path,
            class_name=row.class_name or NAMES[row.label or 0],
            label=row.label or 0,
            split=row.split or ALL,
            sha256=material.hashes.get(row.path, ""),
            defect_type=row.defect_type,
        )
        for row in known
    ]


def _counts(material: Material) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Names of the parts, and for each class how many pictures are in each."""
    pictures = _pictures(material)
    parts = [part for part in (*PARTS, ALL) if any(picture.split == part for picture in pictures)]
    counted = Counter((picture.label, picture.class_name, picture.split) for picture in pictures)
    classes = sorted({(label, name) for label, name, _ in counted})
    rows = [(f"{name} ({NAMES[label]})", [counted[label, name, part] for part in parts]) for label, name in classes]
    return [PART_NAMES[part] for part in parts], rows
