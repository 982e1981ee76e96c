"""The story of `python -m fancnn.compare`: may the new model take the place of the old one?

Formats, version 1 each. `flips.csv`: a row for each picture that two models decide differently: path, class,
defect_type, group, label, first and second (letters), the probability and decision of both, and the change (one of
`fancnn.reporting.duels.CHANGES`). `compare.json`: `format` (`fancnn-comparison`), `version`, `part`, `pictures`, `go`,
`ng`, `models` (by letter: place, thresholds, scores and looks as in `metrics.json`), `pairs` (first, second, counts of
changes, `mcnemar`, `differences` as [value, low, high], `equal_overkill`: the second's thresholds that do to as many
good parts what the first does, overkills and new escapes there, null where no good part is common; `not_compared`: path
and reason of each bad part that the first decided and that is not compared; `verdict`, `no_new_escapes`), `notes`, and
`verdict` and `no_new_escapes` over all pairs. `verdict` is one of `fancnn.reporting.duels.VERDICTS`, null where a pair
has no bad part in common; `no_new_escapes` is null where bad parts are not compared and no new escape is among the
others.
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
from fancnn.reporting.duels import Duel, Equal, duels
from fancnn.reporting.material import ALL
from fancnn.reporting.page import score_rows, score_title
from fancnn.reporting.verdicts import ESCAPE_COLUMNS, equal_note, escape_rows, overall, threshold_note, verdict
from fancnn.settings import CompareSettings
from fancnn.tables import replacing, table_writer
from fancnn.workflows.looking import record_look, weights_of

FORMAT, VERSION = "fancnn-comparison", 1
COLUMNS = (
    *("path", "class", "defect_type", "group", "label", "first", "second"),
    *("first_probability", "second_probability", "first_decision", "second_decision", "change"),
)
SHOWN = ("escape_rate", "overkill_rate", "recheck_rate", "accuracy", "f1", "auroc")
TOLD = 10  # bad parts that are not compared, on the terminal; compare.json has all


@dataclass(frozen=True)
class Compared:
    """What a comparison came to: its page, and one of `VERDICTS`, or None where there is none."""

    page: Path
    verdict: str | None

    @property
    def no_new_escapes(self) -> bool:
        """Whether it is known that no new model passes what the first does not."""
        return self.verdict == "no new escapes"


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
    looks = {
        item.letter: record_look("compare", rows, weights_of(item.place)) if common.part in ("test", ALL) else None
        for item, rows in zip(contenders, common.rows, strict=True)
    }
    looked = {letter: of.in_words() for letter, of in looks.items() if of is not None}
    root = Path(settings.root).expanduser() if settings.root else contenders[0].root or Path()
    output = Path(settings.output).expanduser()
    with replacing(output / "compare.html") as file:
        file.write(comparison_page(contenders, common, parts, found, root, looked))
    _write_flips(output / "flips.csv", found)
    with replacing(output / "compare.json") as file:
        plain = _plain(contenders, common, parts, found)
        for letter, model in plain["models"].items():
            model["looks"] = None if (of := looks[letter]) is None else of.to_dict()
        json.dump(plain, file, indent=2, allow_nan=False)
        file.write("\n")
    _tell(contenders, common, parts, found)
    for letter, sentence in looked.items():
        say(f"{letter}: {sentence}")
    say(f"\ncompare.html, flips.csv and compare.json: {output}")
    return Compared(output / "compare.html", overall(found))


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
        **_plain_verdict(overall(found)),
    }


def _plain_pair(duel: Duel) -> dict[str, Any]:
    return {
        **{"first": duel.first, "second": duel.second, "changes": dict(duel.counts), "mcnemar": duel.mcnemar},
        "differences": {
            name: [value, *(asdict(interval).values() if interval else (None, None))]
            for name, (value, interval) in duel.differences.items()
        },
        "equal_overkill": None if duel.equal is None else _plain_equal(duel.equal),
        "not_compared": [{"path": item.row.path, "reason": item.why} for item in duel.left_out],
        **_plain_verdict(duel.outcome),
    }


def _plain_equal(equal: Equal) -> dict[str, Any]:
    return {**asdict(equal), "thresholds": [equal.thresholds.lower, equal.thresholds.upper]}


def _plain_verdict(verdict: str | None) -> dict[str, Any]:
    return {"verdict": verdict, "no_new_escapes": {"no new escapes": True, "new escapes": False}.get(verdict or "")}


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
        print_table(f"new escapes of {duel.second}", ["", *ESCAPE_COLUMNS], escape_rows(duel))
        say(f"decided differently: {counts}; McNemar p {words.probability(duel.mcnemar)}")
    for note in common.notes:
        say(f"warning: {note}")
    for duel in found:
        _tell_verdict(duel)


def _tell_verdict(duel: Duel) -> None:
    """The verdict and what it hangs on, with the first of the bad parts that are not compared."""
    for item in duel.left_out[:TOLD]:
        say(f"not compared: {item.row.path} ({item.why})")
    if len(duel.left_out) > TOLD:
        say(f"not compared: {len(duel.left_out) - TOLD:,} more, in compare.html and compare.json")
    if note := threshold_note(duel):
        say(f"warning: {note}")
    say(equal_note(duel))
    say(verdict(duel))
