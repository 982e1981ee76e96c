"""What values a configuration may have, in words: standard library alone, so that a mistake is told at once.

Each check raises `UserError` with the key, what it says and what it may say. The classes that the values are for
call the same checks, so that Python users are told the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fancnn.errors import UserError
from fancnn.settings import TrainSettings

RESIZES = ("squash", "pad")
BACKGROUNDS = ("white", "black")
SPLITS = ("stratified", "ordered", "grouped")
ON_BAD_FILE = ("error", "skip")
PRECISIONS = ("auto", "32", "32-true", "bf16-mixed", "16-mixed")

# precision is left out: nothing called NG, as in many a first epoch, leaves it undefined
MONITORABLE = ("loss", "accuracy", "recall", "f1", "specificity", "auroc", "average_precision")


def check_training(settings: TrainSettings) -> None:
    """Whatever of a training's configuration can be checked without building anything."""
    data = settings.data
    check_scores(settings.monitor, settings.objective)
    check_trainer(settings.trainer)
    check_threshold(settings.decision.threshold)
    check_preprocess(data.image_size, data.resize, data.background, data.mean, data.std)
    check_split(data.split, data.group)
    check_batches(data.on_bad_file, data.batch_size, data.eval_batch_size)
    check_seed(settings.seed)
    if data.root is not None:
        check_root(data.root, data.go_class)


def check_monitor(monitor: str) -> None:
    names = [f"{part}/{name}" for part in ("val", "train") for name in MONITORABLE]
    if monitor not in names:
        precision = " (precision is undefined while nothing is called NG)" if monitor.endswith("/precision") else ""
        raise UserError(f"monitor={monitor!r} is no score that every epoch has{precision}. Scores: {', '.join(names)}")


def check_scores(monitor: str, objective: str) -> None:
    check_monitor(monitor)
    names = [f"val/{name}" for name in MONITORABLE]
    if objective not in names:
        raise UserError(f"objective={objective!r} is no score of validation. Scores: {', '.join(names)}")


def check_trainer(trainer: Mapping[str, Any]) -> None:
    precision, epochs = str(trainer.get("precision", "auto")), trainer.get("max_epochs")
    if precision not in PRECISIONS:
        raise UserError(f"trainer.precision={precision} is none of {', '.join(PRECISIONS)}: weights stay in float32")
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise UserError(f"trainer.max_epochs={epochs} should be a whole number, 1 or more")


def check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise UserError(f"decision.threshold={threshold} should be in [0, 1]: it is compared with P(NG)")


def check_preprocess(
    image_size: Sequence[int], resize: str, background: str, mean: Sequence[float], std: Sequence[float]
) -> None:
    if len(image_size) != 2 or not all(isinstance(side, int) and 1 <= side <= 4096 for side in image_size):
        raise UserError(
            f"data.image_size={list(image_size)} should be two whole numbers from 1 to 4096, height and width, "
            "e.g. data.image_size=[80,80]"
        )
    _check_choice("data.resize", resize, RESIZES)
    _check_choice("data.background", background, BACKGROUNDS)
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise UserError(
            f"data.mean and data.std want three numbers each, std above 0; got {list(mean)} and {list(std)}"
        )


def check_split(method: str, group: str | None) -> None:
    _check_choice("data.split", method, SPLITS)
    if method == "grouped" and not group:
        raise UserError(
            "data.split=grouped needs data.group: a regular expression on the relative path that names the lot, "
            r"panel or patient, e.g. data.group='person\d+'"
        )


def check_batches(on_bad_file: str, batch_size: int, eval_batch_size: int) -> None:
    _check_choice("data.on_bad_file", on_bad_file, ON_BAD_FILE)
    for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
        if value < 1:
            raise UserError(f"data.{name}={value} should be 1 or more")


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"seed={seed} should be from 0 to {2**32 - 1}")


def check_root(root: str | Path, go_class: str) -> None:
    if not str(root) or not Path(root).expanduser().is_dir():
        raise UserError(
            f"data.root={str(root)!r} is no folder. Expected a folder of class folders, e.g. {go_class}/ and NG/"
        )


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"{key}={value!r} is none of {', '.join(choices)}")
