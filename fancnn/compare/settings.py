"""Settings of `python -m fancnn.compare`: its keys, their types, and which values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.choices import Choice, validate_choices
from fancnn.settings.validation import (
    place_of,
    validate_folder,
    validate_share,
    validate_thresholds,
    validate_writable,
)

MOST_COMPARED = 26  # a letter each


class ComparedSplit(Choice):
    train = "train"
    val = "val"
    test = "test"
    all = "all"


@dataclass
class CompareSettings:
    """All settings of `python -m fancnn.compare`; `runs` are its arguments without a key."""

    runs: list[str]
    split: ComparedSplit | None
    threshold: float
    new_escape_rate: float | None
    new_overkill_rate: float | None
    confidence: float
    root: str | None
    output: str
    output_dir: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(self._validate_runs)
            check(lambda: validate_choices(self))
            check(lambda: validate_thresholds(self.threshold))
            check(lambda: validate_share("confidence", self.confidence))
            for key in ("new_escape_rate", "new_overkill_rate"):
                check(partial(self._validate_margin, key))

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_folder("root", self.root, "one that the paths are relative to"))
            check(lambda: validate_writable("output", self.output, place_of("output", self.output)))

    def _validate_runs(self) -> None:
        if not 2 <= len(self.runs) <= MOST_COMPARED:
            expected = f"two to {MOST_COMPARED} runs or tables, the one in use first"
            raise UserError(f"{len(self.runs)} given: expected {expected}, e.g. python -m fancnn.compare RUN NEW_RUN")

    def _validate_margin(self, key: str) -> None:
        if (margin := getattr(self, key)) is not None:
            validate_share(key, margin)
