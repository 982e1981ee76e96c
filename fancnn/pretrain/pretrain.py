"""The story of `python -m fancnn.pretrain`: images without labels, a task, the best epoch, and what it is good for.

The run folder holds `checkpoints/best.ckpt` and `last.ckpt`, `split.csv` (class empty, label 0), `metrics.csv`,
TensorBoard events, and of an autoencoder `reconstructions.png`.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning import Trainer
from torch import Tensor, nn

from fancnn import assembly
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.labeled_images import split_hash
from fancnn.decisions.backbone import kept_preprocess
from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.errors import UserError, collected
from fancnn.files import run_folders
from fancnn.files.atomic_files import atomic_file
from fancnn.files.run import Run
from fancnn.images.contact_sheet import contact_sheet
from fancnn.images.preprocess import Preprocess
from fancnn.plurals import plural
from fancnn.pretrain.pretext_tasks import Autoencoder, Rotation
from fancnn.pretrain.pretraining_module import Pretraining
from fancnn.runs import checkpoints
from fancnn.runs.init_run import print_backbones
from fancnn.runs.resume import EarlierTraining, earlier_training, to_build
from fancnn.runs.run_summary import print_interrupted
from fancnn.settings.groups import SPLIT_NAMES, DataSettings
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.validation import validate_image_size, validate_seed
from fancnn.system.console import say
from fancnn.system.memory import keep_freed_memory
from fancnn.train.train import boards_of, fit, leave_data
from fancnn.training.checkpointing import BestCheckpoint
from fancnn.training.epoch_log import EpochCsvLogger
from fancnn.training.quiet_lightning import quiet_lightning

SHOWN = 32  # images on the sheet of reconstructions
CHANCE, AT_A_GLANCE = 0.3, 0.99  # accuracies of rotation that say it taught nothing


def pretrain(settings: PretrainSettings) -> float:
    """Learn filters and leave a run folder that `python -m fancnn.train init=RUN` starts from.

    Returns:
        The loss of validation of the best epoch, for a sweep; lower is better.

    Raises:
        UserError: For a mistake in configuration or data, before any training.
        SystemExit: 130 or 143 where Ctrl-C or SIGTERM stopped it.
    """
    started, run = time.perf_counter(), Path(settings.output_dir)
    keep_freed_memory()
    quiet_lightning()
    check(to_build(settings))  # before images are read: a mistake is reported at once
    settings = assembly.with_native_size_unlabelled(settings)
    task = build_task(to_build(settings))
    data = read_unlabelled(settings)
    seen = checkpoints.seen_in_training(data.images)
    metadata = checkpoints.describe_pretraining(settings, data.root, split_hash(data.images), seen)
    earlier = earlier_training(settings.ckpt, metadata, "pretrain") if settings.ckpt else None
    backbones: Sequence[Mapping[str, Any]] | None = assembly.prepared(task.network, settings.data)[1]
    if earlier is not None:
        backbones = checkpoints.read(earlier.path).metadata.backbones
        task.preprocess = Preprocess(**kept_preprocess(settings.data, backbones))
    metadata = replace(metadata, backbones=backbones, preprocess=kept_preprocess(settings.data, backbones))
    trainer = assembly.trainer(settings)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by its constructor
        if isinstance(callback, EpochCsvLogger):
            callback.scores = task.scores
    module = _module(settings, task, metadata)
    if trainer.is_global_zero:
        run_folders.begin(run, "pretrain")
        leave_data(data, run)
        _print_images(data)
        print_backbones(backbones, metadata.preprocess)
        say("precision: {} ({})".format(*assembly.precision(settings)))
    _fit(trainer, module, data, earlier, run)
    if trainer.is_global_zero:
        _load_best(module, run)
        _print_result(module, data)
        if isinstance(task, Autoencoder):
            _leave_reconstructions(trainer, task, data, run / "reconstructions.png")
        if (best := Run(run).best).is_file():
            checkpoints.store_complete(best)
        run_folders.finish(run)
        _print_next(run, settings, time.perf_counter() - started)
    return float(trainer.callback_metrics["val/loss"]) if (loss := _best_loss(trainer)) is None else loss


def check(settings: PretrainSettings) -> None:
    """Refuse a configuration that cannot train, before images are read.

    Raises:
        UserError: Naming the key, what it says and what it may say.
    """
    with collected() as attempt:
        attempt(settings.validate_paths)
        attempt(lambda: assembly.trainer(settings))
        attempt(lambda: assembly.augment(settings.augment))
        task = attempt(lambda: build_task(settings) if _can_be_built(settings) else None)
        network = nn.Linear(1, 1) if task is None else task
        attempt(lambda: assembly.makers(settings.model.optimizer, settings.schedule, network))


def _can_be_built(settings: PretrainSettings) -> bool:
    """Return whether seed and sizes are right; errors name their keys."""
    try:
        validate_seed(settings.seed)
        validate_image_size(settings.data.image_size)
    except UserError:
        return False
    return True


def build_task(settings: PretrainSettings) -> Autoencoder | Rotation:
    """Return the task around a fresh network, whose first weights depend on the seed alone.

    Raises:
        UserError: If the network has no feature map, or a value is out of range.
    """
    make = assembly.build(settings.task, "task", later=True)
    torch.manual_seed(settings.seed)
    network = assembly.network(settings.model.network)
    try:
        task: Any = make(network, assembly.prepared(network, settings.data)[0])
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, UserError) else UserError(f"task: {error}") from error
    if not isinstance(task, Autoencoder | Rotation):
        raise UserError(
            f"task._target_={settings.task['_target_']!r} is no pretext task of fancnn.pretrain.pretext_tasks"
        )
    task.network.to(memory_format=torch.channels_last)
    return task


def read_unlabelled(settings: PretrainSettings) -> ImageDataModule:
    """Return all images below the root, read and split; the decoded cache is that of labelled trainings."""
    fixed: dict[str, Any] = {"go_class": "", "split_method": "stratified", "test_fraction": 0.0, "sampler": "shuffled"}
    options = DataSettings(**asdict(settings.data), **fixed, group=None, split_file=None, fans=None)
    root = Path(settings.data.root).expanduser()
    data = assembly.datamodule(options, root, settings.seed, labelled=False, image_limits=settings.image_limits)
    data.setup()
    return data


def _module(settings: PretrainSettings, task: Autoencoder | Rotation, metadata: CheckpointMetadata) -> Pretraining:
    optimizer, schedule = assembly.makers(settings.model.optimizer, settings.schedule, task)
    augment = assembly.augment(settings.augment)
    return Pretraining(
        task,
        optimizer,
        schedule,
        augment=augment,
        seed=settings.seed,
        description=metadata.to_dict(),
        layer_decay=settings.model.optimizer.get("layer_decay"),
    )


def _fit(
    trainer: Trainer, module: Pretraining, data: ImageDataModule, earlier: EarlierTraining | None, run: Path
) -> None:
    try:
        fit(trainer, module, data, earlier, run)
    except SystemExit:  # Lightning's own codes are 0 for SIGTERM and 1 for Ctrl-C
        print_interrupted(run, "pretrain")
        sys.exit(143 if trainer.received_sigterm else 130)


def _best_loss(trainer: Trainer) -> float | None:
    kept = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, BestCheckpoint)]
    loss = kept[0].best_model_score if kept else None
    return None if loss is None else float(loss)


def _load_best(module: nn.Module, run: Path) -> None:
    best = Run(run).best
    if best.is_file():
        module.load_state_dict(checkpoints.read(best).content["state_dict"])


@torch.inference_mode()
def _print_result(module: Pretraining, data: ImageDataModule) -> None:
    """Print how the best epoch does on validation, beside what a task that learnt nothing would reach."""
    task = module.model.eval()
    device = next(task.parameters()).device
    batches = [task.preprocess.scaled(images.to(device)) for images, _ in data.in_order("val")]
    scores = [task.per_image_scores(pixels) for pixels in batches]
    values = {name: float(torch.cat([item[name] for item in scores]).mean()) for name in scores[0]}
    if isinstance(task, Autoencoder):
        flat = float(torch.cat([_around_its_mean(pixels) for pixels in batches]).mean())
        say(f"\nval: mean squared error {values['loss']:.5f}; each image's mean color alone: {flat:.5f}")
        if not values["loss"] < flat:
            say(
                "warning: the reconstructions are no better than one flat color for each image, so next to nothing "
                f"was learnt; train longer: trainer.max_epochs={3 * (module.trainer.max_epochs or 1)}"
            )
        return
    accuracy = values["accuracy"]
    say(f"\nval: {accuracy:.1%} of the turns are recognized (chance: 25 %)")
    if accuracy < CHANCE:
        say("warning: turns cannot be recognized in these images, so little was learnt; take task=autoencoder")
    elif accuracy > AT_A_GLANCE:
        say("warning: turns are seen at a glance, by a label or by light perhaps: little may have been learnt for it")


def _around_its_mean(pixels: Tensor) -> Tensor:
    return (pixels - pixels.mean((2, 3), keepdim=True)).square().mean((1, 2, 3))


def _leave_reconstructions(trainer: Trainer, task: Autoencoder, data: ImageDataModule, path: Path) -> None:
    sheet = reconstruction_sheet(task, data)
    with atomic_file(path) as partial:
        Image.fromarray(sheet).save(partial, "PNG")
    for board in boards_of(trainer):
        board.experiment.add_image("reconstructions", sheet, 0, dataformats="HWC")
    say(f"images beside their reconstructions: {path}")


@torch.inference_mode()
def reconstruction_sheet(task: Autoencoder, data: ImageDataModule, count: int = SHOWN) -> NDArray[np.uint8]:
    """Return the validation images, each with its reconstruction to the right: `(height, width, 3)` uint8."""
    size = len(data.images_of("val"))
    rows = torch.linspace(0, size - 1, min(count, size)).long()
    images, _ = data.dataset("val")[rows]
    rebuilt = task.eval()(images.to(next(task.parameters()).device)).cpu()
    rebuilt = rebuilt.clamp(0, 1).mul(255).round().to(torch.uint8)
    pairs = torch.stack([images, rebuilt], 1).flatten(0, 1).permute(0, 2, 3, 1)
    return contact_sheet(list(pairs.numpy()), ["image", "rebuilt"] * len(rows))


def _print_images(data: ImageDataModule) -> None:
    counts = ", ".join(f"{len(data.images_of(split))} {split}" for split in SPLIT_NAMES if data.images_of(split))
    say(f"images: {len(data.images)} in {data.root}, labels not looked at ({counts})")
    if data.images_of("test"):
        say("those of test/ are left alone")
    if data.skipped:
        say(f"warning: {plural(len(data.skipped), 'file')} could not be read and left out; skipped.csv lists them")


def _print_next(run: Path, settings: PretrainSettings, seconds: float) -> None:
    shown = run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run
    models = [item for item in settings.overrides if item.startswith(("model=", "model.network"))]
    say(f"\nrun folder: {shown}   ({seconds:.0f} s)")
    say(f"  start with it   python -m fancnn.train {' '.join([f'init={shown}', *models])}")
