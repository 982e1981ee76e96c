"""What `python -m fancnn.export` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import check_choice, check_earlier, check_input, check_written


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


def check_exporting(settings: ExportSettings) -> None:
    with collected() as check:
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_choice("format", settings.format, FORMATS))
        check(lambda: check_input(settings.input))
        check(lambda: check_written("output", settings.output))
