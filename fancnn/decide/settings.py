"""What `python -m fancnn.decide` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.settings.groups import DecisionSettings, LineSettings
from fancnn.settings.validation import validate_earlier


@dataclass
class DecideSettings:
    """Everything `python -m fancnn.decide` can be told."""

    run: str
    decision: DecisionSettings
    line: LineSettings

    def validate_paths(self) -> None:
        validate_earlier("run", self.run)
