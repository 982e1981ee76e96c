"""What `python -m fancnn.describe` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import NetworkSettings, PixelSettings
from fancnn.settings.validation import validate_image_size, validate_seed


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
        check(lambda: _validate_outputs(settings.model.outputs))


def _validate_outputs(outputs: str) -> None:
    if outputs not in ("one", "two") and not (outputs.isdecimal() and 1 <= int(outputs) <= 10_000):
        more = ": 1 more than there are defect types" if outputs == "types" else ""
        raise UserError(f"model.outputs={outputs} should be one, two, or a number here{more}")
