"""The prediction table: what every score, threshold and report reads.

Format of `predictions.csv`, version 1: UTF-8, comma-separated, one row a picture, order stable.

| column | meaning |
| --- | --- |
| path | the picture: relative to the data's root, or as `predict` found it |
| split | `train`, `val`, `test`; empty for pictures from elsewhere |
| class | name of the class folder; empty where the truth is not known |
| label | 0 GO, 1 NG; empty where the truth is not known |
| probability | P(NG) in [0, 1]; empty where the picture could not be read |
| decision | `GO`, `NG` or `RECHECK` at the model's thresholds |
| group, defect_type | as in `split.csv`, where known |
| error | why a picture could not be read; empty otherwise |
| version | 1 |

A table of another program needs `path`, `label` and `probability` alone; labels may be GO and NG, or true and false.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.scores import Confusion, Scores, confusion, score
from fancnn.pictures import Picture
from fancnn.tables import read_table, table_writer

VERSION = 1
LABELS = {"": None, **dict.fromkeys(("0", "0.0", "false", "go"), 0), **dict.fromkeys(("1", "1.0", "true", "ng"), 1)}
COLUMNS = ("path", "split", "class", "label", "probability", "decision", "group", "defect_type", "error")


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

    def row(self) -> Mapping[str, object]:
        values = {
            "class": self.class_name,
            **{name: getattr(self, name) for name in COLUMNS if name != "class"},
        }
        return {name: "" if value is None else value for name, value in values.items()}


def predicted(picture: Picture, probability: float | None, thresholds: Thresholds, error: str = "") -> Prediction:
    """The row of a picture whose truth is known."""
    return Prediction(
        path=picture.path,
        probability=probability,
        decision="" if probability is None else thresholds.decide(probability),
        split=picture.split,
        class_name=picture.class_name,
        label=picture.label,
        group=picture.group,
        defect_type=picture.defect_type,
        error=error,
    )


def prediction_writer(path: Path) -> AbstractContextManager[Callable[[Mapping[str, object]], None]]:
    """A function that adds `Prediction.row()`s to a table that appears whole, at the end."""
    return table_writer(path, COLUMNS, VERSION)


def write_predictions(predictions: Iterable[Prediction], path: Path) -> None:
    with prediction_writer(path) as add:
        for prediction in predictions:
            add(prediction.row())


def read_predictions(path: Path) -> list[Prediction]:
    """Read a prediction table of this or another program.

    Raises:
        UserError: If the file is missing or no prediction table, naming the line.
    """
    rows = read_table(path, required=("path", "label", "probability"), version=VERSION)
    return [_prediction(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]


def _prediction(row: Mapping[str, str], place: str) -> Prediction:
    label, probability = row["label"].strip(), row["probability"].strip()
    if label.lower() not in LABELS:
        raise UserError(f"{place}: label={label!r} should be 0 (GO), 1 (NG) or empty")
    try:
        chance = float(probability.replace(",", ".")) if probability else None
    except ValueError:
        chance = float("nan")
    if chance is not None and not 0 <= chance <= 1:
        raise UserError(f"{place}: probability={probability!r} should be a number in [0, 1] or empty")
    optional = ("decision", "split", "group", "defect_type", "error")
    return Prediction(
        path=row["path"],
        probability=chance,
        class_name=row.get("class", ""),
        label=LABELS[label.lower()],
        **{name: row.get(name, "") for name in optional},
    )


def check_each_once(predictions: Iterable[Prediction]) -> None:
    """Refuse a table in which a picture stands more than once: it would count as so many parts.

    Raises:
        UserError: Naming the first such picture.
    """
    seen: Counter[str] = Counter(row.path for row in predictions)
    twice = [path for path, count in seen.items() if count > 1]
    if twice:
        more = f", and {len(twice) - 1} more so" if len(twice) > 1 else ""
        raise UserError(f"{twice[0]} stands {seen[twice[0]]} times in the table{more}: each picture counts once")


def with_truth(predictions: Iterable[Prediction]) -> list[Prediction]:
    """The rows that can be scored: those that have both truth and probability."""
    return [row for row in predictions if row.label is not None and row.probability is not None]


def columns(predictions: Iterable[Prediction]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities `(n,)` of the rows that have both."""
    known = with_truth(predictions)
    return np.array([row.label for row in known], np.int64), np.array([row.probability for row in known], np.float64)


def scored(predictions: Iterable[Prediction], thresholds: Thresholds) -> tuple[Confusion, Scores]:
    """Counts and scores over the rows that have both truth and probability."""
    labels, probabilities = columns(predictions)
    return confusion(labels, probabilities, thresholds), score(labels, probabilities, thresholds)
