"""Images that a model scored: what every score and its interval is computed from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.clusters import natural_groups, unit_numbers
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.thresholds import Thresholds

Cell = Literal["go_passed", "go_rechecked", "overkills", "escapes", "ng_rechecked", "ng_found"]
"""A field of `ConfusionCounts`."""

CELLS: tuple[Cell, ...] = ("go_passed", "go_rechecked", "overkills", "escapes", "ng_rechecked", "ng_found")


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Truth and P(NG) of images, and the thresholds of decisions on them.

    Attributes:
        labels: `(images,)`, 0 GO and 1 NG.
        probabilities: `(images,)`, P(NG) in [0, 1].
        thresholds: Of the decisions.
        groups: Lot, panel or patient of each image, where that is the unit to count; None where each image is.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    thresholds: Thresholds
    groups: Sequence[str] | None = None

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        probabilities: ArrayLike,
        thresholds: Thresholds,
        groups: Sequence[str] | None = None,
    ) -> "ScoredImages":
        """Take labels and probabilities as they come; groups are counted only where `natural_groups` says so."""
        truth, probs = np.asarray(labels).astype(np.int64), np.asarray(probabilities, dtype=np.float64)
        return cls(truth, probs, thresholds, None if groups is None else natural_groups(groups))

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """Return the decision of each image: 0 GO, 1 RECHECK, 2 NG."""
        return self.thresholds.ranks(self.probabilities)

    @cached_property
    def counts(self) -> ConfusionCounts:
        return ConfusionCounts.of(self.labels, self.probabilities, self.thresholds)

    @cached_property
    def units(self) -> NDArray[np.intp]:
        """Return the number of the independent unit that each image belongs to."""
        return unit_numbers(self.groups, self.labels.size)

    @property
    def has_both_classes(self) -> bool:
        return bool(0 < self.labels.sum() < self.labels.size)

    def are_in(self, cells: Collection[Cell]) -> NDArray[np.bool_]:
        """Return whether each image is one of those that `cells` count.

        Example:
            >>> images = ScoredImages.of([1, 1, 0], [0.9, 0.1, 0.8], Thresholds.single(0.5))
            >>> images.are_in(["escapes", "overkills"]).tolist()
            [False, True, True]
        """
        return np.isin(self.ranks + 3 * self.labels, [CELLS.index(cell) for cell in cells])

    def count(self, cells: Collection[Cell]) -> int:
        return sum(getattr(self.counts, cell) for cell in cells)
