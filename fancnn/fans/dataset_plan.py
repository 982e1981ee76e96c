"""Which image of a set is good and which has what defect, and the checks of what was asked for."""

from dataclasses import asdict, dataclass

import numpy as np

from fancnn.fans.defects import DEFECTS
from fancnn.settings.groups import FansSettings

# Keeps the shuffling of the classes apart from the images' own random numbers.
_CLASSES = 0x60_0D


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
        FansSettings(**asdict(self))


def kinds(order: Order) -> list[str | None]:
    """Return the defect of each image, None for the good ones.

    `round(count * ng_fraction)` images get one. Their places are shuffled by the seed, and the
    numbers of two kinds of defect differ by one at most.
    """
    shuffled = np.random.default_rng((order.seed, _CLASSES)).permutation(order.count)
    defects: list[str | None] = [None] * order.count
    for turn, index in enumerate(shuffled[: round(order.count * order.ng_fraction)]):
        defects[index] = DEFECTS[turn % len(DEFECTS)]
    return defects
