"""What the configuration of a pretraining may say; see `fancnn.limits`."""

from fancnn.errors import UserError
from fancnn.limits import (
    check_batches,
    check_border,
    check_image_limits,
    check_pictures_root,
    check_preprocess,
    check_seed,
    check_share,
    check_trainer,
)
from fancnn.pretraining_settings import PretrainSettings

MONITORABLE = ("val/loss", "train/loss")
TURNING = ("SquareSymmetry", "VerticalFlip", "Rotation")  # transforms after which a picture's own turn is not known


def check_pretraining(settings: PretrainSettings) -> None:
    """Whatever can be checked without building anything."""
    data = settings.data
    if settings.monitor not in MONITORABLE:
        raise UserError(f"monitor={settings.monitor!r} is none of {', '.join(MONITORABLE)}")
    check_trainer(settings.trainer)
    check_preprocess(data.image_size, data.resize, data.background, data.mean, data.std)
    check_share("data.val_fraction", data.val_fraction)
    check_batches(data.on_bad_file, data.batch_size, data.eval_batch_size)
    check_seed(settings.seed)
    check_image_limits(settings.image_limits)
    if settings.augment is not None:
        check_border(settings.augment.border)
    _check_turning(settings)
    check_pictures_root(data.root)


def _check_turning(settings: PretrainSettings) -> None:
    """Refuse pictures that augmentation turns before the turn is asked for."""
    if not str(settings.task.get("_target_", "")).endswith(".Rotation") or settings.augment is None:
        return
    for name, node in settings.augment.transforms.items():
        kind = str((node or {}).get("_target_", "")).rpartition(".")[2]
        if kind in TURNING and not (kind == "Rotation" and node.get("degrees", 10) < 45):
            raise UserError(
                f"task=rotation asks how a picture was turned, and augment.transforms.{name} ({kind}) turns it before: "
                f"the answer could not be known. Leave it out: augment.transforms.{name}=null"
            )
