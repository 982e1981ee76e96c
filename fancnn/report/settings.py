"""Settings of `python -m fancnn.report`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import LineSettings
from fancnn.settings.validation import (
    TABLE_EXPECTED,
    validate_earlier,
    validate_file,
    validate_folder,
    validate_thresholds,
    validate_written,
)


@dataclass
class ReportSettings:
    """All settings of `python -m fancnn.report`."""

    run: str | None
    table: str | None
    threshold: float | None
    recheck: float | None
    root: str | None
    line: LineSettings
    output: str | None
    output_dir: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_thresholds(self.threshold, self.recheck))
            if (self.run is None) == (self.table is None):
                which = "both are given" if self.run else "neither is given"
                raise UserError(f"give either run=outputs/train/<stamp> or table=predictions.csv: {which}")

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_folder("root", self.root, "one that the paths are relative to"))
            check(lambda: validate_written("output", self.output))
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_file("table", self.table, TABLE_EXPECTED))
