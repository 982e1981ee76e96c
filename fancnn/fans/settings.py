"""What `python -m fancnn.fans` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import FansSettings
from fancnn.settings.validation import validate_fans


@dataclass
class RenderSettings(FansSettings):
    """Everything `python -m fancnn.fans` can be told."""

    root: str


def validate_rendering(settings: RenderSettings) -> None:
    with collected() as check:
        check(lambda: validate_fans("", settings))
        if not settings.root:
            raise UserError("root='' is no name of a folder. Expected a new or empty one, e.g. root=fans")
