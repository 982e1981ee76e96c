"""Settings of `python -m fancnn.size`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import MOST_REDUCED, validate_share

MOST_SIZES = 12


@dataclass(kw_only=True)
class SizeSettings(TrainSettings):
    """All settings of `python -m fancnn.size`."""

    reductions: list[float] | None  # None: chosen by the size of the images
    confidence: float

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(self._validate_reductions)
            check(lambda: validate_share("confidence", self.confidence))

    def _validate_reductions(self) -> None:
        numbers = self.reductions
        if numbers is None:
            return
        repeated = len(set(numbers)) < len(numbers)
        if repeated or not 2 <= len(numbers) <= MOST_SIZES or not all(1 <= item <= MOST_REDUCED for item in numbers):
            raise UserError(
                f"reductions={numbers} should be 2 to {MOST_SIZES} different numbers from 1, the images' own size, to "
                f"{MOST_REDUCED}, e.g. reductions=[2,4,8]; null chooses them by the size of the images"
            )
        if self.data.reduce is not None and not all(float(item).is_integer() for item in numbers):
            raise UserError(
                f"reductions={numbers} should be whole numbers, e.g. [1,2,4]: this recipe takes images at their own "
                "size, divided by data.reduce"
            )
