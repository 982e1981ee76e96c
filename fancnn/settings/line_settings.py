"""What the commands may be told that bring a run to the line, as `commands.py` has it for the others."""

from dataclasses import dataclass, field

from fancnn.settings.groups import ImageLimits


@dataclass
class ExportSettings:
    """Everything `python -m fancnn.export` can be told."""

    run: str
    format: str
    input: str | None
    output: str | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class ParitySettings:
    """Everything `python -m fancnn.parity` can be told; `model_file` is said as `model=`."""

    model_file: str
    run: str
    input: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)
