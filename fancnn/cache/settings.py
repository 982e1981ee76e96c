"""What `python -m fancnn.cache` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_folder


@dataclass
class CacheSettings:
    """Everything `python -m fancnn.cache` can be told."""

    do: str
    folder: str | None
    image_limits: ImageLimits = field(default_factory=ImageLimits)


DO = ("list", "verify", "clear")


def validate_caching(settings: CacheSettings) -> None:
    with collected() as check:
        check(lambda: validate_folder("folder", settings.folder, "one that the program keeps things in"))
        if settings.do not in DO:
            raise UserError(f"do={settings.do} is none of {', '.join(DO)}")
