"""What `python -m fancnn.lr_find` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import MOST_STEPS, at_most, is_number, validate_training


@dataclass(kw_only=True)
class LrFindSettings(TrainSettings):
    """Everything `python -m fancnn.lr_find` can be told; the training whose rate it finds is one as any."""

    min_lr: float
    max_lr: float
    steps: int


def validate_range_test(settings: LrFindSettings) -> None:
    with collected() as check:
        check(lambda: validate_training(settings))
        check(lambda: _validate_rates(settings.min_lr, settings.max_lr))
        check(lambda: _validate_steps(settings.steps))
        if settings.ckpt is not None:
            raise UserError(f"ckpt={settings.ckpt}: a range test starts from fresh weights; leave ckpt out")


def _validate_rates(low: float, high: float) -> None:
    if not (is_number(low) and is_number(high) and 0 < low < high):
        raise UserError(f"min_lr={low} and max_lr={high} should be above 0, the second above the first")


def _validate_steps(steps: int) -> None:
    if not 20 <= steps <= MOST_STEPS:
        more = at_most(steps, MOST_STEPS)
        raise UserError(f"steps={steps} should be 20 or more{more}: fewer make no curve")
