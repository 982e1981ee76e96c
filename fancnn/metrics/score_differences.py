"""Two models on the same images: tests of whether they differ by more than chance, and thresholds that compare.

Where images come in groups (a lot, a panel, a patient) the group is the unit: images of one group tend to be decided
alike, and a test that counts them one by one calls a difference significant far too often.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr
from scipy.stats import binom

from fancnn.metrics.clusters import unit_numbers
from fancnn.metrics.thresholds import Thresholds


def mcnemar(first_right: ArrayLike, second_right: ArrayLike, groups: Sequence[str] | None = None) -> float:
    """Return how probable so uneven a difference is, if both models are equally often right: exact, two-sided.

    Without groups: McNemar 1947, by the binomial distribution of the images that only one of the two has right. With
    groups: the exact sign-flip test over groups (Fisher 1935). Each group is the number of its images that only the
    first has right less those that only the second has; if the models are alike, each sign is as likely as the other,
    and the distribution of the sum over all signs is computed, not drawn. With one image a group it is McNemar's test.

    Args:
        first_right: `(images,)`, True where the first model is right.
        second_right: `(images,)`, for the second.
        groups: A name for each image, as in `unit_numbers`; None: each image is a unit of its own.

    Returns:
        A p-value in (0, 1]; 1.0 if no image is right in one of the two only.

    Raises:
        ValueError: If they have different lengths.

    Example:
        >>> mcnemar([True] * 6 + [False] * 4, [False] * 6 + [False] * 4)
        0.03125
        >>> mcnemar([True] * 6, [False] * 6, groups=["lot 1"] * 3 + ["lot 2"] * 3)  # two lots prove nothing
        0.5
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    validate_lengths(first, second)
    if groups is None:
        only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
        return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
    units = unit_numbers(groups, first.size)
    return _sign_flip(np.rint(np.bincount(units, first.astype(float) - second)).astype(np.int64))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several: those below a level hold together at that level (Holm 1979).

    Example:
        >>> holm([0.01, 0.04, 0.5])
        [0.03, 0.08, 0.5]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if steps.size else steps
    return [float(value) for value in adjusted]


def new_escapes(labels: ArrayLike, first_decisions: ArrayLike, second_decisions: ArrayLike) -> NDArray[np.intp]:
    """Return where the second model passes an NG part that the first did not: indices, ascending.

    A model that is better on the whole may still let through what the old one caught.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        first_decisions: `(images,)`, GO, NG or RECHECK.
        second_decisions: `(images,)`, of the second.

    Raises:
        ValueError: If they have different lengths.

    Example:
        >>> new_escapes([1, 1, 1, 0], ["NG", "RECHECK", "GO", "NG"], ["GO", "GO", "GO", "GO"]).tolist()
        [0, 1]
    """
    return _new_mistakes(labels, first_decisions, second_decisions, label=1, mistake="GO")


def new_overkills(labels: ArrayLike, first_decisions: ArrayLike, second_decisions: ArrayLike) -> NDArray[np.intp]:
    """Return where the second model rejects a GO part that the first did not: as `new_escapes`.

    Example:
        >>> new_overkills([0, 0, 0, 1], ["GO", "RECHECK", "NG", "GO"], ["NG", "NG", "NG", "NG"]).tolist()
        [0, 1]
    """
    return _new_mistakes(labels, first_decisions, second_decisions, label=0, mistake="NG")


def equal_overkill(go_probabilities: ArrayLike, overkills: int, rechecked: int = 0) -> Thresholds | None:
    """Return the thresholds at which a model does to good parts what another one does, so that their escapes compare.

    The lowest ones of all that do not treat more good parts badly: those with the fewest escapes.

    Args:
        go_probabilities: `(images,)`, P(NG) of good parts.
        overkills: How many of them may be rejected.
        rechecked: How many more may go to a person.

    Returns:
        None where there is no good part.

    Example:
        >>> equal_overkill([0.1, 0.2, 0.4, 0.8], overkills=1, rechecked=1)
        Thresholds(lower=0.2, upper=0.4)
    """
    falling = np.sort(np.asarray(go_probabilities, dtype=np.float64))[::-1]
    if not falling.size:
        return None
    lower, upper = (
        float(falling[count]) if count < falling.size else 0.0 for count in (overkills + rechecked, overkills)
    )
    return Thresholds(lower, upper)


def validate_lengths(*columns: NDArray[np.generic]) -> None:
    """Raise ValueError unless all columns have one row an image."""
    if len({column.shape for column in columns}) > 1:
        raise ValueError(f"expected one row an image, got {' and '.join(str(len(column)) for column in columns)}")


def _new_mistakes(
    labels: ArrayLike, first_decisions: ArrayLike, second_decisions: ArrayLike, *, label: int, mistake: str
) -> NDArray[np.intp]:
    truth, first, second = np.asarray(labels), np.asarray(first_decisions), np.asarray(second_decisions)
    validate_lengths(truth, first, second)
    return np.flatnonzero((truth == label) & (second == mistake) & (first != mistake))


def _sign_flip(differences: NDArray[np.int64]) -> float:
    """Return the two-sided p-value of a sum of integers under random signs: how often it is at least as far from 0."""
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    reach = int(sizes @ counts)
    if not reach:
        return 1.0
    sums = np.zeros(2 * reach + 1)  # probability of each sum, from -reach to reach
    sums[reach] = 1
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        # groups of the same size: how many are positive is binomial
        shifted = (
            weight * np.roll(sums, size * (2 * positive - count))  # nothing wraps: the reach is that of all groups
            for positive, weight in enumerate(binom.pmf(np.arange(count + 1), count, 0.5))
        )
        sums = sum(shifted, np.zeros_like(sums))
    far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(differences.sum()))
    return min(1.0, float(sums[far].sum()))
