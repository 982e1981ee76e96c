"""What `python -m fancnn.benchmark` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass
from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import validate_count, validate_exported, validate_training, validate_written


@dataclass(kw_only=True)
class BenchmarkSettings(TrainSettings):
    """Everything `python -m fancnn.benchmark` can be told; the training it measures is one as any."""

    parts: list[str]
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


MEASURED = ("machine", "start", "training", "reading", "runs", "large", "scale", "serving")


def validate_benchmark(settings: BenchmarkSettings) -> None:
    with collected() as check:
        check(lambda: validate_training(settings))
        check(lambda: _validate_measured(settings.parts))
        for name, most in (
            ("repeats", 1000),
            ("count", 10**6),
            ("large", 10**6),
            ("epochs", 10**6),
            ("requests", 10**7),
        ):
            check(partial(_validate_number, settings, name, most))
        check(lambda: _validate_sizes(settings.size))
        check(lambda: _validate_scale(settings.scale))
        check(lambda: validate_exported("exported", settings.exported))
        check(lambda: validate_written("output", settings.output))
        if "serving" in settings.parts and settings.exported is None:
            raise UserError("parts=[serving] needs exported=FILE.onnx: a file that `python -m fancnn.export` wrote")


def _validate_measured(parts: list[str]) -> None:
    if not parts:
        raise UserError(f"parts=[] measures nothing. There are {', '.join(MEASURED)}")
    if unknown := [part for part in parts if part not in MEASURED]:
        raise UserError(f"parts: {', '.join(unknown)} is none of {', '.join(MEASURED)}")


def _validate_number(settings: BenchmarkSettings, name: str, most: int) -> None:
    validate_count(name, getattr(settings, name), most=most)


def _validate_sizes(size: list[int]) -> None:
    if len(size) != 2 or not all(1 <= side <= 10_000 for side in size):
        raise UserError(f"size={size} should be two whole numbers from 1 to 10000, height and width, e.g. [300,300]")


def _validate_scale(scale: list[int]) -> None:
    if not scale or not all(1 <= count <= 10**7 for count in scale):
        raise UserError(f"scale={scale} should be numbers of images from 1 to 10,000,000, e.g. [1000,10000]")
