"""Checkpoints that explain themselves: written by training, read by everything after it.

A checkpoint is a Lightning checkpoint (weights, optimiser, loops: all that resuming needs) with one more key,
`fancnn`, of plain data; the file loads with `torch.load(weights_only=True)`. Format version 5:

| key | meaning |
| --- | --- |
| format, version | `fancnn-checkpoint`, 5 |
| complete | whether its command has ended for it: thresholds were chosen, or a pretraining judged; absent before 5 |
| network | `_target_` and arguments of the network, `outputs` among them where it has several |
| outputs | what these are called, in order: `[NG]`, `[GO, NG]` or `[GO, scratch, stain]` (before version 3: `[NG]`) |
| preprocess | image_size, resize, background, mean, std |
| classes, go_class | as in `Model` |
| thresholds | lower and upper (version 1 had one `threshold`) |
| calibration | as `Calibration.as_plain` gives it (version 1 had none; before 4 neither `ng_rate` nor `platt`) |
| decision, decision_part, line | what the thresholds were chosen for, on which part, for which line; absent before |
| decision_rule | the rule, by the keys of `decision`; null where none can choose again, absent before |
| epoch | how many epochs its weights have seen; null in an ensemble |
| runs | in an ensemble: the run folders of its members |
| seen | which images it has seen, in which role, as `SeenImages.to_dict` gives it; absent before |
| init | where its first weights came from: path, epoch and task of that run, layers, SHA-256 of their weights |
| task, learnt | in a pretraining: what was learnt, and the layers that it taught; no classes nor decisions |
| root, split_sha256 | where the pictures were, and which split of them |
| settings | the configuration it was trained with |
| versions | of fancnn, torch, pytorch-lightning |
"""

import pickle
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import fancnn
from fancnn import run_folders
from fancnn.console import say
from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess
from fancnn.inspection.calibration import UNCALIBRATED, Calibration
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.defect_types import ONE
from fancnn.inspection.metrics_file import validate_weights
from fancnn.installation import versions
from fancnn.learning.checkpointing import BEST, LAST, AtomicCheckpointIO
from fancnn.model import Model
from fancnn.networks.registry import UnknownNetwork, check_weights, network_from_dict
from fancnn.pictures import PARTS, Picture, read_split, split_hash
from fancnn.pretraining_settings import PretrainSettings
from fancnn.seen_images import NOTHING_SEEN, SeenImages
from fancnn.settings import TrainSettings
from fancnn.trust import trust as let_be_named

FORMAT, VERSION = "fancnn-checkpoint", 5
FOLDER = "checkpoints"


def describe(
    settings: TrainSettings, model: Model, root: Path, split_sha256: str, seen: SeenImages = NOTHING_SEEN
) -> dict[str, Any]:
    """What a checkpoint of this training says of itself: plain data; `seen` are the images of train and val."""
    data, count = settings.data, len(model.outputs)
    return {
        "format": FORMAT,
        "version": VERSION,
        "complete": False,
        "network": _without_file(settings.model.network) | ({"outputs": count} if count > 1 else {}),
        "outputs": list(model.outputs),
        "preprocess": {name: getattr(data, name) for name in ("image_size", "resize", "background", "mean", "std")},
        "classes": list(model.classes),
        "go_class": model.go_class,
        "thresholds": astuple(model.thresholds),
        "calibration": model.calibration.as_plain(),
        "root": str(root.resolve()),
        "split_sha256": split_sha256,
        "seen": seen.to_dict(),
        "settings": asdict(settings),
        "versions": versions(),
    }


def describe_pretraining(
    settings: PretrainSettings, root: Path, split_sha256: str, seen: SeenImages = NOTHING_SEEN
) -> dict[str, Any]:
    """What a checkpoint of a pretraining says of itself."""
    data = settings.data
    return {
        "format": FORMAT,
        "version": VERSION,
        "complete": False,
        "task": str(settings.task["_target_"]).rpartition(".")[2].lower(),
        "network": _without_file(settings.model.network),
        "preprocess": {name: getattr(data, name) for name in ("image_size", "resize", "background", "mean", "std")},
        "root": str(root.resolve()),
        "split_sha256": split_sha256,
        "seen": seen.to_dict(),
        "settings": asdict(settings),
        "versions": versions(),
    }


def seen_in_training(pictures: Iterable[Picture]) -> SeenImages:
    """What a training sees: its training images teach the weights, its validation images choose the epoch."""
    by_part: dict[str, list[Picture]] = {part: [] for part in PARTS}
    for picture in pictures:
        by_part[picture.split].append(picture)
    return SeenImages.of(weights=by_part["train"], epoch=by_part["val"])


