"""From a probability of NG to a decision: one threshold, or two with RECHECK between them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.rounding import printed_threshold

Decision = Literal["GO", "RECHECK", "NG"]
DECISIONS: tuple[Decision, ...] = ("GO", "RECHECK", "NG")


def worst_decision(decisions: Iterable[str]) -> Decision | None:
    """Return the decision on a part of several images: NG if one is, else RECHECK if one is, else GO.

    Args:
        decisions: On its images; empty where there is none on an image.

    Returns:
        None where nothing is NG and an image has no decision: it might have been.

    Example:
        >>> worst_decision(["GO", "NG", ""]), worst_decision(["GO", "RECHECK"]), worst_decision(["GO", ""])
        ('NG', 'RECHECK', None)
    """
    made = set(decisions)
    if "NG" in made:
        return "NG"
    if not made or not made <= set(DECISIONS):
        return None
    return "RECHECK" if "RECHECK" in made else "GO"


@dataclass(frozen=True)
class Thresholds:
    """GO up to `lower`, NG above `upper`, RECHECK between them: a person looks. Equal ones leave no RECHECK.

    Raises:
        ValueError: Unless 0 <= lower <= upper <= 1.

    Example:
        >>> Thresholds(0.2, 0.7).decide(0.5), Thresholds.single(0.5).decide(0.5)
        ('RECHECK', 'GO')
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0 <= self.lower <= self.upper <= 1:
            raise ValueError(f"thresholds {self.lower} and {self.upper} should be 0 <= lower <= upper <= 1")

    @classmethod
    def of(cls, threshold: float, recheck: float | None = None) -> "Thresholds":
        """Return what is meant by the keys `threshold`, where NG begins, and `recheck`, where RECHECK does.

        Example:
            >>> Thresholds.of(0.7, 0.2), Thresholds.of(0.7)
            (Thresholds(lower=0.2, upper=0.7), Thresholds(lower=0.7, upper=0.7))
        """
        return cls(threshold if recheck is None else recheck, threshold)

    @classmethod
    def single(cls, threshold: float) -> "Thresholds":
        return cls(threshold, threshold)

    @property
    def has_recheck(self) -> bool:
        return self.lower < self.upper

    def decide(self, probability: float) -> Decision:
        """Decide on one part; both thresholds are strict, as in torchmetrics and Keras.

        Raises:
            ValueError: If the probability is NaN or infinite: that is no decision.
        """
        return DECISIONS[int(self.ranks([probability])[0])]

    def ranks(self, probabilities: ArrayLike) -> NDArray[np.int64]:
        """Return the index of each decision in `DECISIONS`: 0 GO, 1 RECHECK, 2 NG.

        Raises:
            ValueError: If a probability is NaN or infinite. NaN is above no threshold, so that it would be GO.
        """
        probs = np.asarray(probabilities, dtype=np.float64)
        if not np.isfinite(probs).all():
            raise ValueError("no decision: expected probabilities in [0, 1], got NaN or infinity")
        return (probs > self.lower).astype(np.int64) + (probs > self.upper)

    def in_words(self) -> str:
        """Return the thresholds for a console or a report, rounded down: typed again they pass no part more.

        Example:
            >>> Thresholds(0.2, 0.7).in_words(), Thresholds.single(0.43219).in_words()
            ('GO up to 0.2, RECHECK up to 0.7, NG above', 'NG above 0.4321')
        """
        lower, upper = printed_threshold(self.lower), printed_threshold(self.upper)
        return f"GO up to {lower}, RECHECK up to {upper}, NG above" if self.has_recheck else f"NG above {upper}"
