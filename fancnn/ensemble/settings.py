"""What `python -m fancnn.ensemble` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import collected
from fancnn.settings.groups import DecisionSettings, LineSettings
from fancnn.settings.validation import (
    validate_calibration,
    validate_earlier,
    validate_line,
    validate_promise,
    validate_rule,
)


@dataclass
class EnsembleSettings:
    """Everything `python -m fancnn.ensemble` can be told."""

    runs: list[str]
    calibration: str
    decision: DecisionSettings
    line: LineSettings
    output_dir: str


def validate_joining(settings: EnsembleSettings) -> None:
    with collected() as check:
        for run in settings.runs:
            check(partial(validate_earlier, "run", run))
        check(lambda: validate_rule(settings.decision))
        check(lambda: validate_promise(settings.decision))
        check(lambda: validate_line(settings.line))
        check(lambda: validate_calibration(settings.calibration))
