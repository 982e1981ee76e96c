"""Settings of `python -m fancnn.filters`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field

from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_device, validate_earlier


@dataclass
class FilterSettings:
    """All settings of `python -m fancnn.filters`."""

    run: str
    layer: str | None
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        validate_device(self.device)

    def validate_paths(self) -> None:
        validate_earlier("run", self.run)
