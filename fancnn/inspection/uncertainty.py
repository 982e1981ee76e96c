"""Intervals of every score of `fancnn.inspection.scores.score`: exact for rates, by the bootstrap elsewhere."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import Interval, Sample, bootstrap_intervals, exact_interval
from fancnn.inspection.scores import (
    Confusion,
    Scores,
    auroc_of_counts,
    average_precision_of_counts,
    log_losses,
    rates,
)

MOST_DRAWN = 20_000_000  # pictures, over all samples


def exact_intervals(counts: Confusion, confidence: float = 0.95) -> dict[str, Interval | None]:
    """Clopper-Pearson intervals of the scores that are rates of independent parts; None where undefined.

    Of `accuracy`, `precision`, `recall`, `specificity`, `escape_rate`, `overkill_rate` and `recheck_rate`. Parts of one
    lot or panel are not independent, which makes them wider than these.

    Raises:
        ValueError: If `confidence` is not in (0, 1).

    Example:
        >>> exact_intervals(Confusion(ng_found=0, escapes=0, overkills=1, go_passed=1))["recall"] is None
        True
    """
    caught, kept = counts.ng - counts.escapes, counts.go - counts.overkills
    shares = {
        "accuracy": (caught + kept, counts.ng + counts.go),
        "precision": (caught, caught + counts.overkills),
        "recall": (caught, counts.ng),
        "specificity": (kept, counts.go),
        "recheck_rate": (counts.ng_rechecked + counts.go_rechecked, counts.ng + counts.go),
        "escape_rate": (counts.escapes, counts.ng),
        "overkill_rate": (counts.overkills, counts.go),
    }
    return {name: exact_interval(*share, confidence) for name, share in shares.items()}


def bootstrapped(
    labels: ArrayLike,
    probabilities: ArrayLike,
    thresholds: Thresholds,
    groups: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """95 % bootstrap intervals of the scores that are no rates; see `bootstrap_intervals` for groups and None.

    Of `loss`, `balanced_accuracy`, `f1`, `mcc`, `auroc`, `average_precision` and `brier`. Not of `calibration_error`,
    which counts chance as error: drawing adds chance, so its interval would lie high, even above its score. None also
    where all samples agree: then drawing says nothing of what was not seen, least of all that it cannot be.

    Example:
        >>> found = bootstrapped([0, 1] * 50, [0.1, 0.9, 0.6, 0.4] * 25, Thresholds.single(0.5))["auroc"]
        >>> 0.5 < found.low < 0.75 < found.high
        True
    """
    sampled = sampled_scores(labels, probabilities, thresholds)
    fewer = min(draws, max(200, MOST_DRAWN // max(np.size(labels), 1)))  # of many pictures all samples are alike
    found = bootstrap_intervals(sampled, groups, np.size(labels), draws=fewer, seed=seed)
    return {name: interval if interval and interval.low < interval.high else None for name, interval in found.items()}


def sampled_scores(labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds) -> Callable[[Sample], Scores]:
    """A function that gives the scores of `bootstrapped` for any sample of the pictures, and is quick.

    Whatever takes sorting or logarithms is done here, once: 1,000 samples of 1,000 pictures take a tenth of a second.

    Example:
        >>> sampled_scores([0, 1, 1], [0.2, 0.4, 0.9], Thresholds.single(0.5))(np.array([0, 1, 2]))["f1"]
        0.6666666666666666
    """
    truth, chances = np.asarray(labels).astype(np.int64), np.asarray(probabilities, dtype=np.float64)
    losses, gaps = log_losses(truth, chances), chances - truth
    values, ranks = np.unique(chances, return_inverse=True)
    called = np.where(truth == 1, chances > thresholds.lower, chances > thresholds.upper)  # RECHECK counts as right
    cells, kinds = 2 * ranks + truth, 2 * truth + called

    def scores(sample: Sample) -> Scores:
        go_passed, overkills, escapes, ng_found = np.bincount(kinds[sample], minlength=4).tolist()
        at_threshold = rates(Confusion(ng_found=ng_found, escapes=escapes, overkills=overkills, go_passed=go_passed))
        go, ng = np.bincount(cells[sample], minlength=2 * values.size).reshape(-1, 2).T
        size = sample.size
        return {
            "loss": float(losses[sample].mean()) if size else None,
            **{name: at_threshold[name] for name in ("balanced_accuracy", "f1", "mcc")},
            "auroc": auroc_of_counts(go, ng),
            "average_precision": average_precision_of_counts(go, ng),
            "brier": float(np.mean(gaps[sample] ** 2)) if size else None,
        }

    return scores
