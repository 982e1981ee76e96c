"""The prediction table: what every score, threshold and report reads.

Format of `predictions.csv`, version 1: UTF-8, comma-separated, one row an image, order stable.

| column | meaning |
| --- | --- |
| path | the image: relative to the data's root, or as `predict` found it |
| split | `train`, `val`, `test`; empty for images from elsewhere |
| class | name of the class folder; empty where the truth is not known |
| label | 0 GO, 1 NG; empty where the truth is not known |
| probability | P(NG) in [0, 1]; empty where the image could not be read |
| decision | `GO`, `NG` or `RECHECK` at the model's thresholds |
| line_probability | P(NG) for a line with `line.ng_rate` NG parts, where `probability` is for the mix of the validation
images (see `fancnn.metrics.prior_shift`); the column is there only if `predict` knew both. Decisions are made of
`probability` |
| group, defect_type | as in `split.csv`, where known |
| part | of which this is one of several images (cameras, sides, exposures), as in `split.csv` |
| part_label | of that part: 0 GO, 1 NG; empty where the truth is not known. One image may be GO of a part that is NG |
| part_decision | on that part: NG if one of its images is, else RECHECK if one is, else GO; empty where none is NG and
one has no decision, or `predict` misses one that parts had in training |
| true_type | what the model calls the type of an NG image; empty where that is not known, or no type of the model |
| found_type | the likeliest type, were the image NG; `predict` leaves it out where it decides GO |
| type_share | the share of P(NG) that this type has: its own probability is `probability * type_share` |
| regions | how many places of the image hold a defect, 0 where it is decided GO; empty where that is not known |
| region_x, region_y | middle of the hottest of them, pixels of the stored image from its upper left corner |
| region_width, region_height | size of its box, pixels |
| region_probability | P(NG) of its hottest cell |
| region_boxes | all of them, the hottest first: `left,top to right,bottom at x,y: probability`, between them `; ` |
| region_x_mm, region_y_mm, region_width_mm, region_height_mm | the same four in millimetres |
| mm_per_pixel | of the stored image, as the model or the command line has it |
| error | why an image could not be read, or has no decision; empty otherwise |
| sha256, pixel_sha256 | of the file's bytes and of its decoded pixels, as in `split.csv`; empty where not known |
| seen | the roles in which the model has seen the image, separated by blanks: `weights`, `epoch`, `calibration`,
`thresholds` (see `fancnn.data.seen_images`); `none` where it has seen it in none, empty where that is not known |
| weights_sha256 | of the model that scored the image, as in the run's `metrics.json`; empty in tables of before, of
exported files and of other programs |
| version | 1 |

The three columns of types are there only if the model has types (`model.labels=defect_types`), those of regions only if
its network judges by cells (`model=patches`), see `fancnn.decisions.defect_boxes`, and those in millimetres only if
`mm_per_pixel` is known; those of parts only with `data.part`. Tables of before have none of them. Where a table names
parts, whatever is scored, chosen and promised of it is of parts: see `fancnn.metrics.parts`.

A table of another program needs `path`, `label` and `probability` alone; labels may be GO and NG, or true and false.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import NOT_FINITE, UserError
from fancnn.files.tables import read_table, table_writer
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.defect_regions import DefectRegion, as_text, regions_from_text
from fancnn.metrics.score_registry import score
from fancnn.metrics.thresholds import Thresholds, worst_decision

VERSION = 1
LABELS = {"": None, **dict.fromkeys(("0", "0.0", "false", "go"), 0), **dict.fromkeys(("1", "1.0", "true", "ng"), 1)}
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)  # `float` takes 1_0 and nan, too
COLUMNS = (
    *("path", "split", "class", "label", "probability", "decision", "group", "defect_type", "error"),
    *("sha256", "pixel_sha256", "seen", "weights_sha256"),
)
TYPE_COLUMNS = ("true_type", "found_type", "type_share")
REGION_COLUMNS = (
    *("regions", "region_x", "region_y", "region_width", "region_height", "region_probability", "region_boxes"),
)
MM_COLUMNS = ("region_x_mm", "region_y_mm", "region_width_mm", "region_height_mm", "mm_per_pixel")
LINE_COLUMN = "line_probability"
PART_COLUMNS = ("part", "part_label", "part_decision")


@dataclass(frozen=True)
class Prediction:
    """One row of the table; `label` and `probability` are None where not known.

    `regions` has the places of the defect, the hottest first, none where the image is GO; None where they are not
    known.
    """

    path: str
    probability: float | None
    decision: str = ""
    split: str = ""
    class_name: str = ""
    label: int | None = None
    group: str = ""
    defect_type: str = ""
    error: str = ""
    true_type: str = ""
    found_type: str = ""
    type_share: float | None = None
    sha256: str = ""
    pixel_sha256: str = ""
    seen: str = ""
    weights_sha256: str = ""
    line_probability: float | None = None
    regions: tuple[DefectRegion, ...] | None = None
    mm_per_pixel: float | None = None
    part: str = ""
    part_label: int | None = None
    part_decision: str = ""

    @property
    def content(self) -> str:
        """Return what makes it the same image as another: its pixels, else its bytes; empty where neither is known."""
        return self.pixel_sha256 or self.sha256

    @property
    def roles(self) -> tuple[str, ...] | None:
        """Return the roles in which the model has seen it; None where that is not known."""
        return None if not self.seen else tuple(self.seen.replace("none", "").split())

    def row(self) -> Mapping[str, object]:
        values = {
            "class": self.class_name,
            **{
                name: getattr(self, name)
                for name in (*COLUMNS, *TYPE_COLUMNS, LINE_COLUMN, *PART_COLUMNS)
                if name != "class"
            },
        }
        values |= self._region_values()
        return {name: "" if value is None else value for name, value in values.items()}

    def _region_values(self) -> dict[str, object]:
        if self.regions is None:
            return {}
        values: dict[str, object] = {"regions": len(self.regions), "mm_per_pixel": self.mm_per_pixel}
        if self.regions:
            hottest, scale = self.regions[0], self.mm_per_pixel
            for name in ("x", "y", "width", "height"):
                values[f"region_{name}"] = getattr(hottest, name)
                values[f"region_{name}_mm"] = None if scale is None else round(getattr(hottest, name) * scale, 6)
            values |= {"region_probability": hottest.probability, "region_boxes": as_text(self.regions)}
        return values


class TypeGuess(NamedTuple):
    """The likeliest type of an image, were it NG, and the share of P(NG) that it has; no name without types."""

    name: str = ""
    share: float | None = None


@dataclass(frozen=True)
class FileScore:
    """What a model says of one file: P(NG) and the likeliest type, or None and the reason why there is no decision.

    `cells` has P(NG) of each cell, `(rows, columns)`, and `regions` the places of the defect at the model's thresholds;
    both are None where the network has no cells.
    """

    path: Path
    sha256: str
    probability: float | None
    error: str
    guess: TypeGuess = TypeGuess()  # noqa: RUF009  # a tuple
    pixel_sha256: str = ""
    cells: NDArray[np.float32] | None = field(default=None, compare=False)
    regions: tuple[DefectRegion, ...] | None = None

    @property
    def not_finite(self) -> bool:
        """Return whether the file was read, and the model has no decision on it: its output was NaN or infinite."""
        return self.error == NOT_FINITE


@contextmanager
def prediction_writer(
    path: Path,
    *,
    types: bool = False,
    line: bool = False,
    regions: bool = False,
    mm: bool = False,
    parts: bool = False,
) -> Iterator[Callable[[Prediction], None]]:
    """Give a function that adds a row to a table that appears whole, at the end.

    Args:
        path: Of the table.
        types: Whether it has the columns of types.
        line: Whether it has `line_probability`.
        regions: Whether it has the columns of regions.
        mm: Whether it has those in millimetres.
        parts: Whether it has those of parts.
    """
    optional = (
        *((TYPE_COLUMNS, types), (REGION_COLUMNS, regions), (MM_COLUMNS, mm)),
        *(((LINE_COLUMN,), line), (PART_COLUMNS, parts)),
    )
    columns = (*COLUMNS, *(name for names, there in optional if there for name in names))
    with table_writer(path, columns, VERSION) as add:
        yield lambda prediction: add({name: value for name, value in prediction.row().items() if name in columns})


def write_predictions(predictions: Iterable[Prediction], path: Path) -> None:
    """Write a table; what it says of the decisions on parts follows from those on their images."""
    rows = with_part_decisions(predictions)
    types = any(row.true_type or row.found_type for row in rows)
    line = any(row.line_probability is not None for row in rows)
    regions = any(row.regions is not None for row in rows)
    mm = any(row.regions is not None and row.mm_per_pixel is not None for row in rows)
    parts = any(row.part for row in rows)
    with prediction_writer(path, types=types, line=line, regions=regions, mm=mm, parts=parts) as add:
        for row in rows:
            add(row)


def with_part_decisions(rows: Iterable[Prediction], expected: int | None = None) -> list[Prediction]:
    """Return the rows of images with the decisions on their parts; those without a part have none.

    Args:
        rows: Of images, all those of a part among them.
        expected: How many images a part has; one that has fewer is NG or has no decision. None where that is not known.
    """
    listed = list(rows)
    decisions: dict[str, list[str]] = defaultdict(list)
    for row in listed:
        decisions[row.part].append(row.decision)
    for made in decisions.values():
        made.extend([""] * ((expected or 0) - len(made)))  # an image that is missing has no decision
    of_part = {part: worst_decision(made) or "" for part, made in decisions.items() if part}
    return [replace(row, part_decision=of_part.get(row.part, "")) for row in listed]


def decided(row: Prediction, thresholds: Thresholds) -> Prediction:
    """Return a row as other thresholds decide it; one that now is not GO has regions only if these are known."""
    if row.probability is None:
        return row
    decision = thresholds.decide(row.probability)
    regions = row.regions
    if regions is not None:
        regions = () if decision == "GO" else regions or None
    return replace(row, decision=decision, regions=regions)


def read_predictions(path: Path) -> list[Prediction]:
    """Read a prediction table of this or another program.

    Raises:
        UserError: If the file is missing or no prediction table, naming the line.
    """
    rows = read_table(path, required=("path", "label", "probability"), version=VERSION)
    return [_prediction(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]


def _prediction(row: Mapping[str, str], place: str) -> Prediction:
    optional = (
        *("decision", "split", "group", "defect_type", "error", "true_type", "found_type"),
        *("sha256", "pixel_sha256", "seen", "weights_sha256", "part", "part_decision"),
    )
    return Prediction(
        path=row["path"],
        probability=_share(row, "probability", place),
        class_name=row.get("class", ""),
        label=_label(row, "label", place),
        part_label=_label(row, "part_label", place) if row.get("part") else None,
        type_share=_share(row, "type_share", place),
        line_probability=_share(row, LINE_COLUMN, place),
        regions=_regions(row, place),
        mm_per_pixel=_mm_per_pixel(row, place),
        **{name: row.get(name, "") for name in optional},
    )


def _label(row: Mapping[str, str], column: str, place: str) -> int | None:
    label = row.get(column, "").strip()
    if label.lower() not in LABELS:
        raise UserError(f"{place}: {column}={label[:40]!r} should be 0 (GO), 1 (NG) or empty")
    return LABELS[label.lower()]


def _share(row: Mapping[str, str], column: str, place: str) -> float | None:
    cell = row.get(column, "").strip()
    share = None if not cell else float(cell.replace(",", ".")) if _NUMBER.fullmatch(cell) else float("nan")
    if share is not None and not 0 <= share <= 1:
        raise UserError(f"{place}: {column}={cell[:40]!r} should be a number in [0, 1] or empty")
    return share


def _regions(row: Mapping[str, str], place: str) -> tuple[DefectRegion, ...] | None:
    """Return the regions of a row; a table of another program may call something else so, and has no boxes."""
    if "region_boxes" not in row or not row.get("regions", "").strip():
        return None
    try:
        return regions_from_text(row["region_boxes"])
    except ValueError as error:
        raise UserError(f"{place}: region_boxes={error}") from error


def _mm_per_pixel(row: Mapping[str, str], place: str) -> float | None:
    cell = row.get("mm_per_pixel", "").strip() if "region_boxes" in row else ""
    size = None if not cell else float(cell.replace(",", ".")) if _NUMBER.fullmatch(cell) else float("nan")
    if size is not None and not 0 < size < float("inf"):
        raise UserError(f"{place}: mm_per_pixel={cell[:40]!r} should be a number above 0 or empty")
    return size


def validate_each_once(predictions: Iterable[Prediction]) -> None:
    """Refuse a table in which an image stands more than once: it would count as so many parts.

    Raises:
        UserError: Naming the first such image.
    """
    seen: Counter[str] = Counter(row.path for row in predictions)
    twice = [path for path, count in seen.items() if count > 1]
    if twice:
        more = f", and {len(twice) - 1} more so" if len(twice) > 1 else ""
        raise UserError(f"{twice[0]} stands {seen[twice[0]]} times in the table{more}: each image counts once")


def with_truth(predictions: Iterable[Prediction]) -> list[Prediction]:
    """Return the rows that can be scored: those that have both truth and probability."""
    return [row for row in predictions if row.label is not None and row.probability is not None]


def columns(predictions: Iterable[Prediction]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the labels and probabilities `(n,)` of the rows that have both."""
    known = with_truth(predictions)
    return np.array([row.label for row in known], np.int64), np.array([row.probability for row in known], np.float64)


def scored(
    predictions: Iterable[Prediction], thresholds: Thresholds
) -> tuple[ConfusionCounts, dict[str, float | None]]:
    """Return the counts and scores over the rows that have both truth and probability."""
    labels, probabilities = columns(predictions)
    return ConfusionCounts.of(labels, probabilities, thresholds), score(labels, probabilities, thresholds)
