"""Checkpoints that explain themselves: written by training, read by everything after it.

A checkpoint is a Lightning checkpoint (weights, optimizer, loops: all that resuming needs) with one more key,
`fancnn`, of plain data; the file loads with `torch.load(weights_only=True)`. Format version 6:

| key | meaning |
| --- | --- |
| format, version | `fancnn-checkpoint`, 6 |
| complete | whether its command has ended for it: thresholds were chosen, or a pretraining judged; absent before 5 |
| network | `_target_` and arguments of the network, `outputs` among them where it has several |
| outputs | what these are called, in order: `[NG]`, `[GO, NG]` or `[GO, scratch, stain]` (before version 3: `[NG]`) |
| preprocess | the keys of `PreprocessSettings`; those of normalize may be absent |
| classes, go_class | as in `Model` |
| thresholds | lower and upper (version 1 had one `threshold`) |
| cell_threshold, mm_per_pixel | P(NG) above which cells are boxed as the defect, and a pixel's size; may be absent |
| part | the regular expression that names the part of an image, where the thresholds are of parts; may be absent |
| part_images | how many images each part had in training; absent where their numbers differed, and before |
| calibration | as `Calibration.to_dict` gives it (version 1 had none; before 4 neither `ng_rate` nor `platt`) |
| decision, decision_split, line | what the thresholds were chosen for, on which split, for which line; absent before |
| decision_rule | the rule, by the keys of `decision`; null where none can choose again, absent before |
| epoch | how many epochs its weights have seen; null in an ensemble |
| runs | in an ensemble: the run folders of its members |
| seen | which images it has seen, in which role, as `SeenImages.to_dict` gives it; absent before |
| init | where its first weights came from: path, epoch and task of that run, layers, SHA-256 of their weights |
| backbones | where weights come from that learnt elsewhere, by the keys of `Backbone`; absent where none, and before |
| task, learnt | in a pretraining: what was learnt, and the layers that it taught; no classes nor decisions |
| root, split_sha256 | where the images were, and which split of them |
| settings | the configuration it was trained with |
| versions | of fancnn, torch, pytorch-lightning |
| weights_sha256 | of the model's weights, as `weights_hash` makes it; absent before version 5 |

Before version 6 some keys had other names, here and among the settings: see `fancnn.settings.earlier_names`.

The file ends in a seal (see `fancnn.files.seals`), unless it is of before version 5 or another program has written it
again. Whoever loads it verifies the seal, the checksum of every member of the archive, and the hash of the weights.
"""

import pickle
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import fancnn
from fancnn.data.labeled_images import LabeledImage, read_split, split_hash
from fancnn.data.seen_images import NOTHING_SEEN, SeenImages
from fancnn.decisions.backbone import kept_preprocess
from fancnn.decisions.calibration import UNCALIBRATED, Calibration
from fancnn.decisions.model_metadata import (
    CHECKPOINT_FORMAT,
    CHECKPOINT_KINDS,
    CHECKPOINT_VERSION,
    LINE,
    CheckpointMetadata,
)
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.plain_data import number_between, optional, plain, record, shown, text, validate
from fancnn.files.regular_files import size_of_regular
from fancnn.files.run import BEST, LAST, Run
from fancnn.files.seals import NotAsWrittenError, validate_archive
from fancnn.files.trusted_classes import trust as let_be_named
from fancnn.images.preprocess import Preprocess
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.networks.registry import UnknownNetwork, network_from_dict, validate_weight_shapes
from fancnn.networks.weights import weights_hash, weights_of
from fancnn.runs.metrics_file import validate_weights
from fancnn.settings.choices import to_dict
from fancnn.settings.earlier_names import metadata_by_present_names, settings_by_present_names
from fancnn.settings.groups import SPLIT_NAMES, ImageLimits
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings
from fancnn.system.console import say
from fancnn.system.installation import versions
from fancnn.training.checkpointing import AtomicCheckpointIO

