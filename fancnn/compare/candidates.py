"""Models to be compared: their decisions, brought onto the same images."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

from fancnn.compare.image_matching import Name, by_name, contradicted, namer, one_of, why_not
from fancnn.data.labeled_images import read_split, validate_split
from fancnn.data.seen_images import MEANINGS, ROLES, Role
from fancnn.errors import UserError
from fancnn.files.run import Run
from fancnn.files.run_folders import validate_complete
from fancnn.metrics.parts import by_part, counted_noun
from fancnn.metrics.predictions import Prediction, with_truth
from fancnn.metrics.thresholds import Thresholds
from fancnn.plurals import agreeing, plural
from fancnn.runs.metrics_file import read_metrics, read_run_predictions
from fancnn.settings.groups import ALL, SPLIT_NAMES

FEW_GROUPS = 10  # of a class: a test or an interval of fewer says little


@dataclass(frozen=True)
class Candidate:
    """A model by its decisions.

    Attributes:
        letter: What it is called in tables.
        place: The run folder or table.
        rows: With truth and probability; of several images of one part that of the worst.
        thresholds: That it decides by.
        unscored: Rows that lack truth or probability.
        images: Rows of images, all that its table has.
        hashes: SHA-256 of the images by path, where the table or a `split.csv` says them.
        trained_on: SHA-256 of the images that a `split.csv` says it was trained on; rows that say what the model has
            seen need none.
        root: Folder that the paths are relative to; None where not known.
    """

    letter: str
    place: Path
    rows: tuple[Prediction, ...]
    thresholds: Thresholds
    unscored: tuple[Prediction, ...] = ()
    images: tuple[Prediction, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    trained_on: frozenset[str] = frozenset()
    root: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.place.parent.name}/{self.place.name}" if self.place.suffix == ".csv" else self.place.name

    def has_seen(self, row: Prediction, role: Role) -> bool:
        """Return whether the model has seen an image of its table in a role, as far as known.

        Rows say it. For those of older tables, `split.csv` knows what trained the weights, and the split that chose
        the epoch is `val`.
        """
        if row.roles is not None:
            return role in row.roles
        if role == "weights":
            return (row.sha256 or self.hashes.get(row.path, "")) in self.trained_on
        return role == "epoch" and row.split == "val"


@dataclass(frozen=True)
class Excluded:
    """A part that the first model decided and that is not compared; `reason` names whose table is to blame."""

    row: Prediction
    letter: str
    reason: str


@dataclass(frozen=True)
class CommonImages:
    """Decisions on the same images, each once: one list of rows a candidate, in the same order.

    Attributes:
        split: The split that they are of.
        rows: By candidate.
        notes: What makes the comparison less than it seems.
        excluded: Splits that the first candidate decided and another did not, once for each that did not.
        repeated: By letter, how many rows repeat an image that is counted already.
        contradicted: How many images have two labels, in one table or in several.
        trained_on: By letter, how many of the images trained the model.
        groups: A name for each image, empty where it has none; None where no two images share one.
    """

    split: str
    rows: tuple[tuple[Prediction, ...], ...]
    notes: tuple[str, ...]
    excluded: tuple[Excluded, ...] = ()
    repeated: Mapping[str, int] = field(default_factory=dict)
    contradicted: int = 0
    trained_on: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[str, ...] | None = None

    @property
    def noun(self) -> str:
        """Return what is compared: `image`, or `part` where there are several images of one."""
        return counted_noun(self.rows[0])

    @property
    def unit(self) -> str:
        """Return what bounds, tests and intervals count as independent: `image`, `part` or `group`."""
        return self.noun if self.groups is None else "group"


def read_candidate(place: Path, letter: str, threshold: float) -> Candidate:
    """Read a run folder or a prediction table; `threshold` is for tables that lie in no run.

    Raises:
        UserError: If it is neither, or damaged.
    """
    folder = place if place.is_dir() else place.parent
    table = Run(place).predictions if place.is_dir() else place
    validate_complete(folder)
    if not table.is_file():
        raise UserError(f"{place} is no run folder with predictions.csv and no table. Expected outputs/train/<stamp>")
    beside = Run(folder).metrics
    metrics = read_metrics(beside) if beside.is_file() and table == Run(folder).predictions else None
    split = read_split(Run(folder).split) if metrics and Run(folder).split.is_file() else []
    if metrics and split:
        validate_split(split, Run(folder).split, metrics.split_sha256)
    images = tuple(read_run_predictions(table))
    rows = by_part(images)
    return Candidate(
        letter=letter,
        place=place,
        rows=tuple(with_truth(rows)),
        unscored=tuple(row for row in rows if row.label is None or row.probability is None),
        images=images,
        thresholds=Thresholds(*metrics.thresholds) if metrics else Thresholds.single(threshold),
        hashes={
            **{image.path: image.sha256 for image in split if image.sha256},
            **{row.path: row.sha256 for row in images if row.sha256},
        },
        trained_on=frozenset(image.sha256 for image in split if image.split == "train" and image.sha256),
        root=Path(metrics.root) if metrics and metrics.root else None,
    )


def letters(count: int) -> list[str]:
    """Return what the candidates are called.

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


