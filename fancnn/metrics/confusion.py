"""How parts were decided, by truth: the counts that rates, forecasts, reports and `metrics.json` share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fancnn.metrics.thresholds import Thresholds
from fancnn.plurals import plural


@dataclass(frozen=True)
class ConfusionCounts:
    """Counts of parts by truth and decision, in the words of a line; what is rechecked is looked at by a person.

    Attributes:
        ng_found: NG parts that are rejected.
        escapes: NG parts that pass.
        overkills: GO parts that are rejected.
        go_passed: GO parts that pass.
        ng_rechecked: NG parts that go to a person.
        go_rechecked: GO parts that go to a person.
    """

    ng_found: int
    escapes: int
    overkills: int
    go_passed: int
    ng_rechecked: int = 0
    go_rechecked: int = 0

    @classmethod
    def of(cls, labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds) -> "ConfusionCounts":
        """Count decisions at `thresholds` against labels (0 GO, 1 NG).

        Example:
            >>> ConfusionCounts.of([1, 1, 0], [0.9, 0.1, 0.2], Thresholds.single(0.5))
            ConfusionCounts(ng_found=1, escapes=1, overkills=0, go_passed=1, ng_rechecked=0, go_rechecked=0)
        """
        truth, ranks = np.asarray(labels).astype(bool), thresholds.ranks(probabilities)
        escapes, ng_rechecked, ng_found = np.bincount(ranks[truth], minlength=3).tolist()
        go_passed, go_rechecked, overkills = np.bincount(ranks[~truth], minlength=3).tolist()
        return cls(ng_found, escapes, overkills, go_passed, ng_rechecked, go_rechecked)

    @property
    def ng(self) -> int:
        return self.ng_found + self.escapes + self.ng_rechecked

    @property
    def go(self) -> int:
        return self.overkills + self.go_passed + self.go_rechecked

    @property
    def rechecked(self) -> int:
        return self.ng_rechecked + self.go_rechecked

    def in_words(self) -> str:
        """Return one sentence for a console or a report."""
        ng, go = (
            f", {count:,} to RECHECK" if self.rechecked else "" for count in (self.ng_rechecked, self.go_rechecked)
        )
        return (
            f"{self.ng_found:,} of {self.ng:,} NG parts found{ng}, {plural(self.escapes, 'escape')}; "
            f"{self.go_passed:,} of {self.go:,} GO parts passed{go}, {plural(self.overkills, 'overkill')}"
        )
