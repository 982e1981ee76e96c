"""What `python -m fancnn.report` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import LineSettings
from fancnn.settings.validation import (
    TABLE_EXPECTED,
    validate_asked_thresholds,
    validate_earlier,
    validate_file,
    validate_folder,
    validate_line,
    validate_written,
)


@dataclass
class ReportSettings:
    """Everything `python -m fancnn.report` can be told."""

    run: str | None
    table: str | None
    threshold: float | None
    recheck: float | None
    root: str | None
    line: LineSettings
    output: str | None
    output_dir: str


def validate_reporting(settings: ReportSettings) -> None:
    with collected() as check:
        check(lambda: validate_line(settings.line))
        check(lambda: validate_asked_thresholds(settings.threshold, settings.recheck))
        check(lambda: validate_folder("root", settings.root, "one that the paths are relative to"))
        check(lambda: validate_written("output", settings.output))
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_file("table", settings.table, TABLE_EXPECTED))
        if (settings.run is None) == (settings.table is None):
            said = "both are said" if settings.run else "neither is said"
            raise UserError(f"say either run=outputs/train/<stamp> or table=predictions.csv: {said}")
