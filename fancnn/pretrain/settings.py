"""Check what `python -m fancnn.pretrain` may be told."""

from collections.abc import Mapping

from fancnn.errors import UserError, collected
from fancnn.settings.pretraining import PretrainSettings, UnlabelledSettings
from fancnn.settings.validation import (
    check_augment,
    check_batches,
    check_cache,
    check_choice,
    check_earlier,
    check_image_limits,
    check_named,
    check_pictures_root,
    check_preprocess,
    check_seed,
    check_share,
    check_trainer,
    is_number,
)

MONITORABLE = ("val/loss", "train/loss")
TURNING = ("SquareSymmetry", "VerticalFlip", "Rotation")  # transforms after which a picture's own turn is not known


def check_pretraining(settings: PretrainSettings) -> None:
    """Whatever can be checked without building anything."""
    with collected() as check:
        check(lambda: check_choice("monitor", settings.monitor, MONITORABLE))
        check(lambda: check_trainer(settings.trainer))
        check(lambda: _check_data(settings.data))
        check(lambda: check_seed(settings.seed))
        check(lambda: check_image_limits(settings.image_limits))
        check(lambda: check_augment(settings.augment))
        check(lambda: check_named("callbacks", settings.callbacks))
        check(lambda: check_named("logger", settings.logger))
        check(lambda: check_earlier("ckpt", settings.ckpt))
        check(lambda: _check_turning(settings))


def _check_data(data: UnlabelledSettings) -> None:
    with collected() as check:
        check(lambda: check_preprocess(data.image_size, data.resize, data.background, data.mean, data.std))
        check(lambda: check_share("data.val_fraction", data.val_fraction))
        check(lambda: check_batches(data.on_bad_file, data.batch_size, data.eval_batch_size))
        check(lambda: check_cache(data.cache))
        check(lambda: check_pictures_root(data.root))


def _check_turning(settings: PretrainSettings) -> None:
    """Refuse pictures that augmentation turns before the turn is asked for."""
    if not str(settings.task.get("_target_", "")).endswith(".Rotation") or settings.augment is None:
        return
    for name, node in settings.augment.transforms.items():
        described = node if isinstance(node, Mapping) else {}  # else said by `check_augment`
        kind = str(described.get("_target_", "")).rpartition(".")[2]
        if kind in TURNING and not (kind == "Rotation" and _is_small(described.get("degrees", 10))):
            raise UserError(
                f"task=rotation asks how a picture was turned, and augment.transforms.{name} ({kind}) turns it before: "
                f"the answer could not be known. Leave it out: augment.transforms.{name}=null"
            )


def _is_small(degrees: object) -> bool:
    return is_number(degrees) and degrees < 45
