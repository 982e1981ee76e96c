"""Go on with an interrupted run: the same images, the same model, the same settings."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.run import BEST, LAST, Run
from fancnn.runs import checkpoints
from fancnn.settings.groups import DataSettings
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings

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
BEFORE = {  # keys that came later, as trainings without them went
    "model.labels": "binary",
    **{f"data.{item.name}": item.default for item in fields(DataSettings) if item.default is not MISSING},
}
RENAMED = {"fancnn.training.losses.BinaryCrossEntropy": "fancnn.training.losses.CrossEntropy"}
MAY_MOVE = ("data.root", "data.cache", "data.split_file")  # the split's hash tells whether the images are the same


S = TypeVar("S", TrainSettings, PretrainSettings)


def to_build(settings: S) -> S:
    """Return the settings that a model is built with.

    Where a training goes on, the weights that it started from are not needed any more: a file may be gone, and nothing
    is downloaded.
    """
    if settings.ckpt is None:
        return settings
    network = checkpoints.without_file(settings.model.network)
    return replace(settings, model=replace(settings.model, network=network))


def is_finished(folder: Path) -> bool:
    """Return whether a folder holds a training that was judged and completed."""
    return Run(folder).metrics.is_file() and not run_folders.why_incomplete(folder)


def checkpoint_to_resume(folder: Path) -> str | None:
    """Return the checkpoint that a training begun in a folder goes on from; None where there is none yet."""
    last = Run(folder).last
    return str(last) if last.is_file() else None


@dataclass(frozen=True)
class EarlierTraining:
    """A training to go on with.

    Attributes:
        path: Of the checkpoint.
        ended: Whether its last epoch was trained, so that it is only judged.
    """

    path: Path
    ended: bool


def earlier_training(ckpt: str, metadata: CheckpointMetadata, command: str = "train") -> EarlierTraining:
    """Return the training to go on with: to its end, or where it was stopped after that, to what is stated of it.

    Raises:
        UserError: If there is none, nothing of it is left to do, its weights are not all finite, or it was made with
            other settings or another split than `metadata` says of the training now.
    """
    path, checkpoint = _latest(checkpoints.find(ckpt, (LAST, BEST)))
    earlier = checkpoint.metadata
    checkpoints.validate_finite(checkpoint.content["state_dict"], path)
    if earlier.runs is not None:
        raise UserError(f"{path} is an ensemble of {len(earlier.runs)} runs: go on with one of those")
    if earlier.epoch is None or not set(RESUMED) <= set(checkpoint.content):
        raise UserError(
            f"{path} has a model and no state of a training to go on from. To start with its layers: init={ckpt}"
        )
    if earlier.is_pretraining != metadata.is_pretraining:
        other = "pretrain" if earlier.is_pretraining else "train"
        start = f", or to start with its layers: init={ckpt}" if other == "pretrain" else ""
        raise UserError(f"{path} is a run of {other}: go on with it by python -m fancnn.{other} ckpt={ckpt}{start}")
    here = flat(metadata.settings)
    there = {key: value for key, value in BEFORE.items() if key in here} | flat(earlier.settings)
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
    if earlier.split_sha256 != metadata.split_sha256:
        raise UserError(
            f"{path} was trained on other images or another split: on those under {earlier.root}, now on those "
            f"under {metadata.root}. If some were added since: "
            f"data.split_file={Run.of_checkpoint(path).split}"
        )
    epochs, trained = metadata.settings["trainer"]["max_epochs"], earlier.epoch
    stopped = _stopped_early(checkpoint.content, metadata.settings)
    so_far = f"{path} has been trained for {trained} epochs"
    if trained > epochs:
        raise UserError(
            f"{so_far}, and trainer.max_epochs={epochs}: none is taken back. To take it as it is: "
            f"trainer.max_epochs={trained}, or leave it out to go on"
        )
    if (trained == epochs or stopped) and _is_complete(path):
        longer = f"python -m fancnn.{command} ckpt={ckpt} trainer.max_epochs={2 * epochs}"
        if trained < epochs:
            so_far, longer = f"{so_far}, where it was stopped early", f"{longer} callbacks.early_stopping=null"
        raise UserError(f"{so_far}, and trainer.max_epochs={epochs}: nothing is left to do. To train longer: {longer}")
    return EarlierTraining(path, trained == epochs or stopped)


def _latest(path: Path) -> tuple[Path, checkpoints.Checkpoint]:
    """Return the checkpoint to resume from: the best where a kill came between the best of an epoch and the last."""
    checkpoint, best = checkpoints.read(path), path.with_name(BEST)
    if path.name == LAST and best.is_file() and not best.samefile(path):
        other = checkpoints.read(best)
        if (other.metadata.epoch or 0) > (checkpoint.metadata.epoch or 0):
            return best, other
    return path, checkpoint


def _stopped_early(content: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Return whether early stopping, as it is configured now, has ended the training of a checkpoint."""
    nodes = [node for node in settings["callbacks"].values() if isinstance(node, Mapping)]
    patience = [node["patience"] for node in nodes if str(node.get("_target_")).endswith(".early_stopping")]
    states = [state for name, state in content.get("callbacks", {}).items() if name.startswith("EarlyStopping")]
    return any(state["wait_count"] >= most for state in states for most in patience)


def _is_complete(path: Path) -> bool:
    """Return whether the run of a checkpoint has been judged."""
    best = path.with_name(BEST)
    return best.is_file() and not checkpoints.why_incomplete(best, checkpoints.read(best).metadata)


def _is_of(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the nested keys joined with dots.

    Example:
        >>> flat({"model": {"optimizer": {"lr": 0.1}}, "seed": 0})
        {'model.optimizer.lr': 0.1, 'seed': 0}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return leaves