FORMAT, VERSION = CHECKPOINT_FORMAT, CHECKPOINT_VERSION
STATES_WEIGHTS = 5  # the first version whose description has their hash
MOST_BYTES = 16 * 2**30  # of a file: some networks of timm have 8 GB with the state of their optimizer


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it was read.

    Attributes:
        metadata: What it says of itself.
        content: All that Lightning keeps: weights under `state_dict`, and what resuming needs.
    """

    metadata: CheckpointMetadata
    content: Mapping[str, Any]


def describe(
    settings: TrainSettings, model: Model, root: Path, split_sha256: str, seen: SeenImages = NOTHING_SEEN
) -> CheckpointMetadata:
    """Return what a checkpoint of this training says of itself; `seen` are the images of train and val."""
    kept, count = to_dict(settings), len(model.outputs)
    return CheckpointMetadata(
        complete=False,
        network=without_file(settings.model.network) | ({"outputs": count} if count > 1 else {}),
        outputs=list(model.outputs),
        preprocess=kept_preprocess(settings.data, model.metadata.backbones),
        backbones=model.metadata.backbones,
        classes=list(model.classes),
        go_class=model.go_class,
        thresholds=astuple(model.thresholds),
        cell_threshold=model.cell_threshold,
        mm_per_pixel=model.mm_per_pixel,
        part=model.part,
        part_images=model.part_images,
        calibration=model.calibration.to_dict(),
        root=str(root.resolve()),
        split_sha256=split_sha256,
        seen=seen.to_dict(),
        settings=kept,
        versions=versions(),
    )


def describe_pretraining(
    settings: PretrainSettings, root: Path, split_sha256: str, seen: SeenImages = NOTHING_SEEN
) -> CheckpointMetadata:
    """Return what a checkpoint of a pretraining says of itself."""
    kept = to_dict(settings)
    return CheckpointMetadata(
        complete=False,
        task=str(settings.task["_target_"]).rpartition(".")[2].lower(),
        network=without_file(settings.model.network),
        preprocess=kept_preprocess(settings.data, None),
        root=str(root.resolve()),
        split_sha256=split_sha256,
        seen=seen.to_dict(),
        settings=kept,
        versions=versions(),
    )


def seen_in_training(images: Iterable[LabeledImage]) -> SeenImages:
    """Return what a training sees: its training images teach the weights, its validation images choose the epoch."""
    by_split: dict[str, list[LabeledImage]] = {split: [] for split in SPLIT_NAMES}
    for image in images:
        by_split[image.split].append(image)
    return SeenImages.of(weights=by_split["train"], epoch=by_split["val"])


def seen_by(path: Path, metadata: CheckpointMetadata) -> SeenImages:
    """Return what the model of a checkpoint has seen, as its metadata says.

    A checkpoint of before this was recorded has it from the `split.csv` beside it, by the bytes of files alone, so that
    the record is not complete; without that it is empty.

    Raises:
        UserError: If the record is damaged.
    """
    if metadata.seen is not None:
        return SeenImages.from_dict(metadata.seen, str(path))
    table = Run.of_checkpoint(path).split
    images = read_split(table) if table.is_file() and metadata.runs is None else []
    if not images or split_hash(images) != metadata.split_sha256:
        return SeenImages(complete=False)
    fitted = [image for image in images if image.split == "val"]
    chosen = [image for image in images if image.split == metadata.decision_split]
    own = seen_in_training(images).merged(SeenImages.of(calibration=fitted, thresholds=chosen))
    return SeenImages(own.by_role, complete=False)


def without_file(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's configuration without the weights it started from: those it has now are in the checkpoint.

    Where the checkpoint is loaded, or a training goes on with it, that file need not be there, and nothing is
    downloaded.
    """
    gone = ("weights", "mean", "std") if "weights" in network else ()  # what they have learnt with stays in `backbones`
    return {name: None if name in gone else value for name, value in network.items()}


def load(
    run: str | Path,
    device: str | torch.device = "cpu",
    *,
    deciding: bool = False,
    unfinished: bool = False,
    trust: Iterable[str] = (),
    image_limits: ImageLimits | None = None,
) -> Model:
    """Rebuild the model of a run from its checkpoint file alone.

    Args:
        run: A run folder (its best checkpoint, else its last) or a checkpoint file.
        device: Where to put it.
        deciding: Whether it is loaded to be decided again, as after a decision that was cut short.
        unfinished: Whether a model may be taken whose run is not complete: nobody has chosen its thresholds, so that it
            is one to look at and not one to decide with. See `why_incomplete`.
        trust: Network classes of your own that the file may name, `package.module.Class` each.
        image_limits: How large the images may be that the model reads; the usual ones where None. A file does not say
            its own.

    Raises:
        UserError: If there is no checkpoint, its run is not complete or was being decided again when that was stopped,
            the file is damaged, not one of fancnn's or of a newer format, its weights are not all finite, or other
            files of its run are of other weights.
    """
    let_be_named(trust)
    path = find(run, (BEST, LAST))
    checkpoint = read(path)
    metadata = checkpoint.metadata
    if metadata.is_pretraining:
        raise UserError(
            f"{path} is a pretraining ({metadata.task}): it has learnt filters and judges no parts yet. Train an "
            f"inspector from it: python -m fancnn.train init={run}"
        )
    why = why_incomplete(path, metadata, deciding=deciding)
    if why and not unfinished:
        raise UserError(why)
    if metadata.version < 5 and metadata.decision is None and _lies_alone(path):
        say(f"warning: {path} is older than the record of whether thresholds were chosen: they may be as configured")
    weights = weights_of(checkpoint.content["state_dict"])
    network = network_of(path, metadata, weights)
    try:
        model = Model(
            network,
            Preprocess(**metadata.preprocess),
            classes=metadata.classes,
            go_class=metadata.go_class,
            outputs=metadata.outputs,
            thresholds=Thresholds(*metadata.thresholds),
            calibration=Calibration.from_dict(metadata.calibration) if metadata.calibration else UNCALIBRATED,
            cell_threshold=metadata.cell_threshold,
            mm_per_pixel=metadata.mm_per_pixel,
            part=metadata.part,
            part_images=metadata.part_images,
            metadata=metadata,
            seen_images=seen_by(path, metadata),
            image_limits=image_limits,
        )
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path} is damaged: its weights do not fit the network it describes ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, UserError) else UserError(f"{path} is damaged: {error!r}") from error
    validate_finite(weights, path)
    own_run = Run.of_checkpoint(path)
    if not why and path == own_run.best:
        validate_weights(own_run.folder, model.weights_sha256)
    return model.eval().to(device)


