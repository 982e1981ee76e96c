"""Go on with an interrupted run: the same pictures, the same model, the same settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fancnn import checkpoints
from fancnn.errors import UserError
from fancnn.learning.checkpointing import BEST, LAST

# what may differ from the run that goes on: where things go, how long, on what machine, and how it is decided
FREE = (
    "output_dir",
    "overrides",
    "ckpt",
    "trainer",
    "callbacks",
    "logger",
    "objective",
    "score_test",
    "report",
    "calibration",
    "decision",
    "line",
    "augment_preview",
    "image_limits",
)
RESUMED = ("epoch", "global_step", "loops", "optimizer_states", "lr_schedulers")  # of a file that Lightning wrote
MUST_STAY = ("callbacks.averaging",)  # the checkpoint's weights are averages or they are not
BEFORE = {"model.outputs": "one"}  # keys that came later, as trainings without them went
RENAMED = {"fancnn.learning.losses.BinaryCrossEntropy": "fancnn.learning.losses.CrossEntropy"}
MAY_MOVE = ("data.root", "data.cache", "data.split_file")  # the split's hash tells whether the pictures are the same


def earlier_checkpoint(ckpt: str, about: Mapping[str, Any], command: str = "train") -> Path:
    """The file to go on from.

    Raises:
        UserError: If there is none, its weights are not all finite, or it was made with other settings or another
            split than `about`, the description of the training now.
    """
    path = checkpoints.find(ckpt, (LAST, BEST))
    checkpoint = checkpoints.read(path)
    earlier = checkpoint["fancnn"]
    checkpoints.check_finite(checkpoint["state_dict"], path)
    if "runs" in earlier:
        raise UserError(f"{path} is an ensemble of {len(earlier['runs'])} runs: go on with one of those")
    if type(earlier["epoch"]) is not int or not set(RESUMED) <= set(checkpoint):
        raise UserError(
            f"{path} has a model and no state of a training to go on from. To start with its layers: init={ckpt}"
        )
    if ("task" in earlier) != ("task" in about):
        other = "pretrain" if "task" in earlier else "train"
        start = f", or to start with its layers: init={ckpt}" if other == "pretrain" else ""
        raise UserError(f"{path} is a run of {other}: go on with it by python -m fancnn.{other} ckpt={ckpt}{start}")
    here = flat(about["settings"])
    there = {key: value for key, value in BEFORE.items() if key in here} | flat(earlier["settings"])
    there |= {key: RENAMED[value] for key, value in there.items() if isinstance(value, str) and value in RENAMED}
    differing = [
        f"  {key}: {there.get(key)} there, {here.get(key)} here"
        for key in sorted(there | here)
        if there.get(key) != here.get(key) and (_is_of(key, MUST_STAY) or not _is_of(key, FREE + MAY_MOVE))
    ]
    if differing:
        raise UserError(
            f"{path} was trained with other settings:\n"
            + "\n".join(differing)
            + "\nTo go on with it leave these out of "
            f"the command: python -m fancnn.{command} ckpt={ckpt}"
        )
    if earlier["split_sha256"] != about["split_sha256"]:
        raise UserError(
            f"{path} was trained on other pictures or another split: on those under {earlier['root']}, now on those "
            f"under {about['root']}. If some were added since: "
            f"data.split_file={checkpoints.run_folder(path) / 'split.csv'}"
        )
    epochs = about["settings"]["trainer"]["max_epochs"]
    if earlier["epoch"] >= epochs:
        raise UserError(
            f"{path} has been trained for {earlier['epoch']} epochs, and trainer.max_epochs={epochs}: nothing is left "
            f"to do. To train longer: python -m fancnn.{command} ckpt={ckpt} trainer.max_epochs={2 * epochs}"
        )
    return path


def _is_of(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with dots.

    Example:
        >>> flat({"model": {"optimizer": {"lr": 0.1}}, "seed": 0})
        {'model.optimizer.lr': 0.1, 'seed': 0}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return leaves
