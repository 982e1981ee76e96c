"""What `python -m fancnn.crossval` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import validate_folds


@dataclass(kw_only=True)
class CrossvalSettings(TrainSettings):
    """Everything `python -m fancnn.crossval` can be told."""

    folds: int

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(lambda: validate_folds(self.folds))
