"""What `python -m fancnn.evaluate` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits, LineSettings
from fancnn.settings.validation import (
    TABLE_EXPECTED,
    check_asked_thresholds,
    check_device,
    check_earlier,
    check_file,
    check_folder,
    check_line,
    check_split_name,
)


@dataclass
class OtherData:
    """Pictures to evaluate on: another folder than the run's own, and what its folders are called here."""

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


def check_evaluation(settings: EvaluateSettings) -> None:
    """What can be refused before anything is read.

    Raises:
        UserError: Naming the key.
    """
    with collected() as check:
        check(lambda: check_split_name("split", settings.split))
        check(lambda: check_line(settings.line))
        check(lambda: check_device(settings.device))
        check(lambda: check_asked_thresholds(settings.threshold, settings.recheck))
        check(lambda: check_folder("data.root", settings.data.root, "a folder of class folders"))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_file("table", settings.table, TABLE_EXPECTED))
        if (settings.run is None) == (settings.table is None):
            raise UserError("say either run=outputs/train/<stamp>, or table=predictions.csv of any model")
