"""What `python -m fancnn.export` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_choice, validate_earlier, validate_input, validate_written


@dataclass
class ExportSettings:
    """Everything `python -m fancnn.export` can be told."""

    run: str
    format: str
    input: str | None
    output: str | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


FORMATS = ("onnx", "openvino", "torch")


def validate_exporting(settings: ExportSettings) -> None:
    with collected() as check:
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_choice("format", settings.format, FORMATS))
        check(lambda: validate_input(settings.input))
        check(lambda: validate_written("output", settings.output))
