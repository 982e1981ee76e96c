"""What `python -m fancnn.decide` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import collected
from fancnn.settings.groups import DecisionSettings, LineSettings
from fancnn.settings.validation import check_earlier, check_line, check_rule


@dataclass
class DecideSettings:
    """Everything `python -m fancnn.decide` can be told."""

    run: str
    decision: DecisionSettings
    line: LineSettings


def check_deciding(settings: DecideSettings) -> None:
    with collected() as check:
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_line(settings.line))
        check(lambda: check_rule(settings.decision))
