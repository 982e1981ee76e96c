"""Check what `python -m fancnn.pretrain` may be told."""

from collections.abc import Mapping

from fancnn.errors import UserError, collected
from fancnn.settings.pretraining import PretrainSettings, UnlabelledSettings
from fancnn.settings.validation import (
    is_number,
    validate_augment,
    validate_batches,
    validate_cache,
    validate_choice,
    validate_earlier,
    validate_image_limits,
    validate_images_root,
    validate_named,
    validate_preprocess,
    validate_seed,
    validate_share,
    validate_trainer,
)

MONITORABLE = ("val/loss", "train/loss")
TURNING = ("DihedralSymmetry", "VerticalFlip", "Rotation")  # transforms after which an image's own turn is not known


def validate_pretraining(settings: PretrainSettings) -> None:
    """Whatever can be checked without building anything."""
    with collected() as check:
        check(lambda: validate_choice("monitor", settings.monitor, MONITORABLE))
        check(lambda: validate_trainer(settings.trainer))
        check(lambda: _validate_data(settings.data))
        check(lambda: validate_seed(settings.seed))
        check(lambda: validate_image_limits(settings.image_limits))
        check(lambda: validate_augment(settings.augment))
        check(lambda: validate_named("callbacks", settings.callbacks))
        check(lambda: validate_named("logger", settings.logger))
        check(lambda: validate_earlier("ckpt", settings.ckpt))
        check(lambda: _validate_turning(settings))


def _validate_data(data: UnlabelledSettings) -> None:
    with collected() as check:
        check(lambda: validate_preprocess(data.image_size, data.resize, data.background, data.mean, data.std))
        check(lambda: validate_share("data.val_fraction", data.val_fraction))
        check(lambda: validate_batches(data.on_bad_file, data.batch_size, data.eval_batch_size))
        check(lambda: validate_cache(data.cache))
        check(lambda: validate_images_root(data.root))


def _validate_turning(settings: PretrainSettings) -> None:
    """Refuse images that augmentation turns before the turn is asked for."""
    if not str(settings.task.get("_target_", "")).endswith(".Rotation") or settings.augment is None:
        return
    for name, node in settings.augment.transforms.items():
        described = node if isinstance(node, Mapping) else {}  # else said by `validate_augment`
        kind = str(described.get("_target_", "")).rpartition(".")[2]
        if kind in TURNING and not (kind == "Rotation" and _is_small(described.get("degrees", 10))):
            raise UserError(
                f"task=rotation asks how an image was turned, and augment.transforms.{name} ({kind}) turns it before: "
                f"the answer could not be known. Leave it out: augment.transforms.{name}=null"
            )


def _is_small(degrees: object) -> bool:
    return is_number(degrees) and degrees < 45
