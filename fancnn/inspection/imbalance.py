"""What the counts of the two classes say: weights that make them equal, and where a network should start."""

from math import log
from typing import NamedTuple


class ClassCounts(NamedTuple):
    """How many training pictures are GO and NG, at least one each."""

    go: int
    ng: int

    @property
    def weights(self) -> tuple[float, float]:
        """Of a GO and of an NG picture: `N / (2 N_c)`, so that both classes weigh the same and the mean weight is 1.

        Example:
            >>> ClassCounts(go=75, ng=25).weights
            (0.6666666666666666, 2.0)
        """
        total = self.go + self.ng
        return total / (2 * self.go), total / (2 * self.ng)

    @property
    def logit(self) -> float:
        """Log of NG to GO: the logit of the share of NG, the best guess before a picture is seen.

        Example:
            >>> ClassCounts(go=50, ng=50).logit
            0.0
        """
        return log(self.ng / self.go)
