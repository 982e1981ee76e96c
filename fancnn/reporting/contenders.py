"""Models to be compared: their decisions, brought onto the same pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.metrics_file import read_metrics
from fancnn.inspection.predictions import Prediction, read_predictions, with_truth
from fancnn.pictures import PARTS, read_split
from fancnn.reporting.matching import Key, Name, by_name, differing, keyed, namer, why_not
from fancnn.reporting.material import ALL
from fancnn.reporting.words import plural


@dataclass(frozen=True)
class Contender:
    """A model by its decisions.

    Attributes:
        letter: What it is called in tables.
        place: The run folder or table.
        rows: With truth and probability.
        thresholds: That it decides by.
        undecided: Rows that lack truth or probability.
        hashes: SHA-256 of the pictures by path, where a `split.csv` says them.
        trained_on: SHA-256 of the pictures that it was trained on, as far as known.
        root: Folder that the paths are relative to; None where not known.
    """

    letter: str
    place: Path
    rows: tuple[Prediction, ...]
    thresholds: Thresholds
    undecided: tuple[Prediction, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    trained_on: frozenset[str] = frozenset()
    root: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.place.parent.name}/{self.place.name}" if self.place.suffix == ".csv" else self.place.name


@dataclass(frozen=True)
class LeftOut:
    """A bad part that the first contender decided and that is not compared; `why` names who lacks it."""

    row: Prediction
    letter: str
    why: str


@dataclass(frozen=True)
class Common:
    """Decisions on the same pictures: one list of rows a contender, in the same order.

    Attributes:
        part: The part of the data.
        rows: By contender.
        notes: What makes the comparison less than it seems.
        left_out: Bad parts that the first contender decided and another did not, once for each that did not.
    """

    part: str
    rows: tuple[tuple[Prediction, ...], ...]
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


def read_contender(place: Path, letter: str, threshold: float) -> Contender:
    """Read a run folder or a prediction table; `threshold` is for tables that lie in no run.

    Raises:
        UserError: If it is neither, or damaged.
    """
    folder = place if place.is_dir() else place.parent
    table = place / "predictions.csv" if place.is_dir() else place
    if not table.is_file():
        raise UserError(f"{place} is no run folder with predictions.csv and no table. Expected outputs/train/<stamp>")
    beside = folder / "metrics.json"
    metrics = read_metrics(beside) if beside.is_file() and table.name == "predictions.csv" else {}
    split = read_split(folder / "split.csv") if metrics and (folder / "split.csv").is_file() else []
    rows = read_predictions(table)
    return Contender(
        letter=letter,
        place=place,
        rows=tuple(with_truth(rows)),
        undecided=tuple(row for row in rows if row.label is None or row.probability is None),
        thresholds=Thresholds(*metrics["thresholds"]) if metrics else Thresholds.single(threshold),
        hashes={picture.path: picture.sha256 for picture in split},
        trained_on=frozenset(picture.sha256 for picture in split if picture.split == "train"),
        root=Path(metrics["root"]) if metrics.get("root") else None,
    )


def letters(count: int) -> list[str]:
    """What the contenders are called.

    Raises:
        UserError: If there are fewer than two, or more than the alphabet has.

    Example:
        >>> letters(3)
        ['A', 'B', 'C']
    """
    if not 2 <= count <= len(ascii_uppercase):
        expected = f"two to {len(ascii_uppercase)} runs or tables, the one in use first"
        raise UserError(f"{count} given: expected {expected}, e.g. python -m fancnn.compare RUN NEW_RUN")
    return list(ascii_uppercase[:count])


def common_pictures(contenders: Sequence[Contender], part: str | None) -> Common:
    """The pictures that all have decided on.

    Pictures are the same if their content is, where every contender has a `split.csv` that says so, and elsewhere if
    their path is. Those whose labels differ from table to table are left out.

    Args:
        contenders: Two or more.
        part: `train`, `val`, `test` or `all`; None takes test if all have it, else val if all have it, else all.

    Raises:
        UserError: If a contender has nothing of the part, or no picture is common.
    """
    chosen = part or next((name for name in ("test", "val") if all(_of(item, name) for item in contenders)), ALL)
    if chosen not in (*PARTS, ALL):
        raise UserError(f"part={chosen!r} is none of {', '.join((*PARTS, ALL))}")
    decided = [_of(item, chosen) for item in contenders]
    for item, rows in zip(contenders, decided, strict=True):
        if not rows:
            raise UserError(f"{item.place} has no pictures of known truth in the part {chosen}: part=all takes all")
    by_content = all(row.path in item.hashes for item, rows in zip(contenders, decided, strict=True) for row in rows)
    names = [namer(item.hashes, by_content=by_content) for item in contenders]
    apart = differing(decided, names)
    tables = [keyed(rows, name, apart) for rows, name in zip(decided, names, strict=True)]
    keys = [key for key in tables[0] if all(key in table for table in tables[1:])]
    if not keys:
        places = " and ".join(str(item.place) for item in contenders)
        raise UserError(
            f"no picture of the part {chosen} is common to {places}: they "
            "can be compared on pictures that all have decided on, e.g. after python -m fancnn.evaluate on one folder"
        )
    rows_of = tuple(tuple(table[key] for key in keys) for table in tables)
    notes = [*_notes(contenders, chosen, rows_of), *_label_notes(len(apart), "picture" if by_content else "path")]
    wanted = {key: row for key, row in keyed(decided[0], names[0], frozenset()).items() if row.label == 1}
    others = zip(contenders[1:], tables[1:], names[1:], strict=True)
    left_out = [found for item, table, name in others for found in _left_out(wanted, item, table, name)]
    return Common(chosen, rows_of, tuple(notes), tuple(left_out))


def _of(item: Contender, part: str) -> list[Prediction]:
    return [row for row in item.rows if part in (ALL, row.split)]


def _notes(contenders: Sequence[Contender], part: str, rows: Sequence[Sequence[Prediction]]) -> list[str]:
    """What makes the comparison less than it seems."""
    notes, count = [], len(rows[0])
    known = {path: sha for item in contenders for path, sha in item.hashes.items()}
    for item, own in zip(contenders, rows, strict=True):
        if (has := len(_of(item, part))) > count:
            common = f"{count:,} {'is' if count == 1 else 'are'} common to all"
            notes.append(f"{item.letter} has {plural(has, 'picture')} in this part; {common}.")
        seen = sum(known.get(row.path, "") in item.trained_on for row in own)
        if seen:
            notes.append(f"{item.letter} was trained on {seen:,} of these pictures: its scores are too good.")
        validated = sum(row.split == "val" for row in own)
        if validated and part != "val":
            notes.append(f"{validated:,} of these pictures chose the epoch of {item.letter}: it has an advantage.")
    if part == "val":
        notes.append("Validation chose the epoch of each model: all of them are somewhat worse on new parts.")
    return notes


def _label_notes(count: int, noun: str) -> list[str]:
    """What there is to say of labels that differ."""
    has, is_ = ("has", "is") if count == 1 else ("have", "are")
    return [f"{plural(count, noun)} {has} different labels in different tables and {is_} left out."] if count else []


def _left_out(
    wanted: Mapping[Key, Prediction], item: Contender, table: Mapping[Key, Prediction], name: Name
) -> list[LeftOut]:
    """Those of `wanted` that a contender's table lacks."""
    rows = by_name((*item.rows, *item.undecided), name)
    lacking = {key: row for key, row in wanted.items() if key not in table}
    return [
        LeftOut(row, item.letter, why_not(item.letter, row, rows.get(key[0][0], []))) for key, row in lacking.items()
    ]
