"""Which picture of a set is good and which has what defect, and the checks of what was asked for."""

from dataclasses import dataclass

import numpy as np

from fancnn.errors import UserError
from fancnn.rendering.flaws import DEFECTS

# Keeps the shuffling of the classes apart from the pictures' own random numbers.
_CLASSES = 0x60_0D

SMALLEST_SIZE = 48


@dataclass(frozen=True)
class Order:
    """What was asked for; see `render_fans` for the meaning of each."""

    count: int
    seed: int
    ng_fraction: float
    size: int
    severity: float

    def check(self) -> None:
        """Raise `UserError` if a value is out of its range."""
        _expect(self.count >= 1, "count", self.count, "at least 1 picture", "count=600")
        _expect(self.seed >= 0, "seed", self.seed, "0 or more", "seed=0")
        _expect(0 <= self.ng_fraction <= 1, "ng_fraction", self.ng_fraction, "from 0 to 1", "ng_fraction=0.5")
        _expect(self.size >= SMALLEST_SIZE, "size", self.size, f"at least {SMALLEST_SIZE} pixels", "size=240")
        _expect(0 < self.severity < np.inf, "severity", self.severity, "above 0", "severity=1")


def kinds(order: Order) -> list[str | None]:
    """Return the defect of each picture, None for the good ones.

    `round(count * ng_fraction)` pictures get one. Their places are shuffled by the seed, and the
    numbers of two kinds of defect differ by one at most.
    """
    shuffled = np.random.default_rng((order.seed, _CLASSES)).permutation(order.count)
    found: list[str | None] = [None] * order.count
    for turn, index in enumerate(shuffled[: round(order.count * order.ng_fraction)]):
        found[index] = DEFECTS[turn % len(DEFECTS)]
    return found


def _expect(met: bool, name: str, value: float, range_: str, example: str) -> None:
    if not met:
        raise UserError(f"{name}={value!r} is out of range: expected {range_}. Try {example}")
