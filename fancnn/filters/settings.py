"""What `python -m fancnn.filters` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_device, validate_earlier


@dataclass
class FilterSettings:
    """Everything `python -m fancnn.filters` can be told."""

    run: str
    layer: str | None
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


def validate_filtering(settings: FilterSettings) -> None:
    with collected() as check:
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_device(settings.device))
