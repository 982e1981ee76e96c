"""How scores are computed that are more than a share of parts; `fancnn.metrics.score_registry` has all of them.

NG is the positive class, label 1. An undefined score is None, never 0.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fancnn.metrics.confusion import ConfusionCounts


def log_loss(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Return the mean binary cross-entropy; a probability is kept 1e-15 away from 0 and 1. None without images."""
    return float(np.mean(log_losses(labels, probabilities))) if labels.size else None


def log_losses(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the binary cross-entropy of each image, as in `log_loss`; natural logarithm."""
    clipped = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped)))


def brier(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Return the mean squared distance of P(NG) from the truth, in [0, 1] (Brier 1950). None without images."""
    return float(np.mean((probabilities - labels) ** 2)) if labels.size else None


def auroc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Return the probability that a random NG part scores above a random GO part, ties half (Mann and Whitney 1947)."""
    return auroc_of_counts(*counts_by_value(labels, probabilities))


def average_precision(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Return the sum of precision over the steps in recall, equal probabilities as one step, as scikit-learn does."""
    return average_precision_of_counts(*counts_by_value(labels, probabilities))


def counts_by_value(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return how many GO and how many NG parts have each distinct probability, ascending: `(values,)` each.

    Example:
        >>> go, ng = counts_by_value(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))
        >>> go.tolist(), ng.tolist()
        ([1, 0], [1, 1])
    """
    values, places = np.unique(probabilities, return_inverse=True)
    go, ng = (np.bincount(places[labels == label], minlength=values.size) for label in (0, 1))
    return go, ng


def auroc_of_counts(go: NDArray[np.intp], ng: NDArray[np.intp]) -> float | None:
    """Return `auroc` from counts by ascending value; a value may have no parts. None without both classes."""
    pairs = int(go.sum()) * int(ng.sum())
    below = np.cumsum(go) - go / 2
    return float(np.sum(ng * below)) / pairs if pairs else None


def average_precision_of_counts(go: NDArray[np.intp], ng: NDArray[np.intp]) -> float | None:
    """Return `average_precision` from counts by ascending value; a value may have no parts. None without NG parts."""
    if not ng.any():
        return None
    steps, caught, called = ng[::-1], np.cumsum(ng[::-1]), np.cumsum((go + ng)[::-1])
    return float(np.sum(steps / caught[-1] * caught / np.maximum(called, 1)))


def balanced_accuracy(counts: ConfusionCounts) -> float | None:
    """Return the mean of recall and specificity; RECHECK counts as right, as in both of these."""
    caught, kept = counts.ng - counts.escapes, counts.go - counts.overkills
    return ratio(caught * counts.go + kept * counts.ng, 2 * counts.ng * counts.go)


def matthews(counts: ConfusionCounts) -> float | None:
    """Return the correlation of truth and decision (Matthews 1975); RECHECK counts as right.

    Example:
        >>> matthews(ConfusionCounts(ng_found=3, escapes=1, overkills=1, go_passed=3))
        0.5
    """
    caught, kept = counts.ng - counts.escapes, counts.go - counts.overkills
    margins = counts.ng * counts.go * (caught + counts.overkills) * (kept + counts.escapes)
    return (caught * kept - counts.overkills * counts.escapes) / math.sqrt(margins) if margins else None


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
