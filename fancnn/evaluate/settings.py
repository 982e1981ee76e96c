"""What `python -m fancnn.evaluate` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits, LineSettings
from fancnn.settings.validation import (
    TABLE_EXPECTED,
    validate_asked_thresholds,
    validate_device,
    validate_earlier,
    validate_file,
    validate_folder,
    validate_line,
    validate_split_name,
)


@dataclass
class OtherData:
    """Images to evaluate on: another folder than the run's own, and what its folders are called here."""

    root: str | None
    class_names: dict[Any, str] | None  # a folder may be called 100, which Hydra reads as a number


@dataclass
class EvaluateSettings:
    """Everything `python -m fancnn.evaluate` can be told."""

    run: str | None
    table: str | None
    split: str | None
    data: OtherData
    threshold: float | None
    recheck: float | None
    line: LineSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


def validate_evaluation(settings: EvaluateSettings) -> None:
    """What can be refused before anything is read.

    Raises:
        UserError: Naming the key.
    """
    with collected() as check:
        check(lambda: validate_split_name("split", settings.split))
        check(lambda: validate_line(settings.line))
        check(lambda: validate_device(settings.device))
        check(lambda: validate_asked_thresholds(settings.threshold, settings.recheck))
        check(lambda: validate_folder("data.root", settings.data.root, "a folder of class folders"))
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_file("table", settings.table, TABLE_EXPECTED))
        if (settings.run is None) == (settings.table is None):
            raise UserError("say either run=outputs/train/<stamp>, or table=predictions.csv of any model")
