"""How sure a rate of a small sample is: exact bounds and intervals."""

import math
from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both included; in the unit of what it is an interval of."""

    low: float
    high: float


def exact_interval(count: int, total: int, confidence: float = 0.95) -> Interval | None:
    """Return where the true rate lies, both sides, when `count` of `total` independent parts showed it.

    Covers the true rate in at least `confidence` of all samples, whatever the rate (Clopper and Pearson 1934).
    None without parts.

    Raises:
        ValueError: If `count` is not in [0, total] or `confidence` not in (0, 1).

    Example:
        >>> interval = exact_interval(48, 60)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.677, 0.892)
    """
    _check(count, total, confidence)
    return fractional_interval(count, total, confidence) if total else None


def fractional_interval(count: float, total: float, confidence: float = 0.95) -> Interval:
    """Return Clopper and Pearson's interval between whole counts: what an effective sample size asks for.

    The same as `exact_interval` for whole numbers; it moves steadily between them, and `count / total` is inside.

    Args:
        count: From 0 to `total`.
        total: Above 0.
        confidence: In (0, 1).

    Raises:
        ValueError: If one of them is out of its range.

    Example:
        >>> interval = fractional_interval(4.8, 6)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.329, 0.991)
    """
    _check(count, total, confidence)
    if total == 0:
        raise ValueError("total=0: expected a sample size above 0")
    from scipy.special import betaincinv  # lazy: names of scores are checked before anything loads that takes time

    tail = (1 - confidence) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    return Interval(low, _upper(count, total, tail))


def upper_bound(count: int, total: int, confidence: float = 0.95) -> float:
    """Return the highest rate that `count` of `total` leaves open, one side (Clopper and Pearson 1934).

    The true rate is above it in at most `1 - confidence` of all samples. 1.0 without parts: nothing is known.

    Raises:
        ValueError: As `exact_interval`.

    Example:
        >>> round(upper_bound(0, 50), 4)  # no escape among 50 NG parts still leaves one in seventeen open
        0.0582
    """
    _check(count, total, confidence)
    return _upper(count, total, 1 - confidence)


def parts_needed(rate: float, confidence: float = 0.95, escapes: int = 0) -> int:
    """Return how many NG parts must be shown, `escapes` of them escaping, to claim an escape rate of at most `rate`.

    The smallest number whose `upper_bound` is at most `rate`.

    Raises:
        ValueError: If `rate` or `confidence` is not in (0, 1) or `escapes` is negative.

    Example:
        >>> parts_needed(0.01), parts_needed(0.001), parts_needed(0.01, escapes=1)
        (299, 2995, 473)
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate={rate}: expected a share above 0 and below 1, e.g. 0.01")
    enough = escapes + 1
    while upper_bound(escapes, enough, confidence) > rate:
        enough *= 2
    tried = range(escapes + 1, enough + 1)
    return tried[bisect_left(tried, True, key=lambda parts: upper_bound(escapes, parts, confidence) <= rate)]


def simultaneous_upper_bound(count: int, total: int, confidence: float = 0.95, families: int = 1) -> float:
    """Return the highest share of a class below a threshold, true for all thresholds at once.

    A threshold that was chosen on the images it is judged by deserves no `upper_bound`. With `count` of `total`
    images of a class below the threshold t, this bounds P(score < t) so that in at least `confidence` of all
    samples no t whatever breaks it. The reason: while `count` images are below t, P(score < t) is at most its
    value at the next image, which is Beta(count + 1, total - count) distributed; the bound gives each count the
    share 6 / (pi (count + 1))^2 of the error (Bonferroni; these shares add up to 1), and each of `families` classes
    bounded together the same. 1.0 where `count == total`.

    Raises:
        ValueError: As `exact_interval`, and if `families` is below 1.

    Example:
        >>> round(simultaneous_upper_bound(0, 50), 4), round(upper_bound(0, 50), 4)
        (0.0675, 0.0582)
    """
    _check(count, total, confidence)
    if families < 1:
        raise ValueError(f"families={families}: expected how many classes are bounded together, at least 1")
    return _upper(count, total, (1 - confidence) / families * 6 / (math.pi * (count + 1)) ** 2)


def _upper(count: float, total: float, tail: float) -> float:
    from scipy.special import betainccinv  # lazy: names of scores are checked before anything loads that takes time

    # the complement keeps its digits where 1 - tail would be rounded to 1
    return float(betainccinv(count + 1, total - count, tail)) if count < total and tail > 0 else 1.0


def _check(count: float, total: float, confidence: float) -> None:
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total}: expected a count from 0 to the total")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share above 0 and below 1, e.g. 0.95")
