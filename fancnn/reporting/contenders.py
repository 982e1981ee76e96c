"""Models to be compared: their decisions, brought onto the same pictures."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.metrics_file import read_metrics
from fancnn.inspection.predictions import Prediction, read_predictions, with_truth
from fancnn.pictures import PARTS, read_split
from fancnn.reporting.material import ALL


@dataclass(frozen=True)
class Contender:
    """A model by its decisions.

    Attributes:
        letter: What it is called in tables.
        place: The run folder or table.
        rows: With truth and probability.
        thresholds: That it decides by.
        hashes: SHA-256 of the pictures by path, where a `split.csv` says them.
        trained_on: SHA-256 of the pictures that it was trained on, as far as known.
        root: Folder that the paths are relative to; None where not known.
    """

    letter: str
    place: Path
    rows: tuple[Prediction, ...]
    thresholds: Thresholds
    hashes: dict[str, str] = field(default_factory=dict)
    trained_on: frozenset[str] = frozenset()
    root: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.place.parent.name}/{self.place.name}" if self.place.suffix == ".csv" else self.place.name


@dataclass(frozen=True)
class Common:
    """Decisions on the same pictures: one list of rows a contender, in the same order."""

    part: str
    rows: tuple[tuple[Prediction, ...], ...]
    notes: tuple[str, ...]


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
    return Contender(
        letter=letter,
        place=place,
        rows=tuple(with_truth(read_predictions(table))),
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
    their path and label are.

    Args:
        contenders: Two or more.
        part: `train`, `val`, `test` or `all`; None takes test if all have it, else val if all have it, else all.

    Raises:
        UserError: If a contender has nothing of the part, or no picture is common.
    """
    chosen = part or next((name for name in ("test", "val") if all(_of(item, name) for item in contenders)), ALL)
    if chosen not in (*PARTS, ALL):
        raise UserError(f"part={chosen!r} is none of {', '.join((*PARTS, ALL))}")
    by_content = all(row.path in item.hashes for item in contenders for row in _of(item, chosen))
    tables = [_keyed(item, chosen, by_content=by_content) for item in contenders]
    for item, table in zip(contenders, tables, strict=True):
        if not table:
            raise UserError(f"{item.place} has no pictures of known truth in the part {chosen}: part=all takes all")
    keys = [key for key in tables[0] if all(key in table for table in tables[1:])]
    if not keys:
        places = " and ".join(str(item.place) for item in contenders)
        raise UserError(
            f"no picture of the part {chosen} is common to {places}: they "
            "can be compared on pictures that all have decided on, e.g. after python -m fancnn.evaluate on one folder"
        )
    rows = tuple(tuple(table[key] for key in keys) for table in tables)
    return Common(chosen, rows, tuple(_notes(contenders, chosen, tables, rows)))


def _of(item: Contender, part: str) -> list[Prediction]:
    return [row for row in item.rows if part in (ALL, row.split)]


def _keyed(item: Contender, part: str, *, by_content: bool) -> dict[Hashable, Prediction]:
    """Rows by what makes a picture the same one; equal ones are told apart by their order."""
    seen: Counter[Hashable] = Counter()
    found: dict[Hashable, Prediction] = {}
    for row in _of(item, part):
        key = (item.hashes[row.path] if by_content else row.path, row.label)
        found[key, seen[key]] = row
        seen[key] += 1
    return found


def _notes(
    contenders: Sequence[Contender],
    part: str,
    tables: Sequence[dict[Hashable, Prediction]],
    rows: Sequence[Sequence[Prediction]],
) -> list[str]:
    """What makes the comparison less than it seems."""
    notes, count = [], len(rows[0])
    known = {path: sha for item in contenders for path, sha in item.hashes.items()}
    for item, table, own in zip(contenders, tables, rows, strict=True):
        if len(table) > count:
            notes.append(f"{item.letter} has {len(table):,} pictures in this part; {count:,} are common to all.")
        seen = sum(known.get(row.path, "") in item.trained_on for row in own)
        if seen:
            notes.append(f"{item.letter} was trained on {seen:,} of these pictures: its scores are too good.")
        validated = sum(row.split == "val" for row in own)
        if validated and part != "val":
            notes.append(f"{validated:,} of these pictures chose the epoch of {item.letter}: it has an advantage.")
    if part == "val":
        notes.append("Validation chose the epoch of each model: all of them are somewhat worse on new parts.")
    labels = [{row.path: row.label for row in item.rows} for item in contenders]
    if differing := sum(
        any(path in other and other[path] != label for other in labels[1:]) for path, label in labels[0].items()
    ):
        notes.append(f"{differing:,} paths have different labels in different tables and are left out.")
    return notes
