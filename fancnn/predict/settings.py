"""Settings of `python -m fancnn.predict`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from pathlib import Path

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits, LineRateSettings
from fancnn.settings.validation import (
    is_there,
    place_of,
    validate_device,
    validate_earlier,
    validate_exported,
    validate_input,
    validate_mm_per_pixel,
    validate_pattern,
    validate_writable,
    validate_written,
)


@dataclass
class PredictSettings:
    """All settings of `python -m fancnn.predict`; either `run` or `file`."""

    run: str | None
    file: str | None
    input: str
    output: str
    drawn: str | None
    mm_per_pixel: float | None
    line: LineRateSettings
    device: str
    output_dir: str
    part: str | None = None
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_device(self.device))
            check(lambda: validate_mm_per_pixel(self.mm_per_pixel))
            if (part := self.part) is not None:
                check(lambda: validate_pattern(part, "part"))
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
            check(self._validate_drawn)

    def _validate_drawn(self) -> None:
        """Refuse a folder inside that of the images: what is drawn would be taken for new images the next time."""
        if self.drawn is None:
            return
        folder = place_of("drawn", self.drawn)
        validate_writable("drawn", self.drawn, folder)
        images = place_of("input", self.input)
        if is_there(images, Path.is_dir) and folder.resolve().is_relative_to(images.resolve()):
            raise UserError(f"drawn={self.drawn!r} is inside input={self.input}: name a folder beside it")
