"""The report of one model: a page that needs no script, no network and no other file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fancnn.data.labeled_images import LabeledImage
from fancnn.decisions.forecast import effective_parts, forecast
from fancnn.metrics.clusters import natural_groups
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.defect_types import naming
from fancnn.metrics.intervals import Interval
from fancnn.metrics.prior_shift import mix_in_words
from fancnn.metrics.score_registry import score_intervals
from fancnn.pages import formatting as words
from fancnn.pages.gallery import gallery_sections, samples
from fancnn.pages.page_template import rendered
from fancnn.pages.score_table import SPLIT_TITLES, score_rows
from fancnn.plurals import plural
from fancnn.report import provenance as origins
from fancnn.report.breakdown import by_group, by_type
from fancnn.report.report_data import ReportData
from fancnn.report.report_figures import Figures
from fancnn.report.report_warnings import ENOUGH, independent_ng, ng_groups, proof, rests_on, warnings
from fancnn.settings.choices import DecisionRule
from fancnn.settings.groups import ALL, SPLIT_NAMES

FORECAST = {
    "escapes_per_million": "bad parts passed, of a million made",
    "escapes_per_shift": "bad parts passed in a shift",
    "false_rejects_per_shift": "good parts rejected in a shift",
    "looks_per_shift": "looks of a person in a shift",
    "cost_per_month": "cost of mistakes and looks in a month",
}
GROUPS_SHOWN = 10
CERTIFIED = "certified: "  # how `metrics.json` says it
NAMES = ("GO", "NG")


def report_page(material: ReportData, figures: Figures) -> str:
    """Return the whole page; the same material gives the same bytes."""
    groups, rates = by_group(material.judged, material.thresholds), _rates(material)
    sections = gallery_sections(material.judged, material.thresholds, material.root, material.hashes)
    sampled = samples(_images(material), material.root)
    return rendered(
        Path(__file__).with_name("report.html.j2"),
        title=material.place.name or str(material.place),
        material=material,
        origin=_origin(material),
        claims=claims(material.counts, rates, recheck=material.thresholds.has_recheck),
        decided_alone=decided_alone(material.counts, rates),
        interval_unit=interval_unit(material.splits.get(material.split, {})),
        interval_notes=interval_notes(material.splits),
        rests=rests_on(material),
        proof=proof(material.counts.ng, ng_groups(material))
        if independent_ng(material) >= ENOUGH
        else "",  # else a warning
        certificate=certificate(material),
        promise=promise(material),
        warnings=warnings(material, (item for of in (*sections, *sampled) for item in of.images)),
        splits=[SPLIT_TITLES.get(split, split) for split in material.splits],
        scores=score_rows(material.splits, recheck=material.thresholds.has_recheck),
        figures=figures,
        mix=mix(material),
        kinds=by_type(material.judged, material.thresholds, searched=material.searched),
        named=naming(material.judged, material.thresholds),
        groups=groups[:GROUPS_SHOWN],
        group_count=len(groups),
        forecast=_forecast(material),
        sections=sections,
        counts=_counts(material),
        samples=sampled,
        command=origins.command(material),
        facts=origins.facts(material),
    )


def mix(material: ReportData) -> str:
    """Describe the mix of parts that a probability is for, and what 0.5 means on the line, as far as they are known."""
    rate = material.known.calibration.get("ng_rate")
    if rate is not None:
        return f"{mix_in_words(rate, material.line_ng_rate)}."
    labels, _ = material.arrays
    here = f" The numbers here are for these images, {words.percent(float(labels.mean()))} NG." if labels.size else ""
    return f"For which mix of GO and NG parts P(NG) was meant is not known.{here}"


def certificate(material: ReportData) -> str:
    """Return what `fancnn.certify` proved of the run's thresholds; empty if nothing, or only of others."""
    reason = material.known.decision or ""
    ours = material.own_thresholds and material.images  # evaluate's folder may be about other thresholds
    return reason.removeprefix(CERTIFIED) if ours and reason.startswith(CERTIFIED) else ""


