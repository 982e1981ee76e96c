"""What `python -m fancnn.explain` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import (
    validate_choice,
    validate_count,
    validate_device,
    validate_earlier,
    validate_input,
    validate_seed,
    validate_split_name,
)


@dataclass
class ExplainSettings:
    """Everything `python -m fancnn.explain` can be told."""

    run: str
    input: str | None
    split: str | None
    images: int
    layer: str | None
    methods: list[str]
    baseline: str
    channels: int
    filters: int
    check: bool | None
    check_images: int
    seed: int
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


BASELINES = ("mean", "black", "white")
METHODS = ("grad_cam", "occlusion", "integrated_gradients")


def validate_explaining(settings: ExplainSettings) -> None:
    with collected() as check:
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_split_name("split", settings.split))
        check(lambda: validate_input(settings.input))
        for name, least in (("images", 1), ("channels", 1), ("filters", 0), ("check_images", 1)):
            check(partial(_validate_shown, settings, name, least))
        check(lambda: validate_choice("baseline", settings.baseline, BASELINES))
        check(lambda: _validate_methods(settings.methods))
        check(lambda: validate_seed(settings.seed))
        check(lambda: validate_device(settings.device))


def _validate_shown(settings: ExplainSettings, name: str, least: int) -> None:
    validate_count(name, getattr(settings, name), least, 10_000)


def _validate_methods(methods: list[str]) -> None:
    if unknown := [name for name in methods if name not in METHODS]:
        raise UserError(f"methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    if not methods or len(set(methods)) < len(methods):
        raise UserError(f"methods={methods}: expected one or more of {', '.join(METHODS)}, each once")
