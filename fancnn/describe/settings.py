"""Settings of `python -m fancnn.describe`: its keys, their types, and which values they may have."""

from dataclasses import dataclass
from typing import Any

from fancnn.errors import UserError
from fancnn.settings.groups import ImageSizeSettings
from fancnn.settings.validation import validate_seed

MOST_OUTPUTS = 10_000


@dataclass
class NetworkSettings:
    """A network by `_target_`, without what trains it, and how many outputs it has."""

    network: dict[str, Any]
    num_outputs: int

    def __post_init__(self) -> None:
        if not 1 <= self.num_outputs <= MOST_OUTPUTS:
            raise UserError(
                f"num_outputs={self.num_outputs}: expected 1 (a logit of NG), or with GO and n kinds of NG n + 1, up "
                f"to {MOST_OUTPUTS:,}"
            )


@dataclass
class DescribeSettings:
    """All settings of `python -m fancnn.describe`."""

    seed: int
    data: ImageSizeSettings
    model: NetworkSettings

    def __post_init__(self) -> None:
        validate_seed(self.seed)
