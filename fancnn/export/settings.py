"""Settings of `python -m fancnn.export`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import collected
from fancnn.settings.choices import Choice, validate_choices
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_earlier, validate_input, validate_mm_per_pixel, validate_written


class ExportFormat(Choice):
    onnx = "onnx"
    openvino = "openvino"
    torch = "torch"


@dataclass
class ExportSettings:
    """All settings of `python -m fancnn.export`."""

    run: str
    format: ExportFormat
    input: str | None
    output: str | None
    mm_per_pixel: float | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            check(lambda: validate_mm_per_pixel(self.mm_per_pixel))

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_input(self.input))
            check(lambda: validate_written("output", self.output))
