"""What predictions are worth: scored, told and written; the story of `fancnn.evaluate table=...`, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from fancnn.data.seen_images import seen_sentences
from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction, check_each_once, with_truth, write_predictions
from fancnn.metrics.rounding import percent_at_most
from fancnn.metrics.scores import Confusion
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.known_line import line_of
from fancnn.runs.metrics_file import part_metrics, read_run_predictions, write_metrics
from fancnn.runs.recorded_looks import record_look
from fancnn.settings.commands import EvaluateSettings
from fancnn.settings.groups import ALL, PARTS, LineSettings
from fancnn.settings.judging_limits import check_evaluation
from fancnn.settings.training_limits import check_thresholds
from fancnn.system.console import print_table, say
from fancnn.system.installation import versions

GIVEN = "fixed: given on the command line"
IF_RIGHT = "if the person is right"
OF_DECISIONS = ("accuracy", "precision", "recall", "f1", "specificity")
ALONE = {  # titles of what the machine does without a person, and of what the person sees
    "decided_rate": "decided alone",
    "alone_accuracy": "accuracy of these",
    "alone_precision": "precision of these",
    "alone_recall": "recall of these",
    "alone_f1": "f1 of these",
    "alone_specificity": "specificity of these",
    "recheck_rate": "seen by a person",
    "recheck_rate_ng": "of NG seen by a person",
    "recheck_rate_go": "of GO seen by a person",
}
SHOWN = ("loss", "accuracy", "precision", "recall", "f1", "specificity", "auroc", "average_precision")


@dataclass(frozen=True)
class Evaluated:
    """Counts and scores by part, as `metrics.json` has them, and how many files have no decision.

    These could not be read, or the network's output for them was not finite.
    """

    parts: dict[str, dict[str, Any]]
    unread: int


def evaluate_table(settings: EvaluateSettings) -> Evaluated:
    """Score a prediction table of any model.

    Raises:
        UserError: If it is no such table, a picture stands in it twice, or nothing in it can be scored.
    """
    check_evaluation(settings)
    read = read_run_predictions(Path(str(settings.table)).expanduser())
    rows = [row for row in read if settings.split in (None, row.split)]
    check_each_once(rows)
    if not with_truth(rows):
        part = f" of the part {settings.split}" if settings.split else ""
        raise UserError(f"{settings.table} has no row{part} with a label and a probability: nothing can be scored")
    thresholds = asked_thresholds(settings, Thresholds.single(0.5))
    decided = [
        row if row.probability is None else replace(row, decision=thresholds.decide(row.probability)) for row in rows
    ]
    about = dict.fromkeys(_ABOUT) | (given_thresholds() if said_thresholds(settings) else {})
    return state(settings, str(settings.table), decided, thresholds, settings.line, about)


def said_thresholds(settings: EvaluateSettings) -> bool:
    return settings.threshold is not None or settings.recheck is not None


def given_thresholds() -> dict[str, str | None]:
    """What `metrics.json` says of thresholds that this command line gave: nothing that was proven of others."""
    return {"decision": GIVEN, "decision_part": None, "decision_rule": None}


def asked_thresholds(settings: EvaluateSettings, own: Thresholds) -> Thresholds:
    """Those of this command line, and where it says none its model's own."""
    if not said_thresholds(settings):
        return own
    upper = own.upper if settings.threshold is None else settings.threshold
    lower = upper if settings.recheck is None else settings.recheck
    check_thresholds(upper, lower)
    return Thresholds(lower, upper)


def state(
    settings: EvaluateSettings,
    title: str,
    rows: Sequence[Prediction],
    thresholds: Thresholds,
    line: LineSettings,
    about: Mapping[str, Any],
) -> Evaluated:
    """Score the rows, tell it and write it."""
    output, unread = Path(settings.output_dir), sum(bool(row.error) for row in rows)
    write_predictions(rows, output / "predictions.csv")
    parts = {
        part: part_metrics(
            [row for row in rows if (row.split or ALL) == part],
            thresholds,
            *line_of(line),
            searched=part == about.get("decision_part"),
        )
        for part in _parts(rows)
    }
    looks = record_look("evaluate", rows, about.get("weights_sha256"))
    facts = {**about, "thresholds": [thresholds.lower, thresholds.upper], "unread": unread, "line": asdict(line)}
    facts["looks"] = None if looks is None else looks.to_dict()
    write_metrics(output / "metrics.json", parts, {**facts, "versions": versions()})
    tell_scores(f"{title}: {thresholds.in_words()}", parts)
    if looks is not None:
        say(f"{'test' if 'test' in parts else ALL}: {looks.in_words()}")
    if about.get("decision_part") in parts:
        say(f"warning: {about['decision_part']} has chosen the thresholds: what is stated on it is too good")
    say(f"\npredictions.csv and metrics.json: {output}")
    return Evaluated(parts, unread)


