"""What can be proven of the parts of a line that makes them in lots: a bound on the share of NG parts that pass.

Parts of one lot, panel or patient are alike, so that parts are no independent draws; lots are. Lot i has `n_i` NG
parts, of which `e_i` pass, and no lot of the line has more than M. The share of the line's NG parts that pass is
E[e] / E[n]: one rare, large, bad lot may carry most of it, and without M nothing could be claimed. Against the
hypothesis that this share is r or more, that is E[e] >= r E[n], let

    z_i = r n_i - e_i,        -(1 - r) M <= z_i <= r M,        E[z] <= 0.

For each bet b in [0, 1 / ((1 - r) M)] the product over all lots of (1 + b z_i) is never negative and has a mean of at
most 1; so has any average over bets that were fixed beforehand. By Markov's inequality it reaches 1 / (1 - confidence)
with a probability of at most 1 - confidence, whatever the sizes, the escapes and their distribution (betting, or
e-values: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS B 86;
Ville 1939). The share is then below r.

Two things follow from b = c / ((1 - r) M) with c fixed in [0, 1]. Each factor is 1 + c (r n - e) / ((1 - r) M), whose
derivative by r is c (n - e) / ((1 - r)^2 M) >= 0: the evidence rises with r, so the r for which the claim holds are all
those from one on, the bound. And it falls as escapes rise: a threshold that is searched from the safest on until the
claim fails may be kept, as in `fancnn.decisions.threshold_choice.threshold_for_escape_rate`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from fancnn.plurals import plural

# shares c of the largest bet, and how much is laid on each: half on the largest, which needs the fewest lots where few
# parts pass; the rest evenly below it, since c = 1 - (share that passes) / r is the best bet for lots of one part
BETS = np.concatenate([[1.0], np.linspace(0.95, 0.05, 19), [0.02, 0.01]])
WEIGHTS = np.concatenate([[0.5], np.full(21, 0.5 / 21)])
MOST_LOTS = 10**9


def log_evidence(sizes: ArrayLike, escapes: ArrayLike, rate: float, largest: int) -> float:
    """Return the logarithm of the e-value against an escape rate of the line's parts of `rate` or more.

    Args:
        sizes: NG parts of each lot `(lots,)`, from 0 to `largest`.
        escapes: Of those passed `(lots,)`.
        rate: In (0, 1).
        largest: The most NG parts that a lot of the line can hold.

    Raises:
        ValueError: If a lot has more NG parts than `largest`, or more escapes than parts, or `rate` is not in (0, 1).

    Example:
        >>> round(math.exp(log_evidence([3, 2, 4], [0, 0, 0], 0.5, 4)), 2)
        3.91
    """
    return float(logsumexp(_log_by_bet(*_checked(sizes, escapes, largest), rate, largest), b=WEIGHTS))


def upper_bound_by_lot(sizes: ArrayLike, escapes: ArrayLike, largest: int, confidence: float = 0.95) -> float:
    """Return the highest escape rate of the line's parts that these lots leave open.

    The true rate is above it in at most `1 - confidence` of all samples of lots. 1.0 where nothing is proven.

    Args:
        sizes: As `log_evidence`.
        escapes: As `log_evidence`.
        largest: As `log_evidence`.
        confidence: In (0, 1).

    Raises:
        ValueError: As `log_evidence`, or if `confidence` is not in (0, 1).

    Example:
        >>> [round(upper_bound_by_lot([1] * 300, [0] * 300, largest), 4) for largest in (1, 10, 40)]
        [0.0115, 0.1042, 0.3175]
    """
    _validate_confidence(confidence)
    lots, asked = _checked(sizes, escapes, largest), -math.log1p(-confidence)
    low, high = 0.0, 1.0
    # the evidence rises with the rate: halve until both ends print the same, and keep the end at which the claim holds
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if logsumexp(_log_by_bet(*lots, middle, largest), b=WEIGHTS) >= asked:
            high = middle
        else:
            low = middle
        if low > 1 - 1e-9:
            return 1.0
    return high


def holds_by_lot(sizes: ArrayLike, escapes: ArrayLike, rate: float, largest: int, confidence: float = 0.95) -> bool:
    """Return whether these lots prove an escape rate of the line's parts below `rate`.

    Raises:
        ValueError: As `upper_bound_by_lot`.
    """
    _validate_confidence(confidence)
    return log_evidence(sizes, escapes, rate, largest) >= -math.log1p(-confidence)


def lots_needed(rate: float, mean_size: float, largest: int, confidence: float = 0.95) -> int:
    """Return how many lots of `mean_size` NG parts, none of which passes, prove an escape rate of at most `rate`.

    Raises:
        ValueError: If `mean_size` is not in (0, largest], or `rate` or `confidence` not in (0, 1).

    Example:
        >>> lots_needed(0.01, 1, 1), lots_needed(0.01, 1.5, 40), lots_needed(0.01, 40, 40)
        (346, 9162, 346)
    """
    _validate_confidence(confidence)
    if not 0 < mean_size <= largest:
        raise ValueError(f"mean_size={mean_size}: expected NG parts of a lot, above 0 and at most {largest}")
    return _copies_needed(_log_by_bet(_row(mean_size), _row(0.0), _row(1.0), rate, largest), confidence)


def lots_needed_at_this_share(
    sizes: ArrayLike, escapes: ArrayLike, rate: float, largest: int, confidence: float = 0.95
) -> int | None:
    """Return how many lots like these prove an escape rate of at most `rate`; None where no number does.

    Raises:
        ValueError: As `upper_bound_by_lot`.
    """
    _validate_confidence(confidence)
    sized, passed, counts = _checked(sizes, escapes, largest)
    total = counts.sum()
    by_bet = _log_by_bet(sized, passed, counts, rate, largest) / total
    return _copies_needed(by_bet, confidence) if by_bet.max() > 0 else None


def _copies_needed(by_bet: NDArray[np.float64], confidence: float) -> int:
    """Return how many lots, each with the log-evidence `by_bet`, reach the confidence, by doubling and then halving."""
    asked = -math.log1p(-confidence)

    def enough(count: int) -> bool:
        return bool(logsumexp(count * by_bet, b=WEIGHTS) >= asked)

    high = 1
    while not enough(high) and high < MOST_LOTS:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _log_by_bet(
    sizes: NDArray[np.float64],
    escapes: NDArray[np.float64],
    counts: NDArray[np.float64],
    rate: float,
    largest: int,
) -> NDArray[np.float64]:
    """Return the log of the product over lots for each bet `(bets,)`: minus infinity for a bet that lost everything."""
    if not 0 < rate < 1:
        raise ValueError(f"rate={rate}: expected a share above 0 and below 1, e.g. 0.01")
    gains = (rate * sizes - escapes) / ((1 - rate) * largest)
    with np.errstate(divide="ignore"):
        # rounding must not take a lost bet below nothing
        return np.log1p(np.maximum(BETS[:, None] * gains, -1.0)) @ counts


def _checked(
    sizes: ArrayLike, escapes: ArrayLike, largest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the sizes and escapes that occur, and how often."""
    sized, passed = np.asarray(sizes, np.int64), np.asarray(escapes, np.int64)
    if sized.shape != passed.shape or sized.ndim != 1:
        raise ValueError(f"{sized.shape} sizes and {passed.shape} escapes: expected one of each for each lot")
    if largest < 1 or (sized.size and sized.max() > largest):
        raise ValueError(
            f"a lot has {plural(int(sized.max(initial=0)), 'NG part')}: expected at most largest={largest}, and "
            "that at least 1"
        )
    if ((passed < 0) | (passed > sized)).any():
        raise ValueError("a lot has more escapes than NG parts, or fewer than none")
    if not sized.size:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    pairs, counts = np.unique(np.stack([sized, passed]), axis=1, return_counts=True)
    return pairs[0].astype(np.float64), pairs[1].astype(np.float64), counts.astype(np.float64)


def _row(value: float) -> NDArray[np.float64]:
    return np.array([value], np.float64)


def _validate_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share above 0 and below 1, e.g. 0.95")
