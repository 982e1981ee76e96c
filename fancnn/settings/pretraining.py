"""Settings of a pretraining: the keys of `conf/pretrain.yaml`; the YAML has the values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected, under
from fancnn.settings.groups import AugmentSettings, ImageLimits, UnlabelledSettings
from fancnn.settings.validation import (
    is_number,
    validate_earlier,
    validate_layer_decay,
    validate_named,
    validate_seed,
    validate_trainer,
)

TURNING = ("DihedralSymmetry", "VerticalFlip", "Rotation")  # transforms after which an image's own turn is not known
PRETRAIN_MONITORABLE = ("val/loss", "train/loss")


@dataclass
class LearntSettings:
    """A network and its optimizer by `_target_`."""

    network: dict[str, Any]
    optimizer: dict[str, Any]

    def __post_init__(self) -> None:
        validate_layer_decay(self.optimizer)


@dataclass
class PretrainSettings:
    """All settings of `python -m fancnn.pretrain`."""

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

    def __post_init__(self) -> None:
        with collected() as check:
            check(self._validate_monitor)
            check(lambda: validate_trainer(self.trainer))
            check(lambda: validate_seed(self.seed))
            check(lambda: validate_named("callbacks", self.callbacks))
            check(lambda: validate_named("logger", self.logger))
            check(self._validate_turning)

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_earlier("ckpt", self.ckpt))
            with under("data"):
                self.data.validate_paths()

    def _validate_monitor(self) -> None:
        if self.monitor not in PRETRAIN_MONITORABLE:
            raise UserError(f"monitor={self.monitor!r} is none of {', '.join(PRETRAIN_MONITORABLE)}")

    def _validate_turning(self) -> None:
        """Refuse images that augmentation turns before the turn is asked for."""
        if not str(self.task.get("_target_", "")).endswith(".Rotation") or self.augment is None:
            return
        for name, node in self.augment.transforms.items():
            described = node if isinstance(node, Mapping) else {}  # else refused by `validate_named`
            kind = str(described.get("_target_", "")).rpartition(".")[2]
            if kind in TURNING and not (kind == "Rotation" and _is_small(described.get("degrees", 10))):
                raise UserError(
                    f"task=rotation asks how an image was turned, and augment.transforms.{name} ({kind}) turns it "
                    f"before: the answer could not be known. Leave it out: augment.transforms.{name}=null"
                )


def _is_small(degrees: object) -> bool:
    return is_number(degrees) and degrees < 45
