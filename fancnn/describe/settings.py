"""What `python -m fancnn.describe` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import NetworkSettings, PixelSettings
from fancnn.settings.validation import validate_image_size, validate_seed

MOST_OUTPUTS = 10_000


@dataclass
class DescribeSettings:
    """Everything `python -m fancnn.describe` can be told."""

    seed: int
    data: PixelSettings
    model: NetworkSettings


def validate_describing(settings: DescribeSettings) -> None:
    with collected() as check:
        check(lambda: validate_image_size(settings.data.image_size))
        check(lambda: validate_seed(settings.seed))
        check(lambda: _validate_outputs(settings.model.num_outputs))


def _validate_outputs(count: int) -> None:
    if not 1 <= count <= MOST_OUTPUTS:
        raise UserError(
            f"model.num_outputs={count}: expected 1 (a logit of NG), or with GO and n kinds of NG n + 1, up to "
            f"{MOST_OUTPUTS:,}"
        )
