"""What parts are worth as evidence where several come from one group: a lot, a panel, a patient.

Parts of a group are alike, so that 200 of them in 20 groups say less than 200 of as many groups, and perhaps no more
than 20. How much less is estimated from the groups (the design effect, Kish 1965), and Clopper and Pearson's interval
is taken at the effective sample size (Korn and Graubard 1998). Two things are added to theirs, since an estimate of the
variance that rests on few groups is too small more often than not: its degrees of freedom are those of the groups
that show the rarer outcome; and the effective size is never below the effective number of groups, which is what it
would be if all parts of a group were equal. Simulated with 5 to 50 groups of 10, correlated by 0 to 0.9, rates of 0.5
to 0.98, the interval covers in 95 % or more, where Korn and Graubard's own falls to 91 %
(`tests/simulations/test_interval_coverage.py`). Groups are taken to be independent, and their sizes to say nothing of
their quality.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.intervals import Interval, fractional_interval

FEW_GROUPS = 10
"""With fewer groups an interval still covers, but hangs on how alike they are, which so few cannot show."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Linearized:
    """How uncertain a score is, from what each unit adds to it.

    Attributes:
        variance: Of the score.
        freedom: Degrees of freedom of that estimate, at least 1.
    """

    variance: float
    freedom: float


def natural_groups(groups: Sequence[str]) -> Sequence[str] | None:
    """Return the groups if they are the unit to count: every image has one and some have one in common; else None.

    Example:
        >>> natural_groups(["a", "a", "b"]), natural_groups(["a", "b"]), natural_groups(["a", "a", ""])
        (['a', 'a', 'b'], None, None)
    """
    names = set(groups)
    return groups if "" not in names and len(names) < len(groups) else None


def unit_numbers(groups: Sequence[str] | None, size: int) -> NDArray[np.intp]:
    """Return the number of each image's unit, `(size,)`, from 0 in the order of appearance.

    Args:
        groups: A name for each image; an image with an empty name is a unit of its own. None: each image is.
        size: How many images there are.

    Raises:
        ValueError: If `groups` has another length.

    Example:
        >>> unit_numbers(["lot 1", "", "lot 1", ""], 4).tolist()
        [0, 1, 0, 2]
    """
    if groups is None:
        return np.arange(size)
    if len(groups) != size:
        raise ValueError(f"{len(groups)} groups for {size} images: expected one for each")
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(group or image, len(numbers)) for image, group in enumerate(groups)], np.intp)


def effective_number(sizes: ArrayLike) -> float:
    """Return how many units of equal size say as much as units of these sizes (Kish 1965); 0 without any.

    Example:
        >>> effective_number([10, 10, 10]), round(effective_number([400, *[1] * 310]), 1)
        (3.0, 3.1)
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    squares = float(np.sum(sizes**2))
    return float(np.sum(sizes)) ** 2 / squares if squares else 0.0


def effective_size(hits: ArrayLike, totals: ArrayLike, confidence: float = 0.95) -> float | None:
    """Return how many independent parts say as much of the rate `sum(hits) / sum(totals)` as these groups do.

    The total divided by the design effect, which is the variance of the rate between groups (linearized, as of any
    ratio) divided by that of independent parts, and by what the few degrees of freedom of that variance cost in
    Student's t. It is not above the total of parts and not below the effective number of groups.

    Args:
        hits: `(groups,)`, parts of the group that show it, from 0 to `totals`; need not be whole.
        totals: `(groups,)`, parts of the group; groups without any play no part.
        confidence: Of the interval it is for, in (0, 1).

    Returns:
        None where fewer than two groups have parts: one group says nothing of another.

    Raises:
        ValueError: If a count is out of its range.

    Example:
        >>> alike, unlike = [10, 0] * 10, [5, 6, 4, 5] * 5  # 20 groups of 10
        >>> effective_size(alike, [10] * 20), effective_size(unlike, [10] * 20)
        (20.0, 177.5...)
    """
    hits, totals = np.asarray(hits, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    if hits.shape != totals.shape or np.any(hits < 0) or np.any(hits > totals):
        raise ValueError("expected as many hits as totals, each from 0 to its total")
    hits, totals = hits[totals > 0], totals[totals > 0]
    if totals.size < 2:
        return None
    parts, groups = float(totals.sum()), effective_number(totals)
    rate = float(hits.sum()) / parts
    showing = min(int(np.sum(hits > 0)), int(np.sum(hits < totals)))  # groups with the rarer of the two outcomes
    if showing == 0:
        return groups  # all alike: of the differences between groups nothing can be seen
    variance = float(np.sum((hits - rate * totals) ** 2)) / parts**2 * totals.size / (totals.size - 1)
    size = min(rate * (1 - rate) / variance, parts) if variance > 0 else parts
    size *= (student(parts - 1, confidence) / student(min(showing, groups - 1), confidence)) ** 2
    return min(max(size, groups), parts)


def clustered_interval(hits: ArrayLike, totals: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Return where the rate `sum(hits) / sum(totals)` of parts may lie, the parts being of groups.

    Clopper and Pearson's interval at `effective_size`: never narrower than theirs of so many independent parts, and
    equal to it where each group is one part. Covers the rate that is meant by parts, not by groups.

    Args:
        hits: `(groups,)`, parts of the group that show it.
        totals: `(groups,)`, parts of the group.
        confidence: In (0, 1).

    Returns:
        None without parts, and where all are of one group.

    Raises:
        ValueError: As `effective_size`.

    Example:
        >>> interval = clustered_interval([10, 10, 10, 8, 10, 10, 10, 2, 10, 10], [10] * 10)
        >>> round(interval.low, 2), round(interval.high, 2)  # of 100 independent parts: 0.82 to 0.95
        (0.55, 1.0)
    """
    size = effective_size(hits, totals, confidence)
    if size is None:
        return None
    hit, total = float(np.sum(hits)), float(np.sum(totals))
    return fractional_interval(hit if size == total else hit / total * size, size, confidence)


