"""What `python -m fancnn.report` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import LineSettings
from fancnn.settings.validation import (
    TABLE_EXPECTED,
    check_asked_thresholds,
    check_earlier,
    check_file,
    check_folder,
    check_line,
    check_written,
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


def check_reporting(settings: ReportSettings) -> None:
    with collected() as check:
        check(lambda: check_line(settings.line))
        check(lambda: check_asked_thresholds(settings.threshold, settings.recheck))
        check(lambda: check_folder("root", settings.root, "one that the paths are relative to"))
        check(lambda: check_written("output", settings.output))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_file("table", settings.table, TABLE_EXPECTED))
        if (settings.run is None) == (settings.table is None):
            said = "both are said" if settings.run else "neither is said"
            raise UserError(f"say either run=outputs/train/<stamp> or table=predictions.csv: {said}")
