"""What `python -m fancnn.predict` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits, LineRateSettings
from fancnn.settings.validation import (
    check_device,
    check_earlier,
    check_exported,
    check_input,
    check_share,
    check_written,
)


@dataclass
class PredictSettings:
    """Everything `python -m fancnn.predict` can be told; either `run` or `model_file`, said as `model=`."""

    run: str | None
    model_file: str | None
    input: str
    output: str
    line: LineRateSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


def check_predicting(settings: PredictSettings) -> None:
    with collected() as check:
        if settings.line.ng_rate is not None:
            check(lambda: check_share("line.ng_rate", settings.line.ng_rate))
        check(lambda: check_device(settings.device))
        check(lambda: check_input(settings.input))
        check(lambda: check_written("output", settings.output))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_exported("model", settings.model_file))
        if (settings.run is None) == (settings.model_file is None):
            which = "neither is said" if settings.run is None else "both are said"
            raise UserError(
                "say either run=outputs/train/<stamp>, or model=FILE.onnx as `python -m fancnn.export` writes it: "
                f"{which}"
            )