def _parts(rows: Sequence[Prediction]) -> list[str]:
    return [part for part in (*PARTS, ALL) if any((row.split or ALL) == part for row in rows)]


def shown_scores(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name and title of the scores for a console; where a person looks, what the machine does alone comes first."""
    if not any(metrics["recheck_rate"] for metrics in parts.values()):
        return {name: name.replace("_", " ") for name in SHOWN}
    titles = {name: name.replace("_", " ") + (f", {IF_RIGHT}" if name in OF_DECISIONS else "") for name in SHOWN}
    return {**ALONE, **titles}


def tell_scores(title: str, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """A row a score with its 95 % interval, and the confusion counts in words."""
    rows = [
        [said, *(_with_interval(metrics, name) for metrics in parts.values())]
        for name, said in shown_scores(parts).items()
    ]
    print_table(title, ["95 % intervals", *parts], rows)
    for part, metrics in parts.items():
        counts = Confusion(**{field.name: metrics[field.name] for field in fields(Confusion)})
        say(f"{part}: {counts.in_words()}")
        for sentence in seen_sentences(metrics.get("seen", {}), metrics["pictures"], part):
            say(f"  warning: {sentence}")
        if metrics["recheck_rate"]:
            _tell_recheck(counts)
        if metrics["interval_unit"] == "group":
            say(f"  intervals are for parts and rest on {metrics['groups']:,} groups, whose parts may be alike")
        if metrics["interval_note"]:
            say(f"  note: {metrics['interval_note']}")
        escaping = [item for item in metrics["by_type"] if item["escapes"]]
        if escaping and len(metrics["by_type"]) > 1:
            say(f"  {worst_type(escaping[0], len(metrics['by_type']))}")
        if metrics.get("types"):
            tell_types(metrics["types"])
        if metrics["forecast"]:
            tell_forecast(metrics["forecast"])


def worst_type(item: Mapping[str, Any], types: int) -> str:
    """Say what escapes of a defect type and may escape, by its unit; `item` has the fields of `TypeEscapes`."""
    parts = f"{item['escaped_parts']} of {item['ng_parts']} escape"
    if item["unit"] == "group":
        parts += f", {item['escapes']} of {item['ng']} groups have one that does"
    bound = f"at most {percent_at_most(item['bound'])} of {item['unit']}s, with 95 % confidence"
    return f"worst defect type: {item['defect_type']}, {parts} ({bound} for all {types} types at once)"


def _tell_recheck(counts: Confusion) -> None:
    looked, everything = counts.ng_rechecked + counts.go_rechecked, counts.ng + counts.go
    alone = f"{everything - looked:,} of {everything:,} parts alone"
    undefined = "; scores of its own decisions are undefined" if looked == everything else ""
    say(f"  the machine decides {alone}, a person {looked:,}{undefined}")
    say(f"  scores marked {IF_RIGHT!r} take that person never to miss")


def tell_types(named: Mapping[str, Any]) -> None:
    """How the NG parts that were found are named: a row a true type."""
    rows = []
    for name, found in named["confusion"].items():
        wrong = sorted(((count, other) for other, count in found.items() if other != name), reverse=True)
        taken = ", ".join(f"{other} {count}" for count, other in wrong)
        rows.append([name, str(sum(found.values())), str(found.get(name, 0)), taken])
    print_table("", ["defect type", "found", "named rightly", "taken for"], rows)
    between = "({:.3f} to {:.3f})".format(*named["interval"]) if named["interval"] else ""
    say(f"  types: {named['right']} of {named['of']} NG parts that were found are named rightly {between}".rstrip())


def tell_forecast(expected: Mapping[str, Sequence[float] | None]) -> None:
    """What the line may expect, with where it may lie."""
    known = {name: values for name, values in expected.items() if values is not None}
    rows = [
        [name.replace("_", " "), f"{v:,.4g}", f"{low:,.4g} to {high:,.4g}"] for name, (v, low, high) in known.items()
    ]
    print_table("what the line may expect", ["", "as seen", "95 %"], rows)


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    value, interval = metrics[name], metrics["intervals"].get(name)
    if value is None:
        return "undefined"
    return f"{value:.4f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


_ABOUT = (
    *("run", "epoch", "epochs", "monitor", "decision", "decision_part", "calibration"),
    *("go_class", "classes", "root", "split_sha256", "weights_sha256"),
)
