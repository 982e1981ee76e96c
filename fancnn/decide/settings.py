"""Settings of `python -m fancnn.decide`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.settings.groups import DecisionSettings, LineSettings
from fancnn.settings.validation import validate_earlier


@dataclass
class DecideSettings:
    """All settings of `python -m fancnn.decide`."""

    run: str
    decision: DecisionSettings
    line: LineSettings

    def validate_paths(self) -> None:
        validate_earlier("run", self.run)