def effective_interval(
    value: float,
    spread: Linearized,
    confidence: float = 0.95,
    least: float = 1.0,
    most: float = np.inf,
) -> Interval:
    """Return the Clopper-Pearson interval of a score in [0, 1] at the effective sample size of its variance.

    `value (1 - value) / variance` parts, less what few degrees of freedom cost in Student's t.

    Args:
        value: Of the score.
        spread: Its uncertainty.
        confidence: In (0, 1).
        least: Smallest effective size: how many units there are at least, were each of them all or nothing.
        most: Largest one.
    """
    size = np.inf
    if spread.variance > 0:
        size = value * (1 - value) / spread.variance
        size *= (student(np.inf, confidence) / student(spread.freedom, confidence)) ** 2
    size = float(min(max(size, least), most))
    return fractional_interval(value * size, size, confidence)


def linearized(influence: ArrayLike, strata: ArrayLike, units: ArrayLike, scale: float = 1.0) -> Linearized | None:
    """Return the variance of a score by units, from each image's influence: the infinitesimal jackknife (Efron 1982).

    Degrees of freedom follow from how unequal the contributions are: a variance of n values whose kurtosis is k is
    as sure as that of 2 n / (k - 1) normal ones, so that few large contributions count as few. Those of strata are
    joined as Satterthwaite (1946) does. Strata that share units are taken to be uncorrelated where they seem to be
    correlated negatively, since few groups cannot show that they are.

    Args:
        influence: `(images,)`, derivative of the score with respect to the weight of the image.
        strata: `(images,)`, whole numbers: images are drawn from each stratum by itself, as GO and NG are.
        units: `(images,)`, number of the independent unit an image belongs to.
        scale: How large the score is: a standard error of less than 1e-12 of that is rounding, and none.

    Returns:
        None where a stratum has fewer than two units.
    """
    influence, strata, units = np.asarray(influence, np.float64), np.asarray(strata), np.asarray(units)
    variances, freedoms, totals = [], [], []
    for stratum in np.unique(strata):
        inside = strata == stratum
        centered = influence[inside] - influence[inside].mean()
        sums: Values = np.bincount(units[inside], centered, int(units.max()) + 1).astype(np.float64)
        sizes = np.bincount(units[inside], minlength=sums.size)
        count = int(np.sum(sizes > 0))
        if count < 2:
            return None
        variances.append(count / (count - 1) * float(np.sum(sums**2)))
        freedoms.append(max(min(effective_number(sizes) - 1, _normal_number(sums[sizes > 0])), 1.0))
        totals.append(sums)
    whole = sum(variances)
    if whole <= (1e-12 * scale) ** 2:
        return Linearized(0.0, 1.0)
    shared = sum(float(np.sum(a * b)) for place, a in enumerate(totals) for b in totals[:place])
    freedom = whole**2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    return Linearized(whole + 2 * max(shared, 0.0), freedom)


def _normal_number(values: Values) -> float:
    """Return how many normal values would show their variance as surely as these do."""
    count, fourth = values.size, float(np.sum(values**4))
    even = float(np.sum(values**2)) ** 2 / fourth if fourth else count  # values / kurtosis
    return 2 * count * even / (count - even) if even < count else float(count)


def student(freedom: float, confidence: float) -> float:
    """Return half width of Student's interval in standard errors; `freedom` below 1 counts as 1.

    Example:
        >>> round(student(np.inf, 0.95), 2), round(student(4, 0.95), 2)
        (1.96, 2.78)
    """
    from scipy.special import stdtrit  # lazy: names of scores are checked before anything loads that takes time

    return float(stdtrit(max(freedom, 1.0), (1 + confidence) / 2))
