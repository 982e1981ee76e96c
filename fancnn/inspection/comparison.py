"""Two models on the same pictures: where they differ, and whether that is more than chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import Interval, Sample, bootstrap_intervals

Statistic = Callable[[NDArray[np.int64], NDArray[np.float64]], float | None]
"""A score of labels and probabilities, None where undefined, such as `fancnn.inspection.scores.auroc`."""


@dataclass(frozen=True)
class Flip:
    """A picture that two models decide differently; `label` is None where the truth is not known."""

    path: str
    label: int | None
    first: str
    second: str


def flips(
    paths: Sequence[str], labels: Sequence[int | None], first: Sequence[str], second: Sequence[str]
) -> list[Flip]:
    """The pictures that two models decide differently, in the order given.

    Args:
        paths: Of the pictures.
        labels: 0 GO, 1 NG, None unknown.
        first: Decisions of the first model: GO, NG or RECHECK.
        second: Decisions of the second.

    Raises:
        ValueError: If the four have different lengths.

    Example:
        >>> flips(["a.png", "b.png"], [1, 0], ["NG", "GO"], ["GO", "GO"])
        [Flip(path='a.png', label=1, first='NG', second='GO')]
    """
    rows = zip(paths, labels, first, second, strict=True)
    return [Flip(*row) for row in rows if row[2] != row[3]]


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> float:
    """How probable so uneven a difference is, if both models are equally often right: exact, two-sided.

    McNemar 1947, by the binomial distribution of the pictures that only one of the two has right. 1.0 if there are
    none.

    Args:
        first_right: `(pictures,)`, True where the first model is right.
        second_right: `(pictures,)`, for the second.

    Raises:
        ValueError: If they have different lengths.

    Example:
        >>> mcnemar([True] * 6 + [False] * 4, [False] * 6 + [False] * 4)
        0.03125
    """
    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    _check_lengths(first, second)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def paired_difference(
    labels: ArrayLike,
    first_probabilities: ArrayLike,
    second_probabilities: ArrayLike,
    statistic: Statistic,
    groups: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float | None, Interval | None]:
    """How much better the second model is, with a 95 % bootstrap interval.

    Both models are scored on the same drawn pictures, so what makes a draw hard for both cancels out.

    Args:
        labels: `(pictures,)`, 0 GO and 1 NG.
        first_probabilities: `(pictures,)`, P(NG) of the first model.
        second_probabilities: `(pictures,)`, P(NG) of the second.
        statistic: The score.
        groups: Kept together in the draws, as in `bootstrap_intervals`.
        draws: How many samples.
        seed: Of the draws.

    Returns:
        The score of the second less that of the first, None where one is undefined; and its interval, None as in
        `bootstrap_intervals`.

    Raises:
        ValueError: If labels, probabilities or groups have different lengths.

    Example:
        >>> from fancnn.inspection.scores import auroc
        >>> difference, interval = paired_difference([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], [0.1, 0.2, 0.8, 0.9], auroc)
        >>> difference, interval.low >= 0
        (0.25, True)
    """
    truth = np.asarray(labels).astype(np.int64)
    first, second = (np.asarray(p, dtype=np.float64) for p in (first_probabilities, second_probabilities))
    _check_lengths(truth, first, second)

    def difference(sample: Sample) -> float | None:
        of_first, of_second = (statistic(truth[sample], p[sample]) for p in (first, second))
        return None if of_first is None or of_second is None else of_second - of_first

    intervals = bootstrap_intervals(lambda s: {"it": difference(s)}, groups, truth.size, draws=draws, seed=seed)
    return difference(np.arange(truth.size)), intervals["it"]


def new_escapes(labels: ArrayLike, first_decisions: ArrayLike, second_decisions: ArrayLike) -> NDArray[np.intp]:
    """Where the second model passes an NG part that the first did not: indices, ascending.

    A model that is better on the whole may still let through what the old one caught.

    Args:
        labels: `(pictures,)`, 0 GO and 1 NG.
        first_decisions: `(pictures,)`, GO, NG or RECHECK.
        second_decisions: `(pictures,)`, of the second.

    Raises:
        ValueError: If they have different lengths.

    Example:
        >>> new_escapes([1, 1, 1, 0], ["NG", "RECHECK", "GO", "NG"], ["GO", "GO", "GO", "GO"]).tolist()
        [0, 1]
    """
    truth, first, second = np.asarray(labels), np.asarray(first_decisions), np.asarray(second_decisions)
    _check_lengths(truth, first, second)
    return np.flatnonzero((truth == 1) & (second == "GO") & (first != "GO"))


def equal_overkill(go_probabilities: ArrayLike, overkills: int, rechecked: int = 0) -> Thresholds | None:
    """The thresholds at which a model does to good parts what another one does, so that their escapes compare.

    The lowest ones of all that do not treat more good parts badly: those with the fewest escapes.

    Args:
        go_probabilities: `(pictures,)`, P(NG) of good parts.
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


def _check_lengths(*columns: NDArray[np.generic]) -> None:
    if len({column.shape for column in columns}) > 1:
        raise ValueError(f"expected one row a picture, got {' and '.join(str(len(column)) for column in columns)}")
