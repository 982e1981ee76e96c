"""What a training may be told: the keys of `conf/train.yaml`; the YAML has the values."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.settings.groups import (
    AugmentSettings,
    DataSettings,
    DecisionSettings,
    FreezeSettings,
    ImageLimits,
    LineSettings,
    ModelSettings,
    RegularizationSettings,
)


@dataclass(kw_only=True)
class TrainSettings:
    """Everything `python -m fancnn.train` can be told."""

    seed: int
    monitor: str
    objective: str
    calibration: str
    report: bool
    score_test: bool | None  # None: at the end of a single training, not in a sweep
    ckpt: str | None
    init: str | None = None  # absent from checkpoints of before, as `freeze`
    augment_preview: bool
    output_dir: str
    overrides: list[str]
    data: DataSettings
    augment: AugmentSettings | None
    model: ModelSettings
    freeze: FreezeSettings = field(default_factory=FreezeSettings)
    regularization: RegularizationSettings
    schedule: dict[str, Any] | None
    decision: DecisionSettings
    line: LineSettings
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    logger: dict[str, Any]
    image_limits: ImageLimits = field(default_factory=ImageLimits)
