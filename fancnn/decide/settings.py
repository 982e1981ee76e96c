"""What `python -m fancnn.decide` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import collected
from fancnn.settings.groups import DecisionSettings, LineSettings
from fancnn.settings.validation import validate_earlier, validate_line, validate_rule


@dataclass
class DecideSettings:
    """Everything `python -m fancnn.decide` can be told."""

    run: str
    decision: DecisionSettings
    line: LineSettings


def validate_deciding(settings: DecideSettings) -> None:
    with collected() as check:
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_line(settings.line))
        check(lambda: validate_rule(settings.decision))
