"""What `python -m fancnn.ensemble` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import collected
from fancnn.settings.groups import DecisionSettings, LineSettings
from fancnn.settings.validation import check_calibration, check_earlier, check_line, check_promise, check_rule


@dataclass
class EnsembleSettings:
    """Everything `python -m fancnn.ensemble` can be told."""

    runs: list[str]
    calibration: str
    decision: DecisionSettings
    line: LineSettings
    output_dir: str


def check_joining(settings: EnsembleSettings) -> None:
    with collected() as check:
        for run in settings.runs:
            check(partial(check_earlier, "run", run))
        check(lambda: check_rule(settings.decision))
        check(lambda: check_promise(settings.decision))
        check(lambda: check_line(settings.line))
        check(lambda: check_calibration(settings.calibration))
