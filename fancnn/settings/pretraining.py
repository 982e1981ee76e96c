"""What a pretraining may be told: the keys of `conf/pretrain.yaml`; the YAML has the values."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.settings.groups import AugmentSettings, ImageLimits


@dataclass
class UnlabelledSettings:
    """Images of any folder tree and their pixels; see `DataSettings` for the same keys."""

    root: str
    val_fraction: float
    image_size: list[int]
    resize: str
    background: str
    mean: list[float]
    std: list[float]
    cache: str | None
    on_bad_file: str
    batch_size: int
    eval_batch_size: int


@dataclass
class LearntSettings:
    """A network and its optimizer by `_target_`."""

    network: dict[str, Any]
    optimizer: dict[str, Any]


@dataclass
class PretrainSettings:
    """Everything `python -m fancnn.pretrain` can be told."""

    seed: int
    monitor: str
    ckpt: str | None
    output_dir: str
    overrides: list[str]
    task: dict[str, Any]
    data: UnlabelledSettings
    augment: AugmentSettings | None
    model: LearntSettings
    schedule: dict[str, Any] | None
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    logger: dict[str, Any]
    image_limits: ImageLimits = field(default_factory=ImageLimits)
