"""Settings of `python -m fancnn.crossval`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.errors import collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import validate_folds


@dataclass(kw_only=True)
class CrossvalSettings(TrainSettings):
    """All settings of `python -m fancnn.crossval`."""

    folds: int

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(lambda: validate_folds(self.folds))
