"""Settings of `python -m fancnn.explain`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.choices import Choice, SplitName, validate_choices
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import (
    validate_count,
    validate_device,
    validate_earlier,
    validate_folder,
    validate_input,
    validate_seed,
)


class Baseline(Choice):
    mean = "mean"
    black = "black"
    white = "white"


class HeatMethod(Choice):
    grad_cam = "grad_cam"
    occlusion = "occlusion"
    integrated_gradients = "integrated_gradients"
    cells = "cells"


@dataclass
class ExplainSettings:
    """All settings of `python -m fancnn.explain`."""

    run: str
    input: str | None
    split: SplitName | None
    images: int
    layer: str | None
    methods: list[HeatMethod] | None
    baseline: Baseline
    channels: int
    filters: int
    masks: str | None
    check: bool | None
    check_images: int
    seed: int
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            for name, least in (("images", 1), ("channels", 1), ("filters", 0), ("check_images", 1)):
                check(partial(self._validate_count, name, least))
            check(self._validate_methods)
            check(self._validate_masks)
            check(lambda: validate_seed(self.seed))
            check(lambda: validate_device(self.device))

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_input(self.input))
            check(lambda: validate_folder("masks", self.masks, "one with masks of defects, named like their images"))

    def _validate_count(self, name: str, least: int) -> None:
        validate_count(name, getattr(self, name), least, 10_000)

    def _validate_masks(self) -> None:
        if self.masks is not None and self.check is False:
            raise UserError("masks: with check=false nothing is held against them. Leave one of the two out")
        if self.masks is not None and self.input is not None:
            raise UserError("masks are of the run's own images; input=null shows these")

    def _validate_methods(self) -> None:
        if self.methods is not None and (not self.methods or len(set(self.methods)) < len(self.methods)):
            raise UserError(f"methods={self.methods}: expected one or more of {', '.join(HeatMethod)}, each once")
