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
| true_type | what the model calls the type of an NG image; empty where that is not known, or no type of the model |
| found_type | the likeliest type, were the image NG; `predict` leaves it out where it decides GO |
| type_share | the share of P(NG) that this type has: its own probability is `probability * type_share` |
| error | why an image could not be read, or has no decision; empty otherwise |
| sha256, pixel_sha256 | of the file's bytes and of its decoded pixels, as in `split.csv`; empty where not known |
| seen | the roles in which the model has seen the image, separated by blanks: `weights`, `epoch`, `calibration`,
`thresholds` (see `fancnn.data.seen_images`); `none` where it has seen it in none, empty where that is not known |
| weights_sha256 | of the model that scored the image, as in the run's `metrics.json`; empty in tables of before, of
exported files and of other programs |
| version | 1 |

The three columns of types are there only if the model has types (`model.labels=defect_types`).

A table of another program needs `path`, `label` and `probability` alone; labels may be GO and NG, or true and false.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import NOT_FINITE, UserError
from fancnn.files.tables import read_table, table_writer
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.score_registry import score
from fancnn.metrics.thresholds import Thresholds

VERSION = 1
LABELS = {"": None, **dict.fromkeys(("0", "0.0", "false", "go"), 0), **dict.fromkeys(("1", "1.0", "true", "ng"), 1)}
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)  # `float` takes 1_0 and nan, too
COLUMNS = (
    *("path", "split", "class", "label", "probability", "decision", "group", "defect_type", "error"),
    *("sha256", "pixel_sha256", "seen", "weights_sha256"),
)
TYPE_COLUMNS = ("true_type", "found_type", "type_share")
LINE_COLUMN = "line_probability"


@dataclass(frozen=True)
class Prediction:
    """One row of the table; `label` and `probability` are None where not known."""

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
            **{name: getattr(self, name) for name in (*COLUMNS, *TYPE_COLUMNS, LINE_COLUMN) if name != "class"},
        }
        return {name: "" if value is None else value for name, value in values.items()}


class TypeGuess(NamedTuple):
    """The likeliest type of an image, were it NG, and the share of P(NG) that it has; no name without types."""

    name: str = ""
    share: float | None = None


@dataclass(frozen=True)
class FileScore:
    """What a model says of one file: P(NG) and the likeliest type, or None and the reason why there is no decision."""

    path: Path
    sha256: str
    probability: float | None
    error: str
    guess: TypeGuess = TypeGuess()  # noqa: RUF009  # a tuple
    pixel_sha256: str = ""

    @property
    def not_finite(self) -> bool:
        """Return whether the file was read, and the model has no decision on it: its output was NaN or infinite."""
        return self.error == NOT_FINITE


@contextmanager
def prediction_writer(path: Path, *, types: bool = False, line: bool = False) -> Iterator[Callable[[Prediction], None]]:
    """Give a function that adds a row to a table that appears whole, at the end.

    Args:
        path: Of the table.
        types: Whether it has the columns of types.
        line: Whether it has `line_probability`.
    """
    columns = (*COLUMNS, *(TYPE_COLUMNS if types else ()), *((LINE_COLUMN,) if line else ()))
    with table_writer(path, columns, VERSION) as add:
        yield lambda prediction: add({name: value for name, value in prediction.row().items() if name in columns})


def write_predictions(predictions: Iterable[Prediction], path: Path) -> None:
    rows = list(predictions)
    types = any(row.true_type or row.found_type for row in rows)
    with prediction_writer(path, types=types, line=any(row.line_probability is not None for row in rows)) as add:
        for row in rows:
            add(row)


def read_predictions(path: Path) -> list[Prediction]:
    """Read a prediction table of this or another program.

    Raises:
        UserError: If the file is missing or no prediction table, naming the line.
    """
    rows = read_table(path, required=("path", "label", "probability"), version=VERSION)
    return [_prediction(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]


def _prediction(row: Mapping[str, str], place: str) -> Prediction:
    label = row["label"].strip()
    if label.lower() not in LABELS:
        raise UserError(f"{place}: label={label[:40]!r} should be 0 (GO), 1 (NG) or empty")
    optional = (
        *("decision", "split", "group", "defect_type", "error", "true_type", "found_type"),
        *("sha256", "pixel_sha256", "seen", "weights_sha256"),
    )
    return Prediction(
        path=row["path"],
        probability=_share(row, "probability", place),
        class_name=row.get("class", ""),
        label=LABELS[label.lower()],
        type_share=_share(row, "type_share", place),
        line_probability=_share(row, LINE_COLUMN, place),
        **{name: row.get(name, "") for name in optional},
    )


def _share(row: Mapping[str, str], column: str, place: str) -> float | None:
    cell = row.get(column, "").strip()
    share = None if not cell else float(cell.replace(",", ".")) if _NUMBER.fullmatch(cell) else float("nan")
    if share is not None and not 0 <= share <= 1:
        raise UserError(f"{place}: {column}={cell[:40]!r} should be a number in [0, 1] or empty")
    return share


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
