"""The story of `python -m fancnn.compare`: may the new model take the place of the old one?

Formats, version 1 each. `flips.csv`: a row for each picture that two models decide differently: path, class,
defect_type, group, label, first and second (letters), the probability and decision of both, and the change (one of
`fancnn.reporting.duels.CHANGES`). `compare.json`: `format` (`fancnn-comparison`), `version`, `part`, `pictures`, `go`,
`ng`, `models` (by letter: place, thresholds, scores as in `metrics.json`), `pairs` (first, second, counts of changes,
`mcnemar`, `differences` as [value, low, high], `no_new_escapes`), `notes` and `no_new_escapes` over all pairs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fancnn.console import print_table, say
from fancnn.inspection.metrics_file import part_metrics
from fancnn.limits import check_thresholds
from fancnn.reporting import words
from fancnn.reporting.comparison_page import comparison_page, difference_rows
from fancnn.reporting.contenders import Common, Contender, common_pictures, letters, read_contender
from fancnn.reporting.duels import Duel, duels
from fancnn.reporting.page import score_rows, score_title
from fancnn.settings import CompareSettings
from fancnn.tables import replacing, table_writer

FORMAT, VERSION = "fancnn-comparison", 1
COLUMNS = (
    *("path", "class", "defect_type", "group", "label", "first", "second"),
    *("first_probability", "second_probability", "first_decision", "second_decision", "change"),
)
SHOWN = ("escape_rate", "overkill_rate", "recheck_rate", "accuracy", "f1", "auroc")


@dataclass(frozen=True)
class Compared:
    """What a comparison came to: its page, and whether no new model passes what the first does not."""

    page: Path
    no_new_escapes: bool


def compare(settings: CompareSettings) -> Compared:
    """Compare the first model with each of the others; leave `compare.html`, `flips.csv` and `compare.json`.

    Raises:
        UserError: If one cannot be read, or no pictures are common to all.
    """
    check_thresholds(settings.threshold)
    places = [Path(run).expanduser() for run in settings.runs]
    named = zip(places, letters(len(places)), strict=True)
    contenders = [read_contender(place, letter, settings.threshold) for place, letter in named]
    common = common_pictures(contenders, settings.part)
    parts = {
        item.letter: part_metrics(rows, item.thresholds) for item, rows in zip(contenders, common.rows, strict=True)
    }
    found = duels(contenders, common)
    root = Path(settings.root).expanduser() if settings.root else contenders[0].root or Path()
    output = Path(settings.output).expanduser()
    with replacing(output / "compare.html") as file:
        file.write(comparison_page(contenders, common, parts, found, root))
    _write_flips(output / "flips.csv", found)
    with replacing(output / "compare.json") as file:
        json.dump(_plain(contenders, common, parts, found), file, indent=2, allow_nan=False)
        file.write("\n")
    _tell(contenders, common, parts, found)
    say(f"\ncompare.html, flips.csv and compare.json: {output}")
    return Compared(output / "compare.html", not any(duel.new_escapes for duel in found))


def _write_flips(path: Path, found: Sequence[Duel]) -> None:
    with table_writer(path, COLUMNS, VERSION) as add:
        for duel in found:
            for change in duel.changes:
                row = change.first
                add(
                    {
                        **{"path": row.path, "class": row.class_name, "defect_type": row.defect_type},
                        **{"group": row.group, "label": row.label, "first": duel.first, "second": duel.second},
                        **{"first_probability": row.probability, "second_probability": change.second.probability},
                        **{"first_decision": change.first_decision, "second_decision": change.second_decision},
                        "change": change.what,
                    }
                )


def _plain(
    contenders: Sequence[Contender], common: Common, parts: Mapping[str, Mapping[str, Any]], found: Sequence[Duel]
) -> dict[str, Any]:
    scores = parts[contenders[0].letter]
    return {
        **{"format": FORMAT, "version": VERSION, "part": common.part},
        **{name: scores[name] for name in ("pictures", "go", "ng")},
        "models": {
            item.letter: {
                "place": str(item.place.resolve()),
                "thresholds": [item.thresholds.lower, item.thresholds.upper],
                "scores": parts[item.letter],
            }
            for item in contenders
        },
        "pairs": [_plain_pair(duel) for duel in found],
        "notes": list(common.notes),
        "no_new_escapes": not any(duel.new_escapes for duel in found),
    }


def _plain_pair(duel: Duel) -> dict[str, Any]:
    return {
        **{"first": duel.first, "second": duel.second, "changes": dict(duel.counts), "mcnemar": duel.mcnemar},
        "differences": {
            name: [value, *(asdict(interval).values() if interval else (None, None))]
            for name, (value, interval) in duel.differences.items()
        },
        "no_new_escapes": duel.new_escapes == 0,
    }


def _tell(
    contenders: Sequence[Contender], common: Common, parts: Mapping[str, Mapping[str, Any]], found: Sequence[Duel]
) -> None:
    for item in contenders:
        say(f"{item.letter}: {item.place} ({item.thresholds.in_words()})")
    recheck = any(item.thresholds.has_recheck for item in contenders)
    titles = [score_title(name) for name in SHOWN]
    rows = [
        [name, *(f"{value} ({interval})" if interval else value for value, interval in cells)]
        for name, _, cells in score_rows(parts, recheck=recheck)
        if name in titles
    ]
    print_table(f"{words.plural(len(common.rows[0]), 'picture')} of {common.part}", ["", *parts], rows)
    for duel in found:
        differences = [list(row) for row in difference_rows(duel)]
        print_table(f"{duel.second} less {duel.first}", ["", "difference", "95 %"], differences)
        counts = ", ".join(f"{what} {number}" for what, number in duel.counts.items() if number) or "none"
        say(f"decided differently: {counts}; McNemar p {words.probability(duel.mcnemar)}")
    for note in common.notes:
        say(f"warning: {note}")
    for duel in found:
        say(duel.verdict())
