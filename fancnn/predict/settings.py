"""Settings of `python -m fancnn.predict`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits, LineRateSettings
from fancnn.settings.validation import (
    validate_device,
    validate_earlier,
    validate_exported,
    validate_input,
    validate_written,
)


@dataclass
class PredictSettings:
    """All settings of `python -m fancnn.predict`; either `run` or `file`."""

    run: str | None
    file: str | None
    input: str
    output: str
    line: LineRateSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_device(self.device))
            if (self.run is None) == (self.file is None):
                which = "neither is given" if self.run is None else "both are given"
                raise UserError(
                    "give either run=outputs/train/<stamp>, or file=FILE.onnx as `python -m fancnn.export` writes it: "
                    f"{which}"
                )

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_input(self.input))
            check(lambda: validate_written("output", self.output))
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_exported("file", self.file))
