"""What may be claimed of a rate at any time of looking, while parts come in.

`fancnn.metrics.intervals.upper_bound` holds at one number of parts that was fixed before. Who looks, finds the claim
unproven, adds parts and looks again, until it is granted, breaks it far more often than it says: each look is another
chance of a lucky sample. Here are bounds that hold at all looks together, however many and whenever they are taken.

The method is a bet against "the rate is at least r" (a test martingale). The e-value of `escapes` among `parts` is
what a fair bet of 1 would have become: the likelihood of what was seen under a mixture of rates q below r, over that
under r itself::

    E(s, n; r) = integral over q in (0, r) of  w(q) (q / r)^s ((1 - q) / (1 - r))^(n - s) dq

For a rate of r or above, whatever was seen before, each part changes it by a factor of at most 1 on average, so that it
ever exceeds 1 / alpha in at most a share alpha of all samples (Ville 1939; mixtures: Robbins 1970, "Statistical methods
related to the law of the iterated logarithm"; bounds for all times: Howard, Ramdas, McAuliffe and Sekhon 2021,
"Time-uniform, nonparametric, nonasymptotic confidence sequences"; Waudby-Smith and Ramdas 2024, "Estimating means of
bounded random variables by betting"). Only counts enter, so the order of the parts within a look does not matter. What
must hold: parts come as the line's do, and none is taken away again, nor added because of how it was decided.

The mixture is w(q) = a q^(a-1) / r^a, the Beta(a, 1) distribution shrunk from (0, 1) to (0, r), with a = 1/2:

- b = 1 makes the integral over u = q / r one of a u^(a+s-1) ((1 - r u) / (1 - r))^(n-s), which rises with r for every
  u: the rates that the bet leaves open are always an interval that ends at one bound.
- a = 1/2 is Jeffreys' exponent near 0, with which a mixture stays close to the best rate in hindsight whatever that is
  (Krichevsky and Trofimov 1981). A smaller a bets on no escapes at all and pays for the first one; a larger one expects
  escapes and pays while there are none.

What it costs, at 95 % confidence for 1 %: without an escape 377 parts instead of 299, with one 663 instead of 473, with
two 883 instead of 628. (a = 0.1 would take 315, 755 and 1,008; a = 0.7 would take 407, 666 and 876.)
"""

import math
from bisect import bisect_left
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln

from fancnn.metrics.intervals import Interval

EXPONENT = 0.5  # a of the mixture
_SMALLEST = 1e-280  # below it the incomplete beta function loses digits, and a series takes its place


def log_e_value(escapes: ArrayLike, parts: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """Compute the natural logarithm of the e-value against "the rate is at least `rate`".

    Rises with `parts` and with `rate`, falls with `escapes`; 0 without parts. `exp(-log_e_value)` is a p-value at any
    time of looking.

    Args:
        escapes: How many of the parts escaped; whole numbers in [0, parts]. Arrays are broadcast.
        parts: How many there were.
        rate: In (0, 1).

    Returns:
        Of the arguments' common shape, finite.

    Raises:
        ValueError: If a count is not in [0, parts] or a rate not in (0, 1).

    Example:
        >>> bool(log_e_value(0, 376, 0.01) < math.log(20) <= log_e_value(0, 377, 0.01))
        True
    """
    s, n, r = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (escapes, parts, rate)))
    if not np.all((s >= 0) & (s <= n)):
        raise ValueError("expected escapes from 0 to the number of parts")
    if not np.all((r > 0) & (r < 1)):
        raise ValueError("expected rates above 0 and below 1, e.g. 0.01")
    a, b = EXPONENT + s, 1 + n - s
    below = betainc(a, b, r)
    with np.errstate(divide="ignore"):
        log_value = betaln(a, b) + np.log(below) + math.log(EXPONENT) - a * np.log(r) - (n - s) * np.log1p(-r)
    deep = below < _SMALLEST
    if np.any(deep):
        log_value = np.where(deep, _log_series(s, n, np.where(deep, r, 0.0)), log_value)
    return cast(NDArray[np.float64], log_value)


def _log_series(s: NDArray[np.float64], n: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same far below the share seen, where the integral underflows: a sum of positive terms that shrink.

    Abramowitz and Stegun 1964, 26.5.4: a (1 - r) / (a + s) times the sum of the products of r (n + a + 1 + j) / (s + a
    + 1 + j). There the first of these factors is well below 1, and each next one is smaller.
    """
    term, total, j = np.ones_like(r), np.ones_like(r), 0
    while np.any(term > 1e-17 * total):
        term = term * r * (n + EXPONENT + 1 + j) / (s + EXPONENT + 1 + j)
        total, j = total + term, j + 1
    return cast(NDArray[np.float64], np.log(EXPONENT * (1 - r) / (EXPONENT + s) * total))


def upper_bound_sequential(count: int, total: int, confidence: float = 0.95) -> float:
    """Bound the rate from above, at any time of looking (one side of a confidence sequence).

    The true rate is ever above the bound, at however many looks while parts are added, in at most `1 - confidence` of
    all samples. Never below `upper_bound`, which promises that for one look alone. 1.0 where `count == total`.

    Raises:
        ValueError: If `count` is not in [0, total] or `confidence` not in (0, 1).

    Example:
        >>> from fancnn.metrics.intervals import upper_bound
        >>> round(upper_bound_sequential(0, 299), 4), round(upper_bound(0, 299), 4)
        (0.0126, 0.01)
    """
    _validate_counts(count, total, confidence)
    if count == total:
        return 1.0
    low, high = 0.0, 1.0  # the e-value rises with the rate, from below the bar to above it
    while (middle := low + (high - low) / 2) not in (low, high):
        if _proven(count, total, middle, confidence):
            high = middle
        else:
            low = middle
    return high


def sequential_interval(count: int, total: int, confidence: float = 0.95) -> Interval | None:
    """Say where the rate lies, both sides, at any time of looking; None without parts.

    Raises:
        ValueError: As `upper_bound_sequential`.

    Example:
        >>> interval = sequential_interval(48, 60)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.607, 0.937)
    """
    _validate_counts(count, total, confidence)
    if total == 0:
        return None
    side = 1 - (1 - confidence) / 2
    return Interval(1 - upper_bound_sequential(total - count, total, side), upper_bound_sequential(count, total, side))


def parts_needed_sequential(rate: float, confidence: float = 0.95, escapes: int = 0) -> int:
    """Count the NG parts at which, `escapes` of them escaping, a rate of at most `rate` is proven at any look.

    The smallest number whose `upper_bound_sequential` is at most `rate`.

    Raises:
        ValueError: If `rate` or `confidence` is not in (0, 1) or `escapes` is negative.

    Example:
        >>> parts_needed_sequential(0.01), parts_needed_sequential(0.001), parts_needed_sequential(0.01, escapes=1)
        (377, 3787, 663)
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate={rate}: expected a share above 0 and below 1, e.g. 0.01")
    _validate_counts(0, escapes, confidence)
    enough = escapes + 1
    while not _proven(escapes, enough, rate, confidence):
        enough *= 2
    tried = range(escapes + 1, enough + 1)
    return tried[bisect_left(tried, True, key=lambda parts: _proven(escapes, parts, rate, confidence))]


def _proven(escapes: int, parts: int, rate: float, confidence: float) -> bool:
    return bool(log_e_value(escapes, parts, rate) >= -math.log1p(-confidence))


def _validate_counts(count: int, total: int, confidence: float) -> None:
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total}: expected a count from 0 to the total")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share above 0 and below 1, e.g. 0.95")
