"""Settings of `python -m fancnn.lr_find`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import MOST_STEPS, at_most, is_number


@dataclass(kw_only=True)
class LrFindSettings(TrainSettings):
    """All settings of `python -m fancnn.lr_find`; the training whose rate it finds is one as any."""

    min_lr: float
    max_lr: float
    steps: int

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(self._validate_rates)
            check(self._validate_steps)
            if self.ckpt is not None:
                raise UserError(f"ckpt={self.ckpt}: a range test starts from fresh weights; leave ckpt out")

    def _validate_rates(self) -> None:
        low, high = self.min_lr, self.max_lr
        if not (is_number(low) and is_number(high) and 0 < low < high):
            raise UserError(f"min_lr={low} and max_lr={high} should be above 0, the second above the first")

    def _validate_steps(self) -> None:
        if not 20 <= self.steps <= MOST_STEPS:
            more = at_most(self.steps, MOST_STEPS)
            raise UserError(f"steps={self.steps} should be 20 or more{more}: fewer make no curve")