def seen_by(path: Path, about: Mapping[str, Any]) -> SeenImages:
    """What the model of a checkpoint has seen, as its description `about` says.

    A checkpoint of before this was recorded has it from the `split.csv` beside it, by the bytes of files alone, so that
    the record is not complete; without that it is empty.

    Raises:
        UserError: If the record is damaged.
    """
    if "seen" in about:
        try:
            return SeenImages.from_dict(about["seen"])
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from error
    table = run_folder(path) / "split.csv"
    pictures = read_split(table) if table.is_file() and "runs" not in about else []
    if not pictures or split_hash(pictures) != about.get("split_sha256"):
        return SeenImages(complete=False)
    fitted = [picture for picture in pictures if picture.split == "val"]
    chosen = [picture for picture in pictures if picture.split == about.get("decision_part")]
    own = seen_in_training(pictures).merged(SeenImages.of(calibration=fitted, thresholds=chosen))
    return SeenImages(own.by_role, complete=False)


def _without_file(network: Mapping[str, Any]) -> dict[str, Any]:
    """A network's weights are in the checkpoint; the file that they started from need not be where it is loaded."""
    return {**network, "weights": None} if "weights" in network else dict(network)


def load(
    run: str | Path,
    device: str | torch.device = "cpu",
    *,
    deciding: bool = False,
    unfinished: bool = False,
    trust: Iterable[str] = (),
) -> Model:
    """Rebuild the model of a run from its checkpoint file alone.

    Args:
        run: A run folder (its best checkpoint, else its last) or a checkpoint file.
        device: Where to put it.
        deciding: Whether it is loaded to be decided anew, as after a decision that was cut short.
        unfinished: Whether a model may be taken whose run is not complete: nobody has chosen its thresholds, so that it
            is one to look at and not one to decide with. See `why_incomplete`.
        trust: Network classes of your own that the file may name, `package.module.Class` each.

    Raises:
        UserError: If there is no checkpoint, its run is not complete or was being decided anew when that was stopped,
            the file is damaged, not one of fancnn's or of a newer format, its weights are not all finite, or other
            files of its run are of other weights.
    """
    let_be_named(trust)
    path = find(run, (BEST, LAST))
    checkpoint = read(path)
    about = checkpoint["fancnn"]
    if "task" in about:
        raise UserError(
            f"{path} is a pretraining ({about['task']}): it has learnt filters and judges no parts yet. Train an "
            f"inspector from it: python -m fancnn.train init={run}"
        )
    why = why_incomplete(path, about, deciding=deciding)
    if why and not unfinished:
        raise UserError(why)
    if about["version"] < 5 and "decision" not in about and _lies_alone(path):
        say(f"warning: {path} is of before files said whether their thresholds were chosen: they may be as configured")
    thresholds, calibration = _decision(about, path)
    weights = {
        name.removeprefix("model."): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("model.")
    }
    network = network_of(path, about, weights)
    try:
        model = Model(
            network,
            Preprocess(**about["preprocess"]),
            classes=about["classes"],
            go_class=about["go_class"],
            outputs=about.get("outputs", ONE),
            thresholds=thresholds,
            calibration=calibration,
            about=about,
            seen_images=seen_by(path, about),
        )
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path} is damaged: its weights do not fit the network it describes ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, UserError) else UserError(f"{path} is damaged: {error!r}") from error
    check_finite(weights, path)
    if not why and path.name == BEST and path.parent.name == FOLDER:
        validate_weights(run_folder(path), model.weights_sha256)
    return model.eval().to(device)


def why_incomplete(path: Path, about: Mapping[str, Any], *, deciding: bool = False) -> str:
    """Return why the model of a checkpoint is not ready to decide, and the way out; empty where it is.

    A file of before version 5 does not say it: the run folder around it does, by its `metrics.json`. One that lies
    alone is taken.

    Args:
        path: Of the file.
        about: What it says of itself.
        deciding: Whether it is to be decided anew, which mends a decision that was cut short.
    """
    run = run_folder(path)
    if path.parent.name == FOLDER and (why := run_folders.why_incomplete(run, deciding=deciding)):
        return why
    decided = "task" in about or "decision" in about or (run / "metrics.json").is_file() or _lies_alone(path)
    if about.get("complete", decided):
        return ""
    if path.name == LAST and path.with_name(BEST).is_file():
        return (
            f"{path} is the last epoch, kept to go on with, for which no thresholds were chosen. Take the best one, "
            f"with its run: {run}"
        )
    return run_folders.in_words(run, "pretrain" if "task" in about else "train", run)


def _lies_alone(path: Path) -> bool:
    """Whether nothing of a run is around a checkpoint file."""
    return not any((run_folder(path) / name).exists() for name in ("split.csv", "metrics.csv", ".hydra"))


