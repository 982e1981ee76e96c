"""Settings of `python -m fancnn.cache`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field

from fancnn.settings.choices import Choice, validate_choices
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_folder


class Task(Choice):
    list = "list"
    verify = "verify"
    clear = "clear"


@dataclass
class CacheSettings:
    """All settings of `python -m fancnn.cache`."""

    do: Task
    folder: str | None
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        validate_choices(self)

    def validate_paths(self) -> None:
        validate_folder("folder", self.folder, "one that the program keeps things in")