def why_incomplete(path: Path, metadata: CheckpointMetadata, *, deciding: bool = False) -> str:
    """Return why the model of a checkpoint is not ready to decide, and the way out; empty where it is.

    A file of before version 5 does not say it: the run folder around it does, by its `metrics.json`. One that lies
    alone is taken.

    Args:
        path: Of the file.
        metadata: What it says of itself.
        deciding: Whether it is to be decided again, which mends a decision that was cut short.
    """
    run = Run.of_checkpoint(path)
    if path.parent == run.checkpoints and (why := run_folders.why_incomplete(run.folder, deciding=deciding)):
        return why
    beside_best = path.name == LAST and path.with_name(BEST).is_file()
    judged = run.metrics.is_file() and not beside_best  # then the best one was
    decided = metadata.is_pretraining or metadata.decision is not None or judged or _lies_alone(path)
    if decided if metadata.complete is None else metadata.complete:
        return ""
    if beside_best:
        return (
            f"{path} is the last epoch, kept to go on with, for which no thresholds were chosen. Take the best one, "
            f"with its run: {run.folder}"
        )
    return run_folders.in_words(run.folder, "pretrain" if metadata.is_pretraining else "train", run.folder)


def _lies_alone(path: Path) -> bool:
    """Return whether nothing of a run is around a checkpoint file."""
    run = Run.of_checkpoint(path)
    return not any(place.exists() for place in (run.split, run.epochs, run.hydra))


def network_of(path: Path, metadata: CheckpointMetadata, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """Make the network that a checkpoint describes, with fresh weights; what a file says is data, and never run.

    Args:
        path: Of the checkpoint, for messages.
        metadata: What it says of itself.
        weights: Of the model, which must fit; they are compared before memory is taken.

    Raises:
        UserError: If it is no network of fancnn or of the user's own trusted ones, or weights do not fit it.
    """
    try:
        if weights is not None:
            prefix = "network."
            own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            validate_weight_shapes(metadata.network, own)
        return network_from_dict(metadata.network)
    except UnknownNetwork as error:
        raise UserError(f"{path}: {error}") from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: its weights do not fit the network it describes ({error})") from error


def validate_finite(weights: Mapping[str, Any], path: Path) -> None:
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
            "training diverged or the file is damaged, and nothing can be decided with it. Train again, e.g. with a "
            "lower model.optimizer.lr, or take another checkpoint of the run"
        )


def store_decision(path: Path, model: Model, facts: Mapping[str, Any]) -> None:
    """Put thresholds, calibration and seen images of `model`, and facts, into a checkpoint file, in one step.

    With them it is complete.
    """
    _rewrite(
        path,
        thresholds=astuple(model.thresholds),
        cell_threshold=model.cell_threshold,
        calibration=model.calibration.to_dict(),
        seen=model.seen_images.to_dict(),
        **facts,
    )


def store_complete(path: Path) -> None:
    """Say in the checkpoint of a pretraining, which decides nothing, that its command has ended."""
    _rewrite(path)


def _rewrite(path: Path, **changed: Any) -> None:
    """Rewrite a checkpoint, complete and in the present format, with some of its metadata changed."""
    checkpoint = read(path)
    metadata = replace(checkpoint.metadata, version=VERSION, complete=True, **changed)
    save(path, metadata, checkpoint.content)


def save(path: Path, metadata: CheckpointMetadata, content: Mapping[str, Any]) -> None:
    """Write a checkpoint of what Lightning keeps, weights under `state_dict`, and what it says of itself."""
    AtomicCheckpointIO().save_checkpoint({**content, "fancnn": metadata.to_dict()}, path)


