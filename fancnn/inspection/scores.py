"""Scores of a two-class decision; NG is the positive class, label 1. An undefined score is None, never 0."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fancnn.inspection.decisions import is_ng

Scores = dict[str, float | None]


@dataclass(frozen=True)
class Confusion:
    """Counts of parts by truth and decision, in the words of a line."""

    ng_found: int
    escapes: int
    overkills: int
    go_passed: int

    @property
    def ng(self) -> int:
        return self.ng_found + self.escapes

    @property
    def go(self) -> int:
        return self.overkills + self.go_passed

    def in_words(self) -> str:
        """One sentence for a console or a report."""
        return (
            f"{self.ng_found} of {self.ng} NG parts found, {_plural(self.escapes, 'escape')}; "
            f"{self.go_passed} of {self.go} GO parts passed, {_plural(self.overkills, 'overkill')}"
        )


def confusion(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> Confusion:
    """Count decisions at `threshold` against labels (0 GO, 1 NG)."""
    truth, rejected = np.asarray(labels).astype(bool), is_ng(probabilities, threshold)
    return Confusion(
        ng_found=int(np.sum(truth & rejected)),
        escapes=int(np.sum(truth & ~rejected)),
        overkills=int(np.sum(~truth & rejected)),
        go_passed=int(np.sum(~truth & ~rejected)),
    )


def score(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> Scores:
    """Everything that `metrics.json` says of one part of the data.

    Args:
        labels: 0 (GO) or 1 (NG), one for each picture.
        probabilities: P(NG), in [0, 1].
        threshold: NG if `probability > threshold`.

    Returns:
        `loss` (binary cross-entropy, natural logarithm), `accuracy`, `precision`, `recall`, `f1`,
        `specificity`, `auroc`, `average_precision`, `escape_rate`, `overkill_rate`. None where a score
        is undefined: precision when nothing was called NG, recall without NG parts, and so on.

    Example:
        >>> round(score([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2], threshold=0.5)["loss"], 8)
        0.16425203
    """
    truth = np.asarray(labels).astype(np.int64)
    chances = np.asarray(probabilities, dtype=np.float64)
    counts = confusion(truth, chances, threshold)
    return {"loss": log_loss(truth, chances), **_rates(counts), **_ranking(truth, chances)}


def log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Mean binary cross-entropy; a probability is kept 1e-15 away from 0 and 1. None without pictures."""
    if labels.size == 0:
        return None
    clipped = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))


def auroc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Chance that a random NG part scores above a random GO part, ties half (Mann and Whitney 1947)."""
    positives, negatives = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if positives == 0 or negatives == 0:
        return None
    rank_sum = float(rankdata(probabilities)[labels == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Sum of precision over the steps in recall, equal probabilities as one step, as scikit-learn does."""
    if not np.any(labels == 1):
        return None
    order = np.argsort(-probabilities, kind="stable")
    last_of_ties = np.append(np.diff(probabilities[order]) != 0, True)
    found = np.cumsum(labels[order])[last_of_ties]
    called = np.flatnonzero(last_of_ties) + 1
    recall_steps = np.diff(np.append(0, found)) / found[-1]
    return float(np.sum(recall_steps * found / called))


def _rates(counts: Confusion) -> Mapping[str, float | None]:
    right = counts.ng_found + counts.go_passed
    return {
        "accuracy": _ratio(right, counts.ng + counts.go),
        "precision": _ratio(counts.ng_found, counts.ng_found + counts.overkills),
        "recall": _ratio(counts.ng_found, counts.ng),
        "f1": _ratio(2 * counts.ng_found, 2 * counts.ng_found + counts.escapes + counts.overkills),
        "specificity": _ratio(counts.go_passed, counts.go),
        "escape_rate": _ratio(counts.escapes, counts.ng),
        "overkill_rate": _ratio(counts.overkills, counts.go),
    }


def _ranking(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Mapping[str, float | None]:
    return {
        "auroc": auroc(labels, probabilities),
        "average_precision": average_precision(labels, probabilities),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
