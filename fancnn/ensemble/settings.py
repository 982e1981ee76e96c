"""Settings of `python -m fancnn.ensemble`: its keys, their types, and which values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import collected
from fancnn.settings.choices import CalibrationMethod, validate_choices
from fancnn.settings.groups import DecisionSettings, LineSettings, validate_promise
from fancnn.settings.validation import validate_earlier


@dataclass
class EnsembleSettings:
    """All settings of `python -m fancnn.ensemble`."""

    runs: list[str]
    calibration: CalibrationMethod
    decision: DecisionSettings
    line: LineSettings
    output_dir: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            check(lambda: validate_promise(self.decision))

    def validate_paths(self) -> None:
        with collected() as check:
            for run in self.runs:
                check(partial(validate_earlier, "run", run))
