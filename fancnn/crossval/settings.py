"""What `python -m fancnn.crossval` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import validate_folds, validate_training


@dataclass(kw_only=True)
class CrossvalSettings(TrainSettings):
    """Everything `python -m fancnn.crossval` can be told."""

    folds: int


def validate_crossing(settings: CrossvalSettings) -> None:
    with collected() as check:
        check(lambda: validate_training(settings))
        check(lambda: validate_folds(settings.folds))
