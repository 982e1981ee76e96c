"""What `python -m fancnn.compare` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.settings.validation import (
    place_of,
    validate_choice,
    validate_folder,
    validate_share,
    validate_thresholds,
    validate_writable,
)


@dataclass
class CompareSettings:
    """Everything `python -m fancnn.compare` can be told; `runs` are its arguments without a key."""

    runs: list[str]
    split: str | None
    threshold: float
    new_escape_rate: float | None
    new_overkill_rate: float | None
    confidence: float
    root: str | None
    output: str
    output_dir: str


MOST_COMPARED = 26  # a letter each


def validate_comparing(settings: CompareSettings) -> None:
    with collected() as check:
        check(lambda: _validate_compared(settings.runs))
        check(lambda: validate_thresholds(settings.threshold))
        check(lambda: validate_share("confidence", settings.confidence))
        for key in ("new_escape_rate", "new_overkill_rate"):
            if (margin := getattr(settings, key)) is not None:
                check(partial(validate_share, key, margin))
        if settings.split is not None:
            check(lambda: validate_choice("split", str(settings.split), (*SPLIT_NAMES, "all")))
        check(lambda: validate_folder("root", settings.root, "one that the paths are relative to"))
        check(lambda: validate_writable("output", settings.output, place_of("output", settings.output)))


def _validate_compared(runs: list[str]) -> None:
    if not 2 <= len(runs) <= MOST_COMPARED:
        expected = f"two to {MOST_COMPARED} runs or tables, the one in use first"
        raise UserError(f"{len(runs)} given: expected {expected}, e.g. python -m fancnn.compare RUN NEW_RUN")
