"""Whether two ways to put the same things in order agree."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, spearmanr


@dataclass(frozen=True)
class Agreement:
    """Rank correlations, in [-1, 1]: 1 the same order, 0 none in common, -1 the reverse; None where undefined.

    Attributes:
        spearman: Correlation of the ranks (Spearman 1904), equal values with their mean rank.
        kendall: Pairs in the same order less pairs in reverse, as a share; tau-b, corrected for equal values
            (Kendall 1945).
    """

    spearman: float | None
    kendall: float | None


def agreement(first: ArrayLike, second: ArrayLike) -> Agreement:
    """Return the rank correlation of two lists of values; undefined where one has no order since all are equal.

    Args:
        first: `(n,)`.
        second: `(n,)`.

    Raises:
        ValueError: If they have different lengths.

    Example:
        >>> agreement([1, 2, 3], [10, 30, 20])
        Agreement(spearman=0.5, kendall=0.333333333333)
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if one.shape != other.shape:
        raise ValueError(f"expected as many values twice, got {one.size} and {other.size}")
    if len(np.unique(one)) < 2 or len(np.unique(other)) < 2:
        return Agreement(None, None)
    correlations = spearmanr(one, other)[0], kendalltau(one, other)[0]
    return Agreement(*(round(float(value), 12) for value in correlations))  # rounding errors depend on the order
