"""Settings of `python -m fancnn.fans`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import FansSettings


@dataclass
class RenderSettings(FansSettings):
    """All settings of `python -m fancnn.fans`."""

    root: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            if not self.root:
                raise UserError("root='' is no name of a folder. Expected a new or empty one, e.g. root=fans")
