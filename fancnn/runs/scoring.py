"""Scores on the console: a row a score with its interval, and what the counts mean in words."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from fancnn.data.seen_images import seen_sentences
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.rounding import percent_at_most
from fancnn.metrics.score_registry import SCORES
from fancnn.plurals import plural
from fancnn.system.console import print_table, say


def console_scores(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return name and title of the scores for a console; with RECHECK, what the machine does alone comes first."""
    recheck = any(metrics["recheck_rate"] for metrics in splits.values())
    return {
        name: score.title_where(recheck=recheck)
        for name, score in SCORES.items()
        if score.on_console and (recheck or not score.machine_alone)
    }


def print_scores(title: str, splits: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row for each score with its 95 % interval, and the confusion counts in words."""
    rows = [
        [heading, *(_with_interval(metrics, name) for metrics in splits.values())]
        for name, heading in console_scores(splits).items()
    ]
    print_table(title, ["95 % intervals", *splits], rows)
    for split, metrics in splits.items():
        counts = ConfusionCounts(**{field.name: metrics[field.name] for field in fields(ConfusionCounts)})
        say(f"{split}: {counts.in_words()}")
        if parts := metrics.get("parts"):
            images = plural(metrics["images"], "image")
            say(f"  of {plural(parts, 'part')} in {images}: the worst image of a part decides")
        for sentence in seen_sentences(metrics.get("seen", {}), metrics["images"], split):
            say(f"  warning: {sentence}")
        if metrics["recheck_rate"]:
            _print_recheck(counts)
        if metrics["interval_unit"] == "group":
            say(f"  intervals are for parts and rest on {metrics['groups']:,} groups, whose parts may be alike")
        if metrics["interval_note"]:
            say(f"  note: {metrics['interval_note']}")
        escaping = [item for item in metrics["by_type"] if item["escapes"]]
        if escaping and len(metrics["by_type"]) > 1:
            say(f"  {worst_type(escaping[0], len(metrics['by_type']))}")
        if metrics.get("types"):
            print_types(metrics["types"])
        if metrics["forecast"]:
            print_forecast(metrics["forecast"])


def worst_type(item: Mapping[str, Any], types: int) -> str:
    """Say what escapes of a defect type and may escape, by its unit; `item` has the fields of `TypeEscapes`."""
    parts = f"{item['escaped_parts']} of {item['ng_parts']} escape"
    if item["unit"] == "group":
        parts += f", {item['escapes']} of {item['ng']} groups have one that does"
    bound = f"at most {percent_at_most(item['bound'])} of {item['unit']}s, with 95 % confidence"
    return f"worst defect type: {item['defect_type']}, {parts} ({bound} for all {types} types at once)"


def _print_recheck(counts: ConfusionCounts) -> None:
    looked, everything = counts.rechecked, counts.ng + counts.go
    alone = f"{everything - looked:,} of {everything:,} parts alone"
    undefined = "; scores of its own decisions are undefined" if looked == everything else ""
    say(f"  the machine decides {alone}, a person {looked:,}{undefined}")
    say("  scores marked 'if the person is right' take that person never to miss")


def print_types(named: Mapping[str, Any]) -> None:
    """Print how the NG parts that were found are named, in a row for each true type."""
    rows = []
    for name, named_as in named["confusion"].items():
        wrong = sorted(((count, other) for other, count in named_as.items() if other != name), reverse=True)
        taken = ", ".join(f"{other} {count}" for count, other in wrong)
        rows.append([name, str(sum(named_as.values())), str(named_as.get(name, 0)), taken])
    print_table("", ["defect type", "found", "named rightly", "taken for"], rows)
    between = "({:.3f} to {:.3f})".format(*named["interval"]) if named["interval"] else ""
    say(f"  types: {named['right']} of {named['of']} NG parts that were found are named rightly {between}".rstrip())


def print_forecast(expected: Mapping[str, Sequence[float] | None]) -> None:
    """Print what the line may expect, with intervals."""
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
