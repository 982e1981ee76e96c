"""How things are measured: several times, in turn with what they are compared to, and summarized by the median."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """One measured figure.

    Attributes:
        name: What was measured.
        unit: Of `values`.
        values: One for each repeat.
        limit: The figure it is held against, in the same unit, measured in the same run; None if there is none.
        against: What the limit is, in words.
    """

    name: str
    unit: str
    values: Sequence[float]
    limit: Sequence[float] = field(default_factory=tuple)
    against: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def ratio(self) -> float | None:
        """Return the median of the ratios, pair by pair where both were measured in turn: a slow moment hits both."""
        if not self.limit:
            return None
        if len(self.limit) == len(self.values):
            return statistics.median(a / b for a, b in zip(self.values, self.limit, strict=True))
        return self.median / statistics.median(self.limit)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "median": self.median, "ratio": self.ratio}

    def cells(self) -> list[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} of {self.against}"
        spread = f"{shown(min(self.values))} to {shown(max(self.values))}"
        return [self.name, f"{shown(self.median)} {self.unit}", spread, ratio]


def shown(value: float) -> str:
    """Return three or four digits, whatever the size.

    Example:
        >>> shown(1234.56), shown(12.345), shown(0.012345)
        ('1,235', '12.3', '0.0123')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(repeats: int, *works: Callable[[], float]) -> list[list[float]]:
    """Call each of `works`, which measure themselves, `repeats` times in turn; a first round is not counted."""
    for work in works:
        work()
    rounds = [[work() for work in works] for _ in range(repeats)]
    return [list(values) for values in zip(*rounds, strict=True)]
