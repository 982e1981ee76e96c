"""What `python -m fancnn.predict` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits, LineRateSettings
from fancnn.settings.validation import (
    validate_device,
    validate_earlier,
    validate_exported,
    validate_input,
    validate_share,
    validate_written,
)


@dataclass
class PredictSettings:
    """Everything `python -m fancnn.predict` can be told; either `run` or `file`."""

    run: str | None
    file: str | None
    input: str
    output: str
    line: LineRateSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


def validate_predicting(settings: PredictSettings) -> None:
    with collected() as check:
        if settings.line.ng_rate is not None:
            check(lambda: validate_share("line.ng_rate", settings.line.ng_rate))
        check(lambda: validate_device(settings.device))
        check(lambda: validate_input(settings.input))
        check(lambda: validate_written("output", settings.output))
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_exported("file", settings.file))
        if (settings.run is None) == (settings.file is None):
            which = "neither is said" if settings.run is None else "both are said"
            raise UserError(
                "say either run=outputs/train/<stamp>, or file=FILE.onnx as `python -m fancnn.export` writes it: "
                f"{which}"
            )
