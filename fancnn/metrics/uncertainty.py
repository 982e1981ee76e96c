"""Intervals of every score of `fancnn.metrics.scores.score`, by the unit that is independent: images, or groups.

One method throughout: Clopper and Pearson's interval at the sample size that the variance of the score is worth, with
degrees of freedom that fall where few units make the variance. It is exact for rates of independent images; of rates of
parts in groups see `fancnn.metrics.clusters`. F1 is a function of a rate; MCC and balanced accuracy are functions
of recall and specificity, and take the extremes over the ellipse of both (MOVER: Zou and Donner 2008). AUROC has the
variance of DeLong, DeLong and Clarke-Pearson (1988), with groups that of Obuchowski (1997); average precision, Brier
score and loss have that of their influence functions.

An interval is for the mix of GO and NG that the images have. Simulated coverage, from 5 lots of 10 parts a class whose
scores are correlated by 0.9 to 250 and 250 independent parts near a perfect AUROC, is 0.93 to 1; of the loss 0.90 to
0.96, since a mean without an upper limit hangs on large losses that may not be among those seen
(`tests/simulations/test_interval_coverage.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.clusters import (
    FEW_GROUPS,
    Linearized,
    clustered_interval,
    effective_interval,
    effective_number,
    linearized,
    natural_groups,
    student,
    unit_numbers,
)
from fancnn.metrics.influence import Influence, auroc_influence, average_precision_influence
from fancnn.metrics.intervals import Interval, exact_interval
from fancnn.metrics.scores import log_losses
from fancnn.metrics.thresholds import Thresholds

Unit = Literal["image", "group"]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]
Intervals = dict[str, Interval | None]

FEW_LOSSES = 5
"""A mean that fewer units than this make, in effect, says little of the large losses that were not seen."""


@dataclass(frozen=True)
class ScoreIntervals:
    """Intervals by score, and what they count.

    Attributes:
        by_score: None where the score is undefined, or nothing can be said of where it may lie.
        unit: What is taken for independent.
        note: What a reader must know of them, in sentences; None for nothing.
    """

    by_score: Intervals
    unit: Unit
    note: str | None


def score_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    thresholds: Thresholds,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> ScoreIntervals:
    """Intervals of all scores but `calibration_error`, which counts chance as error.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        probabilities: `(images,)`, P(NG) in [0, 1].
        thresholds: Of the decisions.
        groups: Lot, panel or patient of each image, empty where not known. They are the unit where every image has
            one and some have one in common.
        confidence: In (0, 1).

    Raises:
        ValueError: If `groups` has another length, or `confidence` is not in (0, 1).

    Example:
        >>> found = score_intervals([0, 1] * 50, [0.1, 0.9, 0.6, 0.4] * 25, Thresholds.single(0.5))
        >>> found.unit, found.note
        ('image', None)
        >>> 0.5 < found.by_score["auroc"].low < 0.75 < found.by_score["auroc"].high < 1
        True
    """
    truth, chances = np.asarray(labels).astype(np.int64), np.asarray(probabilities, dtype=np.float64)
    names = None if groups is None else natural_groups(groups)
    units = unit_numbers(names, truth.size)
    rates = rate_intervals(truth, chances, thresholds, names, confidence)
    found: Intervals = {
        **rates,
        **_of_both_classes(truth, thresholds.ranks(chances), units, rates, grouped=names is not None),
        "auroc": _auroc(truth, chances, units, confidence),
        "average_precision": _average_precision(truth, chances, units, confidence),
        "brier": _brier((chances - truth) ** 2, units, confidence),
    }
    losses = log_losses(truth, chances)
    found["loss"], heavy = _loss(losses, units, confidence)
    notes = [*_unit_notes(truth, groups, names), *([heavy] if heavy else [])]
    return ScoreIntervals(found, "group" if names is not None else "image", "; ".join(notes) or None)


def rate_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    thresholds: Thresholds,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Intervals:
    """Intervals of the scores that are rates of parts, or a function of one; None where undefined.

    Args:
        labels: As `score_intervals`.
        probabilities: As there.
        thresholds: As there.
        groups: Taken for the unit, if not None.
        confidence: In (0, 1).

    Example:
        >>> rate_intervals([0, 0], [0.1, 0.9], Thresholds.single(0.5))["recall"] is None
        True
    """
    ng, ranks = np.asarray(labels).astype(bool), thresholds.ranks(probabilities)
    units = None if groups is None else unit_numbers(groups, ng.size)
    everything, passed, looked, rejected = np.ones_like(ng), ranks == 0, ranks == 1, ranks == 2
    right_alone = (ng & rejected) | (~ng & passed)
    shares = {  # who shows it, among whom
        "accuracy": (right_alone | looked, everything),
        "precision": (ng & ~passed, (ng & ~passed) | (~ng & rejected)),
        "recall": (ng & ~passed, ng),
        "f1": (ng & ~passed, ng | rejected),
        "specificity": (~ng & ~rejected, ~ng),
        "escape_rate": (ng & passed, ng),
        "overkill_rate": (~ng & rejected, ~ng),
        "recheck_rate": (looked, everything),
        "recheck_rate_ng": (ng & looked, ng),
        "recheck_rate_go": (~ng & looked, ~ng),
        "decided_rate": (~looked, everything),
        "alone_accuracy": (right_alone, ~looked),
        "alone_precision": (ng & rejected, rejected),
        "alone_recall": (ng & rejected, ng & ~looked),
        "alone_f1": (ng & rejected, (ng & ~looked) | rejected),
        "alone_specificity": (~ng & passed, ~ng & ~looked),
    }
    found = {name: _share(hits, among, units, confidence) for name, (hits, among) in shares.items()}
    # found of found, missed and falsely rejected: F1 rises with that share, which is a rate
    return {name: _f1(share) if name.endswith("f1") else share for name, share in found.items()}


def _share(hits: Mask, among: Mask, units: NDArray[np.intp] | None, confidence: float) -> Interval | None:
    if units is None:
        return exact_interval(int(hits.sum()), int(among.sum()), confidence)
    return clustered_interval(np.bincount(units, hits & among), np.bincount(units, among), confidence)


def _f1(share: Interval | None) -> Interval | None:
    return None if share is None else Interval(*(2 * end / (1 + end) for end in (share.low, share.high)))


def _of_both_classes(
    truth: NDArray[np.int64],
    ranks: NDArray[np.int64],
    units: NDArray[np.intp],
    rates: Mapping[str, Interval | None],
    *,
    grouped: bool,
) -> Intervals:
    """Balanced accuracy and MCC; a correlation of the classes through groups is taken where it is positive."""
    recall, specificity = rates["recall"], rates["specificity"]
    if recall is None or specificity is None:
        return {"balanced_accuracy": None, "mcc": None}
    caught, kept, ng = ranks[truth == 1] > 0, ranks[truth == 0] < 2, float(truth.mean())
    center = float(caught.mean()), float(kept.mean())
    together = 0.0
    if grouped:
        size = int(units.max()) + 1
        of_ng = np.bincount(units[truth == 1], caught - center[0], minlength=size)
        of_go = np.bincount(units[truth == 0], kept - center[1], minlength=size)
        both = float(np.sqrt(np.sum(of_ng**2) * np.sum(of_go**2)))
        together = min(max(float(np.sum(of_ng * of_go)) / both, 0.0), 1.0) if both else 0.0

    def correlation(recall: Values, specificity: Values) -> Values:
        rejected = ng * recall + (1 - ng) * (1 - specificity)
        with np.errstate(invalid="ignore", divide="ignore"):  # undefined where all or nothing is rejected
            spread = np.sqrt(ng * (1 - ng) / (rejected * (1 - rejected)))
            return np.where(np.isfinite(spread), (recall + specificity - 1) * spread, np.nan)

    return {
        "balanced_accuracy": _extremes(lambda r, s: (r + s) / 2, center, (recall, specificity), together),
        "mcc": _extremes(correlation, center, (recall, specificity), together),
    }


def _extremes(
    function: Callable[[Values, Values], Values],
    center: tuple[float, float],
    intervals: tuple[Interval, Interval],
    together: float,
) -> Interval | None:
    """Least and greatest value of a function over the ellipse of two estimates; their intervals are its half axes."""
    angles = np.linspace(0, 2 * np.pi, 721)
    first = np.cos(angles)
    steps = first, together * first + np.sqrt(1 - together**2) * np.sin(angles)
    places = (
        at + np.where(step < 0, step * (at - interval.low), step * (interval.high - at))
        for at, step, interval in zip(center, steps, intervals, strict=True)
    )
    if np.isnan(function(*map(np.float64, center))):  # type: ignore[arg-type]
        return None
    values = function(*places)
    return Interval(float(np.nanmin(values)), float(np.nanmax(values)))


def _auroc(truth: NDArray[np.int64], chances: Values, units: NDArray[np.intp], confidence: float) -> Interval | None:
    if not 0 < truth.sum() < truth.size:
        return None
    found = auroc_influence(truth, chances)
    spread = linearized(found.by_image, truth, units)
    if spread is None or (spread.variance == 0 and 0 < found.value < 1):
        return None
    pairs = _pairs(truth, units)
    if spread.variance == 0:  # every pair in order: so many of them are independent
        return effective_interval(found.value, spread, confidence, least=pairs, most=pairs)
    spread = Linearized(spread.variance, min(spread.freedom, _misordered(truth, units, found)))
    return effective_interval(found.value, spread, confidence, least=pairs)


def _misordered(truth: NDArray[np.int64], units: NDArray[np.intp], area: Influence) -> float:
    """How many units make what AUROC lacks, in effect; of the class where they are fewer.

    The variance hangs on them: where they are few, most of them are too small in most samples, and large in some.
    """
    counts = np.where(truth == 1, truth.sum(), truth.size - truth.sum())
    placements = area.by_image * counts + area.value
    wrong = 1 - placements if area.value >= 0.5 else placements
    return min(effective_number(np.bincount(units[truth == label], wrong[truth == label])) for label in (0, 1))


def _pairs(truth: NDArray[np.int64], units: NDArray[np.intp]) -> float:
    """How many pairs of a GO and an NG image can be formed that have no unit in common."""
    classes = [np.bincount(units[truth == label], minlength=int(units.max()) + 1) for label in (0, 1)]
    fewer = min(effective_number(sizes) for sizes in classes)
    return fewer / 2 if np.any(np.minimum(*classes) > 0) else fewer  # a unit of both is in one pair alone


def _average_precision(
    truth: NDArray[np.int64], chances: Values, units: NDArray[np.intp], confidence: float
) -> Interval | None:
    if not 0 < truth.sum() < truth.size:
        return None
    found = average_precision_influence(truth, chances)
    if chances[truth == 1].min() > chances[truth == 0].max():  # perfect: what is known is that of AUROC
        area = _auroc(truth, chances, units, confidence)
        if area is None:
            return None
        # precision of a ranking that loses the whole area at its start: that many GO above every NG
        above = (1 - area.low) * (truth.size - truth.sum()) / truth.sum()
        return Interval(float(1 - above * np.log1p(1 / above)), 1.0)
    spread = linearized(found.by_image, truth, units)
    if spread is None or spread.variance == 0:
        return None
    few = _misordered(truth, units, auroc_influence(truth, chances))
    return effective_interval(found.value, Linearized(spread.variance, min(spread.freedom, few)), confidence)


def _brier(squares: Values, units: NDArray[np.intp], confidence: float) -> Interval | None:
    """Of a mean of values in [0, 1], which varies no more than a rate with the same mean does."""
    found = _mean(squares, units)
    if found is None:
        return None
    value, spread, making = found
    least = effective_number(np.bincount(units))
    return effective_interval(
        value, spread, confidence, least=least, most=least if making < FEW_LOSSES or not spread.variance else np.inf
    )


def _loss(losses: Values, units: NDArray[np.intp], confidence: float) -> tuple[Interval | None, str]:
    """Interval of the mean loss, on the scale of its logarithm, and what is to be said of it."""
    found = _mean(losses, units)
    if found is None:
        return None, ""
    value, spread, making = found
    if not spread.variance:
        return None, "the loss has no interval: it is the same everywhere, and nothing shows how it varies"
    width = student(spread.freedom, confidence) * float(np.sqrt(spread.variance)) / value
    interval = Interval(value * float(np.exp(-width)), value * float(np.exp(width)))
    if making >= FEW_LOSSES:
        return interval, ""
    return (
        interval,
        f"the loss hangs on few ({making:.1f} in effect): of larger ones not seen its interval says nothing",
    )


def _mean(values: Values, units: NDArray[np.intp]) -> tuple[float, Linearized, float] | None:
    """A mean of values from 0, its uncertainty, and how many units make it in effect."""
    if not values.size:
        return None
    mean = float(values.mean())
    spread = linearized((values - mean) / values.size, np.zeros(values.size, np.int64), units, mean)
    if spread is None:
        return None
    making = effective_number(np.bincount(units, values))
    return mean, Linearized(spread.variance, min(spread.freedom, max(making, 1.0))), making


def _unit_notes(truth: NDArray[np.int64], groups: Sequence[str] | None, unit: Sequence[str] | None) -> Iterator[str]:
    """What is to be said of the unit: groups that are few, or groups that are not counted."""
    if unit is None:
        known = [group for group in groups or () if group]
        if len(set(known)) < len(known):
            yield (
                f"{len(truth) - len(known):,} of {len(truth):,} images name no group: images are taken for "
                "independent, and if those of a group are alike the intervals are too narrow"
            )
        return
    units = unit_numbers(unit, truth.size)
    sizes = {name: np.bincount(units[truth == label]) for label, name in ((1, "NG"), (0, "GO"))}
    counts = {name: int(np.sum(of > 0)) for name, of in sizes.items() if of.any()}
    few = {name: count for name, count in counts.items() if effective_number(sizes[name]) < FEW_GROUPS}
    if few:
        said = " and ".join(f"{name} parts of {count:,}{_in_effect(sizes[name])}" for name, count in few.items())
        yield f"groups are few ({said}): how alike parts of a group are cannot be seen well, and intervals are rough"
    for name, count in counts.items():
        if count == 1:
            yield f"all {name} parts are of one group: what hangs on them alone has no interval"


def _in_effect(sizes: NDArray[np.intp]) -> str:
    """How many groups of equal size these are worth, where that is fewer than there are."""
    worth = effective_number(sizes)
    return f", in effect {worth:.1f}" if worth < 0.9 * np.sum(sizes > 0) else ""
