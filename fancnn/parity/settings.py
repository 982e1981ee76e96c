"""Settings of `python -m fancnn.parity`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_earlier, validate_exported, validate_input


@dataclass
class ParitySettings:
    """All settings of `python -m fancnn.parity`."""

    file: str
    run: str
    input: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_exported("file", self.file))
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_input(self.input))