def common_images(candidates: Sequence[Candidate], split: str | None) -> CommonImages:
    """Return the images that all have decided on, each once.

    Images are the same if their content is, where every candidate's table or `split.csv` says it, and elsewhere if
    their path is. An image that stands several times counts once; one with two labels is excluded.

    Args:
        candidates: Two or more.
        split: `train`, `val`, `test` or `all`; None takes test if all have it, else val if all have it, else all.

    Raises:
        UserError: If a candidate has nothing of the split, or no image is common.
    """
    chosen = split or next((name for name in ("test", "val") if all(_of(item, name) for item in candidates)), ALL)
    if chosen not in (*SPLIT_NAMES, ALL):
        raise UserError(f"split={chosen!r} is none of {', '.join((*SPLIT_NAMES, ALL))}")
    scored = [_of(item, chosen) for item in candidates]
    _validate_same_parts(candidates, scored)
    for item, rows in zip(candidates, scored, strict=True):
        if not rows:
            raise UserError(f"{item.place} has no images of known truth in the split {chosen}: split=all takes all")
    names, by_content = namer(scored, [item.hashes for item in candidates])
    tables = [by_name(rows, name) for rows, name in zip(scored, names, strict=True)]
    two_labels = contradicted(tables)
    keys = [key for key in tables[0] if key not in two_labels and all(key in table for table in tables[1:])]
    if not keys:
        places = " and ".join(str(item.place) for item in candidates)
        noun = counted_noun(scored[0])
        raise UserError(
            f"no {noun} of the split {chosen} is common to {places}: they "
            f"can be compared on {noun}s that all have decided on, e.g. after python -m fancnn.evaluate on one folder"
        )
    rows_of = tuple(tuple(one_of(table[key], in_use=table is tables[0]) for key in keys) for table in tables)
    repeated = {
        item.letter: sum(len(table[key]) - 1 for key in keys) for item, table in zip(candidates, tables, strict=True)
    }
    groups = _groups(rows_of)
    trained_on = {
        item.letter: sum(item.has_seen(row, "weights") for row in rows)
        for item, rows in zip(candidates, rows_of, strict=True)
    }
    noun = counted_noun(rows_of[0])
    notes = (
        *_size_notes(candidates, tables, len(keys), noun),
        *_repeat_notes(repeated, noun, by_content=by_content),
        *_label_notes(len(two_labels), noun if by_content or noun == "part" else "path"),
        *_seen_notes(candidates, chosen, rows_of, noun),
        *_group_notes(rows_of[0], groups),
    )
    return CommonImages(
        split=chosen,
        rows=rows_of,
        notes=notes,
        excluded=tuple(_excluded(candidates, names, tables, frozenset(keys))),
        repeated=repeated,
        contradicted=len(two_labels),
        trained_on=trained_on,
        groups=groups,
    )


def _validate_same_parts(candidates: Sequence[Candidate], scored: Sequence[Sequence[Prediction]]) -> None:
    """Refuse models of which one decides on parts of several images, and another on single images."""
    of_parts = [any(row.part for row in rows) for rows in scored]
    if any(of_parts) and not all(of_parts):
        parts, images = candidates[of_parts.index(True)], candidates[of_parts.index(False)]
        raise UserError(
            f"{parts.place} decides on parts of several images (data.part), and {images.place} on single images: "
            "decisions on the one are none on the other. Compare models with the same data.part"
        )


