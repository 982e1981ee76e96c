"""Settings of `python -m fancnn.benchmark`: its keys, their types, and which values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.choices import Choice
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import validate_count, validate_exported, validate_written


class Measured(Choice):
    machine = "machine"
    start = "start"
    training = "training"
    reading = "reading"
    runs = "runs"
    large = "large"
    scale = "scale"
    serving = "serving"


@dataclass(kw_only=True)
class BenchmarkSettings(TrainSettings):
    """All settings of `python -m fancnn.benchmark`; the training it measures is one as any."""

    parts: list[Measured]
    repeats: int
    count: int
    size: list[int]
    large: int
    scale: list[int]
    epochs: int
    exported: str | None
    requests: int
    keras: str | None
    output: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(self._validate_parts)
            for name, most in (
                ("repeats", 1000),
                ("count", 10**6),
                ("large", 10**6),
                ("epochs", 10**6),
                ("requests", 10**7),
            ):
                check(partial(self._validate_count, name, most))
            check(self._validate_size)
            check(self._validate_scale)
            if self.data.reduce is not None:
                raise UserError("data.reduce: here sizes are given, size=[h,w] of files and data.image_size=[h,w]")
            if Measured.serving in self.parts and self.exported is None:
                raise UserError("parts=[serving] needs exported=FILE.onnx: a file that `python -m fancnn.export` wrote")

    def validate_paths(self) -> None:
        with collected() as check:
            check(super().validate_paths)
            check(lambda: validate_exported("exported", self.exported))
            check(lambda: validate_written("output", self.output))

    def _validate_parts(self) -> None:
        if not self.parts:
            raise UserError(f"parts=[] measures nothing. There are {', '.join(Measured)}")

    def _validate_count(self, name: str, most: int) -> None:
        validate_count(name, getattr(self, name), most=most)

    def _validate_size(self) -> None:
        if len(self.size) != 2 or not all(1 <= side <= 10_000 for side in self.size):
            raise UserError(
                f"size={self.size} should be two whole numbers from 1 to 10000, height and width, e.g. [300,300]"
            )

    def _validate_scale(self) -> None:
        if not self.scale or not all(1 <= count <= 10**7 for count in self.scale):
            raise UserError(f"scale={self.scale} should be numbers of images from 1 to 10,000,000, e.g. [1000,10000]")