def find(run: str | Path, names: Sequence[str]) -> Path:
    """Return the checkpoint file meant by `run`: the file itself, or the first of `names` in the run folder.

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
    for folder in (Run(path).checkpoints, path):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    if inside := [
        child for child in sorted(path.iterdir()) if any((Run(child).checkpoints / name).is_file() for name in names)
    ]:
        listed = ", ".join(child.name for child in inside[:8]) + (", ..." if len(inside) > 8 else "")
        raise UserError(f"{path} is no run itself; the runs are inside: {listed}. Name one of them, e.g. {inside[0]}")
    raise UserError(
        f"{path} has no {Run(path).checkpoints.name}/{' or '.join(names)}: no run, or one that was stopped in its "
        "first epoch, of which nothing is left to go on with. Train again, there or elsewhere"
    )


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.stat().st_size == 0:
        return "it is empty"
    if isinstance(error, NotAsWrittenError):
        return f"{error}. Take another copy of it, or train again"
    if not _is_zip(path):
        return "it is cut short, or a file of another kind"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds Python objects beside plain data, and those are not loaded: they could run anything"
    return str(error).partition("\n")[0] or type(error).__name__


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # its end says that it goes on in another file
        return False


def read(path: Path) -> Checkpoint:
    """Return a checkpoint as plain data and tensors, on the CPU: what was written, to the last bit.

    Raises:
        UserError: If the file is damaged, not one of fancnn's, or of a newer format, or what it says of itself is not
            of the kinds in the table above.
    """
    try:
        size_of_regular(path, MOST_BYTES)
        with path.open("rb") as file:
            validate_archive(file)
            file.seek(0)
            archive = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle that is damaged raises whatever its makers raise
        raise UserError(f"{path} is damaged or no checkpoint of fancnn: {_why_unreadable(path, error)}") from error
    about = archive.get("fancnn") if isinstance(archive, Mapping) else None
    if not isinstance(about, Mapping) or about.get("format") != FORMAT:
        raise UserError(f"{path} is a torch file, but no checkpoint of fancnn: it lacks the key 'fancnn'")
    about = metadata_by_present_names(about)
    version = _checked_version(about, path)
    _validate_tensors(archive.get("state_dict"), path)
    if version >= STATES_WEIGHTS and about["weights_sha256"] != weights_hash(weights_of(archive["state_dict"])):
        raise UserError(
            f"{path} is damaged: its weights are not those that were saved. Take another copy of it, or train again"
        )
    about["settings"] = settings_by_present_names(about["settings"])
    content = {name: value for name, value in archive.items() if name != "fancnn"}
    return Checkpoint(CheckpointMetadata.from_dict(about), content)


def _checked_version(about: Mapping[str, Any], path: Path) -> int:
    """Return the version of a description whose values are of the kinds in the table at the top; refuse newer ones."""
    version = about.get("version")
    if type(version) is int and version > VERSION:
        named = about.get("versions")
        by = named.get("fancnn") if isinstance(named, Mapping) else None
        raise UserError(
            f"{path} has checkpoint format {version}; this fancnn {fancnn.__version__} reads up to {VERSION}. "
            f"It was written by fancnn {by if isinstance(by, str) else 'unknown'}: update to that or later"
        )
    validate(about, plain, str(path))
    validate(about, record(CHECKPOINT_KINDS, _NEEDED), str(path))
    assert isinstance(version, int)  # as the line before has validated
    if about.get("task") is None:
        validate(about, _OF_AN_INSPECTOR, str(path))
        of_version_1 = record({"threshold": number_between(0, 1)}, ("threshold",))
        validate(about, of_version_1 if version == 1 else record({}, ("thresholds", "calibration")), str(path))
        if about["go_class"] not in about["classes"]:
            raise UserError(f"{path} is damaged: go_class: expected one of its classes, got {shown(about['go_class'])}")
    if version >= STATES_WEIGHTS:
        validate(about, record({"weights_sha256": text}, ("weights_sha256",)), str(path))
    return version


def _validate_tensors(state: Any, path: Path) -> None:
    """Refuse weights that are no plain tensors, or larger than what the file holds for them."""
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{path} is damaged: it has no weights by name")
    for name, value in state.items():
        whole_tensor = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized
        if not whole_tensor or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{path} is damaged: {shown(name)} among its weights is no tensor that it holds whole")


_NEEDED = ("version", "network", "preprocess", "root", "split_sha256", "settings", "versions", "epoch")
_OF_AN_INSPECTOR = record(
    {"settings": record({"monitor": text, "line": optional(LINE)}, ("monitor",))}, ("classes", "go_class")
)
