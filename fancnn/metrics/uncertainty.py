"""Intervals of the scores, by the unit that is independent: images, or groups.

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

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fancnn.metrics.clusters import (
    FEW_GROUPS,
    Linearized,
    clustered_interval,
    effective_interval,
    effective_number,
    linearized,
    student,
)
from fancnn.metrics.influence import Influence, auroc_influence, average_precision_influence
from fancnn.metrics.intervals import Interval, exact_interval
from fancnn.metrics.scored_images import Cell, ScoredImages
from fancnn.metrics.scores import log_losses

Values = NDArray[np.float64]

FEW_LOSSES = 5
"""A mean that fewer units than this make, in effect, says little of the large losses that were not seen."""


def share_interval(
    images: ScoredImages, of: Collection[Cell], among: Collection[Cell], confidence: float
) -> Interval | None:
    """Return where the share of some parts among others may lie."""
    if images.groups is None:
        return exact_interval(images.count(of), images.count(among), confidence)
    hits, totals = (np.bincount(images.units, images.are_in(cells)) for cells in (of, among))
    return clustered_interval(hits, totals, confidence)


def f1_interval(
    images: ScoredImages, caught: Collection[Cell], caught_or_mistaken: Collection[Cell], confidence: float
) -> Interval | None:
    """Return an interval for F1, which rises with a rate: the share of NG found among these and all mistakes."""
    share = share_interval(images, caught, caught_or_mistaken, confidence)
    return None if share is None else Interval(*(2 * end / (1 + end) for end in (share.low, share.high)))


def balanced_accuracy_interval(images: ScoredImages, confidence: float) -> Interval | None:
    return _of_both_classes(images, lambda recall, specificity: (recall + specificity) / 2, confidence)


def matthews_interval(images: ScoredImages, confidence: float) -> Interval | None:
    """Return where the correlation of truth and decision may lie, for the mix of GO and NG that the images have."""
    ng = float(images.labels.mean()) if images.labels.size else 0.0

    def correlation(recall: Values, specificity: Values) -> Values:
        rejected = ng * recall + (1 - ng) * (1 - specificity)
        with np.errstate(invalid="ignore", divide="ignore"):  # undefined where all or nothing is rejected
            spread = np.sqrt(ng * (1 - ng) / (rejected * (1 - rejected)))
            return np.where(np.isfinite(spread), (recall + specificity - 1) * spread, np.nan)

    return _of_both_classes(images, correlation, confidence)


def auroc_interval(images: ScoredImages, confidence: float) -> Interval | None:
    if not images.has_both_classes:
        return None
    truth, units = images.labels, images.units
    area = auroc_influence(truth, images.probabilities)
    spread = linearized(area.by_image, truth, units)
    if spread is None or (spread.variance == 0 and 0 < area.value < 1):
        return None
    pairs = _pairs(truth, units)
    if spread.variance == 0:  # every pair in order: so many of them are independent
        return effective_interval(area.value, spread, confidence, least=pairs, most=pairs)
    spread = Linearized(spread.variance, min(spread.freedom, _misordered(truth, units, area)))
    return effective_interval(area.value, spread, confidence, least=pairs)


def average_precision_interval(images: ScoredImages, confidence: float) -> Interval | None:
    if not images.has_both_classes:
        return None
    truth, probabilities, units = images.labels, images.probabilities, images.units
    if probabilities[truth == 1].min() > probabilities[truth == 0].max():  # perfect: what is known is that of AUROC
        area = auroc_interval(images, confidence)
        if area is None:
            return None
        # precision of a ranking that loses the whole area at its start: that many GO above every NG
        above = (1 - area.low) * (truth.size - truth.sum()) / truth.sum()
        return Interval(float(1 - above * np.log1p(1 / above)), 1.0)
    precision = average_precision_influence(truth, probabilities)
    spread = linearized(precision.by_image, truth, units)
    if spread is None or spread.variance == 0:
        return None
    few = _misordered(truth, units, auroc_influence(truth, probabilities))
    return effective_interval(precision.value, Linearized(spread.variance, min(spread.freedom, few)), confidence)


def brier_interval(images: ScoredImages, confidence: float) -> Interval | None:
    """Return where a mean of values in [0, 1] may lie, which varies no more than a rate with the same mean does."""
    mean = _mean((images.probabilities - images.labels) ** 2, images.units)
    if mean is None:
        return None
    value, spread, making = mean
    least = effective_number(np.bincount(images.units))
    return effective_interval(
        value, spread, confidence, least=least, most=least if making < FEW_LOSSES or not spread.variance else np.inf
    )


def loss_interval(images: ScoredImages, confidence: float) -> Interval | None:
    """Return an interval for the mean loss, computed on a log scale; see `interval_notes` for what it leaves open."""
    mean = _mean(log_losses(images.labels, images.probabilities), images.units)
    if mean is None or not mean[1].variance:
        return None
    value, spread, _ = mean
    width = student(spread.freedom, confidence) * float(np.sqrt(spread.variance)) / value
    return Interval(value * float(np.exp(-width)), value * float(np.exp(width)))


def interval_notes(images: ScoredImages, groups: Sequence[str] | None) -> Iterator[str]:
    """Say what a reader must know of the intervals; `groups` are those of the images, counted or not."""
    yield from _unit_notes(images, groups)
    yield from _loss_notes(images)


def _of_both_classes(
    images: ScoredImages, function: Callable[[Values, Values], Values], confidence: float
) -> Interval | None:
    """Return an interval for a function of recall and specificity.

    A correlation of the two through groups is taken into account where it is positive.
    """
    ng, go = images.labels == 1, images.labels == 0
    caught, kept = images.ranks[ng] > 0, images.ranks[go] < 2
    recall = share_interval(images, ("ng_found", "ng_rechecked"), ("ng_found", "ng_rechecked", "escapes"), confidence)
    specificity = share_interval(
        images, ("go_passed", "go_rechecked"), ("go_passed", "go_rechecked", "overkills"), confidence
    )
    if recall is None or specificity is None:
        return None
    center = float(caught.mean()), float(kept.mean())
    together = 0.0
    if images.groups is not None:
        size = int(images.units.max()) + 1
        of_ng = np.bincount(images.units[ng], caught - center[0], minlength=size)
        of_go = np.bincount(images.units[go], kept - center[1], minlength=size)
        both = float(np.sqrt(np.sum(of_ng**2) * np.sum(of_go**2)))
        together = min(max(float(np.sum(of_ng * of_go)) / both, 0.0), 1.0) if both else 0.0
    return _extremes(function, center, (recall, specificity), together)


def _extremes(
    function: Callable[[Values, Values], Values],
    center: tuple[float, float],
    intervals: tuple[Interval, Interval],
    together: float,
) -> Interval | None:
    """Return the extremes of a function over an ellipse around two estimates, whose half axes their intervals give."""
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


def _misordered(truth: NDArray[np.int64], units: NDArray[np.intp], area: Influence) -> float:
    """Return how many units make what AUROC lacks, in effect; of the class where they are fewer.

    The variance hangs on them: where they are few, most of them are too small in most samples, and large in some.
    """
    counts = np.where(truth == 1, truth.sum(), truth.size - truth.sum())
    placements = area.by_image * counts + area.value
    wrong = 1 - placements if area.value >= 0.5 else placements
    return min(effective_number(np.bincount(units[truth == label], wrong[truth == label])) for label in (0, 1))


def _pairs(truth: NDArray[np.int64], units: NDArray[np.intp]) -> float:
    """Return how many pairs of a GO and an NG image can be formed that have no unit in common."""
    classes = [np.bincount(units[truth == label], minlength=int(units.max()) + 1) for label in (0, 1)]
    fewer = min(effective_number(sizes) for sizes in classes)
    return fewer / 2 if np.any(np.minimum(*classes) > 0) else fewer  # a unit of both is in one pair alone


def _mean(values: Values, units: NDArray[np.intp]) -> tuple[float, Linearized, float] | None:
    """Return a mean of values from 0, its uncertainty, and how many units make it in effect."""
    if not values.size:
        return None
    mean = float(values.mean())
    spread = linearized((values - mean) / values.size, np.zeros(values.size, np.int64), units, mean)
    if spread is None:
        return None
    making = effective_number(np.bincount(units, values))
    return mean, Linearized(spread.variance, min(spread.freedom, max(making, 1.0))), making


def _unit_notes(images: ScoredImages, groups: Sequence[str] | None) -> Iterator[str]:
    """Yield notes on the unit: groups that are few, or groups that are not counted."""
    truth, units = images.labels, images.units
    if images.groups is None:
        known = [group for group in groups or () if group]
        if len(set(known)) < len(known):
            yield (
                f"{len(truth) - len(known):,} of {len(truth):,} images name no group: images are taken for "
                "independent, and if those of a group are alike the intervals are too narrow"
            )
        return
    sizes = {name: np.bincount(units[truth == label]) for label, name in ((1, "NG"), (0, "GO"))}
    counts = {name: int(np.sum(of > 0)) for name, of in sizes.items() if of.any()}
    few = {name: count for name, count in counts.items() if effective_number(sizes[name]) < FEW_GROUPS}
    if few:
        which = " and ".join(f"{name} parts of {count:,}{_in_effect(sizes[name])}" for name, count in few.items())
        yield f"groups are few ({which}): how alike parts of a group are cannot be seen well, and intervals are rough"
    for name, count in counts.items():
        if count == 1:
            yield f"all {name} parts are of one group: what hangs on them alone has no interval"


def _loss_notes(images: ScoredImages) -> Iterator[str]:
    mean = _mean(log_losses(images.labels, images.probabilities), images.units)
    if mean is None:
        return
    _, spread, making = mean
    if not spread.variance:
        yield "the loss has no interval: it is the same everywhere, and nothing shows how it varies"
    elif making < FEW_LOSSES:
        yield f"the loss hangs on few ({making:.1f} in effect): of larger ones not seen its interval says nothing"


def _in_effect(sizes: NDArray[np.intp]) -> str:
    """Return how many groups of equal size these are worth, where that is fewer than there are."""
    worth = effective_number(sizes)
    return f", in effect {worth:.1f}" if worth < 0.9 * np.sum(sizes > 0) else ""
