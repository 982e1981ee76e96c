"""Settings of `python -m fancnn.evaluate`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.choices import SplitName, validate_choices
from fancnn.settings.groups import ImageLimits, LineSettings
from fancnn.settings.validation import (
    TABLE_EXPECTED,
    validate_device,
    validate_earlier,
    validate_file,
    validate_folder,
    validate_thresholds,
)


@dataclass
class OtherData:
    """Images to evaluate on: another folder than the run's own, and what its folders are called here."""

    root: str | None
    class_names: dict[Any, str] | None  # a folder may be called 100, which Hydra reads as a number
    masks: str | None = None


@dataclass
class EvaluateSettings:
    """All settings of `python -m fancnn.evaluate`."""

    run: str | None
    table: str | None
    split: SplitName | None
    data: OtherData
    threshold: float | None
    recheck: float | None
    line: LineSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            check(lambda: validate_device(self.device))
            check(lambda: validate_thresholds(self.threshold, self.recheck))
            if (self.run is None) == (self.table is None):
                raise UserError("give either run=outputs/train/<stamp>, or table=predictions.csv of any model")
            if self.data.masks is not None and self.run is None:
                raise UserError("data.masks needs run=outputs/train/<stamp>: the size of its images is not in a table")

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_folder("data.root", self.data.root, "a folder of class folders"))
            check(lambda: validate_folder("data.masks", self.data.masks, "one with masks, named like their images"))
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_file("table", self.table, TABLE_EXPECTED))