def promise(material: ReportData) -> str:
    """Return what `decision.rule=overkill` promised of the run's thresholds; empty where another rule chose them."""
    rule, ours = material.known.decision_rule, material.own_thresholds and bool(material.metrics)
    kept = ours and isinstance(rule, Mapping) and rule.get("rule") == DecisionRule.overkill
    reason = (material.known.decision or "") if kept else ""
    return reason if reason.startswith("overkill rate") else ""  # else the rule could not choose


def claims(counts: ConfusionCounts, intervals: Mapping[str, Interval | None], *, recheck: bool) -> list[words.Claim]:
    """Return what happens to a hundred bad and a hundred good parts, and how many of each a person sees."""
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


def decided_alone(counts: ConfusionCounts, intervals: Mapping[str, Interval | None]) -> str:
    """Describe what the machine does without a person, and what its scores take for granted; empty without RECHECK.

    Example:
        >>> counts = ConfusionCounts(0, 0, 0, 0, ng_rechecked=3, go_rechecked=7)
        >>> decided_alone(counts, {"alone_accuracy": None})[:75]
        'The machine decides none of 10 parts alone: its own scores are undefined. S'
    """
    looked, total = counts.rechecked, counts.ng + counts.go
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
    """Return what the intervals of a split count, where that is not each image by itself; empty where it is."""
    if metrics.get("interval_unit") != "group":
        return ""
    groups = plural(metrics["groups"], "group")
    return f"Intervals are for parts and rest on {groups}: parts of one group are not taken for independent."


def interval_notes(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what a reader must know of the intervals of each split."""
    notes = {name: metrics.get("interval_note") for name, metrics in splits.items()}
    return [f"{SPLIT_TITLES.get(name, name)}: {note}." for name, note in notes.items() if note]


def _rates(material: ReportData) -> Mapping[str, Interval | None]:
    groups = [row.group for row in material.judged]
    return score_intervals(*material.arrays, material.thresholds, groups).by_score


def _origin(material: ReportData) -> str:
    return "run" if material.metrics else "table"


def _forecast(material: ReportData) -> list[tuple[str, str, str]]:
    """Return what the line may expect; empty where the line or one of the classes is not known."""
    counts, thresholds, costs = material.counts, material.thresholds, material.costs
    if material.line is None or not counts.ng or not counts.go:
        return []
    if costs and costs.look is None and thresholds.has_recheck:
        costs = None
    worth = effective_parts(*material.arrays, thresholds, natural_groups([row.group for row in material.judged]))
    expected = forecast(counts, material.line, costs, recheck=thresholds.has_recheck, worth=worth)
    return [
        (
            FORECAST[name],
            words.quantity(estimate.value),
            f"{words.quantity(estimate.interval.low)} to {words.quantity(estimate.interval.high)}",
        )
        for name, estimate in expected.items()
        if estimate is not None and (name != "looks_per_shift" or thresholds.has_recheck)
    ]


def _images(material: ReportData) -> Sequence[LabeledImage]:
    """Return the run's images, or what the table says of its own."""
    if material.images:
        return material.images
    known = [row for row in material.rows if row.label is not None]
    return [
        LabeledImage(
            path=row.path,
            class_name=row.class_name or NAMES[row.label or 0],
            label=row.label or 0,
            split=row.split or ALL,
            sha256=material.hashes.get(row.path, ""),
            defect_type=row.defect_type,
        )
        for row in known
    ]


def _counts(material: ReportData) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Return the names of the splits, and for each class how many images are in each."""
    images = _images(material)
    splits = [split for split in (*SPLIT_NAMES, ALL) if any(image.split == split for image in images)]
    counted = Counter((image.label, image.class_name, image.split) for image in images)
    classes = sorted({(label, name) for label, name, _ in counted})
    rows = [(f"{name} ({NAMES[label]})", [counted[label, name, split] for split in splits]) for label, name in classes]
    return [SPLIT_TITLES[split] for split in splits], rows
