"""Settings of `python -m fancnn.surfaces`: its keys, their types, and which values they may have."""

from dataclasses import dataclass

from fancnn.errors import UserError, collected
from fancnn.settings.groups import SurfacesSettings


@dataclass
class RenderSurfacesSettings(SurfacesSettings):
    """All settings of `python -m fancnn.surfaces`."""

    root: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            if not self.root:
                raise UserError("root='' is no name of a folder. Expected a new or empty one, e.g. root=surfaces")