def network_of(path: Path, about: Mapping[str, Any], weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """Make the network that a checkpoint describes, with fresh weights; what a file says is data, and never run.

    Args:
        path: Of the checkpoint, for messages.
        about: What it says of itself.
        weights: Of the model, which must fit; they are compared before memory is taken.

    Raises:
        UserError: If it is no network of fancnn or of the user's own trusted ones, or weights do not fit it.
    """
    try:
        if weights is not None:
            prefix = "network."
            own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            check_weights(about["network"], own)
        return network_from_dict(about["network"])
    except UnknownNetwork as error:
        raise UserError(f"{path}: {error}") from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: its weights do not fit the network it describes ({error})") from error


def check_finite(weights: Mapping[str, Any], path: Path) -> None:
    """Refuse weights that are NaN or infinite: whatever they decide says nothing of a part.

    Raises:
        UserError: Naming the file and the first such tensor.
    """
    wrong = {
        name: int((~torch.isfinite(values)).sum())
        for name, values in weights.items()
        if isinstance(values, torch.Tensor) and values.is_floating_point() and not torch.isfinite(values).all()
    }
    if wrong:
        name, count = next(iter(wrong.items()))
        more = f", and {len(wrong) - 1} more tensors" if len(wrong) > 1 else ""
        raise UserError(
            f"{path} has weights that are no finite numbers: {count} of {weights[name].numel()} in {name}{more}. The "
            "training diverged or the file is damaged, and nothing can be decided with it. Train anew, e.g. with a "
            "lower model.optimizer.lr, or take another checkpoint of the run"
        )


def store_decision(path: Path, model: Model, facts: Mapping[str, Any]) -> None:
    """Put thresholds, calibration and seen images of `model`, and facts, into a checkpoint file, in one step.

    With them it is complete.
    """
    checkpoint = read(path)
    checkpoint["fancnn"] = {
        **checkpoint["fancnn"],
        "version": VERSION,
        "complete": True,
        "thresholds": astuple(model.thresholds),
        "calibration": model.calibration.as_plain(),
        "seen": model.seen_images.to_dict(),
        **facts,
    }
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)


def store_complete(path: Path) -> None:
    """Say in the checkpoint of a pretraining, which decides nothing, that its command has ended."""
    checkpoint = read(path)
    checkpoint["fancnn"] = {**checkpoint["fancnn"], "version": VERSION, "complete": True}
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)


def _decision(about: Mapping[str, Any], path: Path) -> tuple[Thresholds, Calibration]:
    if about["version"] == 1:
        return Thresholds.single(about["threshold"]), UNCALIBRATED
    try:
        return Thresholds(*about["thresholds"]), Calibration.from_plain(about["calibration"])
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def find(run: str | Path, names: Sequence[str]) -> Path:
    """The checkpoint file meant by `run`: the file itself, or the first of `names` in the run folder.

    Raises:
        UserError: If there is none.
    """
    path = Path(run).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"{path} does not exist. Expected a run folder such as outputs/train/<stamp>, or a checkpoint file"
        )
    for folder in (path / FOLDER, path):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    if inside := [
        child for child in sorted(path.iterdir()) if any((child / FOLDER / name).is_file() for name in names)
    ]:
        listed = ", ".join(child.name for child in inside[:8]) + (", ..." if len(inside) > 8 else "")
        raise UserError(f"{path} is no run itself; the runs are inside: {listed}. Name one of them, e.g. {inside[0]}")
    raise UserError(f"{path} has no {FOLDER}/{' or '.join(names)}: no run, or one that was stopped in its first epoch")


def run_folder(checkpoint: Path) -> Path:
    """The run that a checkpoint file lies in."""
    return checkpoint.parent.parent if checkpoint.parent.name == FOLDER else checkpoint.parent


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.stat().st_size == 0:
        return "it is empty"
    if not zipfile.is_zipfile(path):
        return "it is cut short, or a file of another kind"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds Python objects beside plain data, and those are not loaded: they could run anything"
    return str(error).partition("\n")[0]


def read(path: Path) -> dict[str, Any]:
    """A checkpoint as plain data and tensors, on the CPU.

    Raises:
        UserError: If the file is damaged, not one of fancnn's, or of a newer format.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is damaged or no checkpoint of fancnn: {_why_unreadable(path, error)}") from error
    about = found.get("fancnn") if isinstance(found, Mapping) else None
    if not isinstance(about, Mapping) or about.get("format") != FORMAT:
        raise UserError(f"{path} is a torch file, but no checkpoint of fancnn: it lacks the key 'fancnn'")
    if about["version"] > VERSION:
        raise UserError(
            f"{path} has checkpoint format {about['version']}; this fancnn {fancnn.__version__} reads up to {VERSION}. "
            f"It was written by fancnn {about.get('versions', {}).get('fancnn', 'unknown')}: update to that or later"
        )
    return dict(found)
