"""What `python -m fancnn.fans` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import FansSettings


@dataclass
class RenderSettings(FansSettings):
    """Everything `python -m fancnn.fans` can be told."""

    root: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            if not self.root:
                raise UserError("root='' is no name of a folder. Expected a new or empty one, e.g. root=fans")
