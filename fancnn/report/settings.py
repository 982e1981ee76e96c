"""What `python -m fancnn.report` may be told: its keys, their types, and what values they may have."""

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
    """Everything `python -m fancnn.report` can be told."""

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
                said = "both are said" if self.run else "neither is said"
                raise UserError(f"say either run=outputs/train/<stamp> or table=predictions.csv: {said}")

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_folder("root", self.root, "one that the paths are relative to"))
            check(lambda: validate_written("output", self.output))
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_file("table", self.table, TABLE_EXPECTED))
