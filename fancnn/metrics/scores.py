"""Scores of a two-class decision; NG is the positive class, label 1. An undefined score is None, never 0."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.reliability import expected_calibration_error
from fancnn.metrics.thresholds import Thresholds

Scores = dict[str, float | None]


def score(labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds) -> Scores:
    """Everything that `metrics.json` says of one part of the data.

    Args:
        labels: 0 (GO) or 1 (NG), one for each image.
        probabilities: P(NG), in [0, 1].
        thresholds: Of the decisions. Scores without `alone_` take the person who looks at a RECHECK to be right.

    Returns:
        `loss` (binary cross-entropy, natural logarithm), `accuracy`, `precision`, `recall`, `f1`,
        `specificity`, `escape_rate`, `overkill_rate`, `recheck_rate`, `balanced_accuracy`, `mcc`, `auroc`,
        `average_precision`, `brier`, `calibration_error`, and what the machine does alone and the person sees, as
        `rates` has it. None where a score is undefined: precision when nothing was called NG, recall without NG
        parts, and so on.

    Example:
        >>> round(score([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2], Thresholds.single(0.5))["loss"], 8)
        0.16425203
    """
    truth = np.asarray(labels).astype(np.int64)
    chances = np.asarray(probabilities, dtype=np.float64)
    counts = ConfusionCounts.of(truth, chances, thresholds)
    return {
        "loss": log_loss(truth, chances),
        **rates(counts),
        **_ranking(truth, chances),
        "brier": brier(truth, chances),
        "calibration_error": expected_calibration_error(truth, chances),
    }


def log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Mean binary cross-entropy; a probability is kept 1e-15 away from 0 and 1. None without images."""
    return float(np.mean(log_losses(labels, probabilities))) if labels.size else None


def log_losses(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Binary cross-entropy of each image, as in `log_loss`; natural logarithm."""
    clipped = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped)))


def brier(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Mean squared distance of P(NG) from the truth, in [0, 1] (Brier 1950). None without images."""
    return float(np.mean((probabilities - labels) ** 2)) if labels.size else None


def auroc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Chance that a random NG part scores above a random GO part, ties half (Mann and Whitney 1947)."""
    return auroc_of_counts(*counts_by_value(labels, probabilities))


def average_precision(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Sum of precision over the steps in recall, equal probabilities as one step, as scikit-learn does."""
    return average_precision_of_counts(*counts_by_value(labels, probabilities))


def counts_by_value(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many GO and how many NG parts have each distinct probability, ascending: `(values,)` each.

    Example:
        >>> go, ng = counts_by_value(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))
        >>> go.tolist(), ng.tolist()
        ([1, 0], [1, 1])
    """
    values, places = np.unique(probabilities, return_inverse=True)
    go, ng = (np.bincount(places[labels == label], minlength=values.size) for label in (0, 1))
    return go, ng


def auroc_of_counts(go: NDArray[np.intp], ng: NDArray[np.intp]) -> float | None:
    """`auroc` from counts by ascending value; a value may have no parts. None without both classes."""
    pairs = int(go.sum()) * int(ng.sum())
    below = np.cumsum(go) - go / 2
    return float(np.sum(ng * below)) / pairs if pairs else None


def average_precision_of_counts(go: NDArray[np.intp], ng: NDArray[np.intp]) -> float | None:
    """`average_precision` from counts by ascending value; a value may have no parts. None without NG parts."""
    if not ng.any():
        return None
    steps, found, called = ng[::-1], np.cumsum(ng[::-1]), np.cumsum((go + ng)[::-1])
    return float(np.sum(steps / found[-1] * found / np.maximum(called, 1)))


def rates(counts: ConfusionCounts) -> Scores:
    """The scores that counts alone give; None where undefined.

    What results if the person who looks at a RECHECK is right: `accuracy`, `precision`, `recall`, `f1`, `specificity`,
    `balanced_accuracy` (mean of recall and specificity) and `mcc`, the correlation of truth and decision (Matthews
    1975). RECHECK counts as right there: recall is 1 - escape rate, specificity 1 - overkill rate.

    What the person sees: `recheck_rate`, and of NG and GO parts `recheck_rate_ng` and `recheck_rate_go`.

    What the machine decides alone: `decided_rate`, the share of parts, and on these `alone_accuracy`,
    `alone_precision`, `alone_recall`, `alone_f1`, `alone_specificity`. Without RECHECK they are those above.

    `escape_rate` and `overkill_rate` are the machine's mistakes among all parts of the class.

    Example:
        >>> rates(ConfusionCounts(ng_found=3, escapes=1, overkills=1, go_passed=3))["mcc"]
        0.5
        >>> by_hand = rates(ConfusionCounts(0, 0, 0, 0, ng_rechecked=3, go_rechecked=7))  # everything to a person
        >>> by_hand["accuracy"], by_hand["decided_rate"], by_hand["alone_accuracy"]
        (1.0, 0.0, None)
    """
    caught, kept = counts.ng_found + counts.ng_rechecked, counts.go_passed + counts.go_rechecked
    looked, everything = counts.rechecked, counts.ng + counts.go
    alone = _of_decisions(counts.ng_found, counts.escapes, counts.overkills, counts.go_passed)
    return {
        **_of_decisions(caught, counts.escapes, counts.overkills, kept),
        "escape_rate": _ratio(counts.escapes, counts.ng),
        "overkill_rate": _ratio(counts.overkills, counts.go),
        "recheck_rate": _ratio(looked, everything),
        "recheck_rate_ng": _ratio(counts.ng_rechecked, counts.ng),
        "recheck_rate_go": _ratio(counts.go_rechecked, counts.go),
        "decided_rate": _ratio(everything - looked, everything),
        **{f"alone_{name}": value for name, value in alone.items()},
        "balanced_accuracy": _ratio(caught * counts.go + kept * counts.ng, 2 * counts.ng * counts.go),
        "mcc": _matthews(caught, counts.escapes, counts.overkills, kept),
    }


def _of_decisions(caught: int, escapes: int, overkills: int, kept: int) -> Scores:
    return {
        "accuracy": _ratio(caught + kept, caught + escapes + overkills + kept),
        "precision": _ratio(caught, caught + overkills),
        "recall": _ratio(caught, caught + escapes),
        "f1": _ratio(2 * caught, 2 * caught + escapes + overkills),
        "specificity": _ratio(kept, kept + overkills),
    }


def _matthews(caught: int, escapes: int, overkills: int, kept: int) -> float | None:
    margins = (caught + escapes) * (kept + overkills) * (caught + overkills) * (kept + escapes)
    return (caught * kept - overkills * escapes) / math.sqrt(margins) if margins else None


def _ranking(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Mapping[str, float | None]:
    return {
        "auroc": auroc(labels, probabilities),
        "average_precision": average_precision(labels, probabilities),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