def _of(item: Candidate, split: str) -> list[Prediction]:
    return [row for row in item.rows if split in (ALL, row.split)]


def _groups(rows: Sequence[Sequence[Prediction]]) -> tuple[str, ...] | None:
    """Return the group of each image, by the first table that has one; None where no two images share one."""
    groups = tuple(next((row.group for row in image if row.group), "") for image in zip(*rows, strict=True))
    known = [group for group in groups if group]
    return groups if len(set(known)) < len(known) else None


def _size_notes(
    candidates: Sequence[Candidate], tables: Sequence[Mapping[str, Sequence[Prediction]]], count: int, noun: str
) -> list[str]:
    common = f"{count:,} {agreeing(count, 'is')} common to all"
    return [
        f"{item.letter} has {plural(len(table), noun)} in this split; {common}."
        for item, table in zip(candidates, tables, strict=True)
        if len(table) > count
    ]


def _repeat_notes(repeated: Mapping[str, int], noun: str, *, by_content: bool) -> list[str]:
    same = "same content" if by_content else "same path, or same content where that is known"
    return [
        f"{letter} has {plural(count, 'row')} more of these {noun}s ({same}): each {noun} counts once."
        for letter, count in repeated.items()
        if count
    ]


def _label_notes(count: int, noun: str) -> list[str]:
    has, is_ = agreeing(count, "has"), agreeing(count, "is")
    return [f"{plural(count, noun)} {has} two labels, GO and NG, and {is_} excluded."] if count else []


def _seen_notes(
    candidates: Sequence[Candidate], split: str, rows: Sequence[Sequence[Prediction]], noun: str
) -> list[str]:
    """Return how many of the images each model has seen, and what follows from it: of many alike in one line."""
    notes = []
    for role in ROLES:
        letters: dict[int, list[str]] = defaultdict(list)  # of the models that have seen so many
        for item, own in zip(candidates, rows, strict=True):
            count = sum(item.has_seen(row, role) for row in own)
            if count and not (role == "epoch" and split == "val"):
                letters[count].append(item.letter)
        for count, seen_by in letters.items():
            if role == "weights":
                notes += [f"{it} was trained on {count:,} of these {noun}s: its scores are too good." for it in seen_by]
            elif len(seen_by) == len(candidates):
                notes.append(
                    f"{count:,} of these {noun}s {MEANINGS[role]} of each model: all look better than they are."
                )
            else:
                has = "it has" if len(seen_by) == 1 else "each has"
                notes.append(
                    f"{count:,} of these {noun}s {MEANINGS[role]} of {', '.join(seen_by)}: {has} an advantage."
                )
    if split == "val":
        notes.append("Validation chose the epoch of each model: all of them are somewhat worse on new parts.")
    return notes


def _group_notes(rows: Sequence[Prediction], groups: Sequence[str] | None) -> list[str]:
    if groups is None:
        return []
    notes = [
        "Images of a group are kept together: the unit of the bounds, of McNemar's test and of the differences is the "
        "group. The bounds hold for parts in groups no larger than the largest here."
    ]
    for label, name in ((1, "NG"), (0, "GO")):
        number = len(
            {group or index for index, (row, group) in enumerate(zip(rows, groups, strict=True)) if row.label == label}
        )
        if 0 < number < FEW_GROUPS:
            holds = agreeing(number, "holds")
            notes.append(f"Only {plural(number, 'group')} {holds} {name} parts: so few say little.")
    return notes


def _excluded(
    candidates: Sequence[Candidate],
    names: Sequence[Name],
    tables: Sequence[Mapping[str, Sequence[Prediction]]],
    compared: Collection[str],
) -> list[Excluded]:
    """Return what the first candidate decided and is not compared, once for each candidate that is the reason."""
    missing = {  # an image of two labels may be of a bad part
        key: next((row for row in rows if row.label), rows[0]) for key, rows in tables[0].items() if key not in compared
    }
    excluded = []
    for item, name, table in zip(candidates, names, tables, strict=True):
        rows_of = by_name((*item.rows, *item.unscored), name)
        for key, row in missing.items():
            if {other.label for other in table.get(key, ())} != {row.label}:
                excluded.append(Excluded(row, item.letter, why_not(item.letter, row, rows_of.get(key, []))))
    return excluded
