"""The story of `python -m fancnn.train`: images, split, fit, the best epoch, and what it is worth."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException  # type: ignore[attr-defined]
from scipy.special import expit, logit
from torch import Tensor

from fancnn import assembly
from fancnn.cli.command import in_sweep
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.labeled_images import LabeledImage, split_hash, write_split
from fancnn.data.predicted_images import predicted
from fancnn.data.seen_images import NOTHING_SEEN, SeenImages
from fancnn.decide.decide import (
    choose_on,
    chosen_split,
    decision_facts,
    fitted_calibration,
    model_facts,
    print_decision,
    validate_images,
)
from fancnn.decisions.backbone import kept_preprocess
from fancnn.errors import NotFiniteError, UserError
from fancnn.files import run_folders
from fancnn.files.atomic_files import atomic_file
from fancnn.files.run import Run
from fancnn.files.tables import table_writer
from fancnn.metrics.parts import images_of_each
from fancnn.metrics.predictions import Prediction, TypeGuess, write_predictions
from fancnn.model import Model
from fancnn.plurals import plural
from fancnn.runs import checkpoints
from fancnn.runs.init_run import (
    earlier_origin,
    find_origin,
    inherited,
    print_backbones,
    print_frozen,
    print_start,
    seen_by_earlier,
    seen_by_origin,
    start_from,
    take_backbones,
)
from fancnn.runs.known_line import line_of
from fancnn.runs.metrics_file import RunMetrics, split_metrics, write_metrics
from fancnn.runs.recorded_looks import choice, record_look
from fancnn.runs.resume import EarlierTraining, earlier_training, flat, to_build
from fancnn.runs.run_summary import print_data, print_interrupted, print_next
from fancnn.runs.scoring import print_scores
from fancnn.runs.stored_regions import with_regions
from fancnn.settings.choices import to_dict
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.settings.training import TrainSettings
from fancnn.system.console import say
from fancnn.system.installation import versions
from fancnn.system.memory import keep_freed_memory
from fancnn.train.augmented_samples import augmented_sheet
from fancnn.train.findings import findings_of, print_findings
from fancnn.training.checkpointing import NoMoreEpochs, take_best_along
from fancnn.training.classifier import Classifier
from fancnn.training.quiet_lightning import quiet_lightning

DIVERGED = "The weights have diverged: train with a lower model.optimizer.lr or +trainer.gradient_clip_val=1"


@dataclass(frozen=True)
class Trained:
    """What a training came to; `objective` is None where it is undefined, and in processes that only helped."""

    run: Path
    objective: float | None


def train(
    settings: TrainSettings,
    weights: Mapping[str, Tensor] | None = None,
    part_of: tuple[str, str] | None = None,
    descends_from: SeenImages = NOTHING_SEEN,
) -> Trained:
    """Train an inspector and leave a run folder that explains itself.

    Args:
        settings: As a command has them.
        weights: Of the network, to begin with; None takes fresh ones.
        part_of: Command and run folder of what this training is a part of: that goes on where it is stopped.
        descends_from: What the model has seen whose weights these are.

    Raises:
        UserError: For a mistake in configuration or data, before any training.
        SystemExit: 130 or 143 where Ctrl-C or SIGTERM stopped it.
    """
    started, run = time.perf_counter(), Path(settings.output_dir)
    keep_freed_memory()
    quiet_lightning()
    assembly.check(to_build(settings))
    settings = assembly.with_native_size(settings)
    built = to_build(settings)
    origin = find_origin(settings)
    data = assembly.read_images(settings)
    validate_images(settings.decision, data.images)
    batch = min(settings.data.batch_size, len(data.images_of("train")))
    assembly.validate_memory(settings.model.network, len(data.outputs), batch)
    fresh = assembly.model(built, data.classes, data.class_counts(), data.outputs)
    fresh.part_images = images_of_each(image.part for image in data.images)
    if weights is not None:
        fresh.network.load_state_dict(weights)
    metadata = checkpoints.describe(settings, fresh, data.root, split_hash(data.images))
    earlier = earlier_training(settings.ckpt, metadata) if settings.ckpt else None
    before = earlier.path if earlier else None
    init = start_from(origin, fresh, settings, data.class_counts()) or earlier_origin(before)
    if before is not None:
        take_backbones(fresh, settings.data, checkpoints.read(before).metadata.backbones)
    own = SeenImages(checkpoints.seen_in_training(data.images).by_role, not settings.model.network.get("weights"))
    fresh.seen_images = own.merged(inherited(descends_from), seen_by_origin(origin), seen_by_earlier(before))
    backbones = fresh.metadata.backbones
    metadata = replace(metadata, init=init, seen=fresh.seen_images.to_dict(), backbones=backbones)
    metadata = replace(metadata, preprocess=kept_preprocess(settings.data, backbones))
    trainer = assembly.trainer(settings)
    val_parts = None if settings.data.part is None else [image.part for image in data.images_of("val")]
    classifier = assembly.classifier(settings, fresh, metadata.to_dict(), data.class_counts(), val_parts)
    if trainer.is_global_zero:
        run_folders.begin(run, part_of[0] if part_of else "train", part=part_of is not None)
        leave_data(data, run)
        print_data(data)
        if data.masks is not None:
            say(f"masks of defects: of {plural(len(data.masks.points), 'training image')}")
        carried = init["layers"] if init else ()
        if origin is not None:
            print_start(origin, fresh, carried, settings)
        print_backbones(backbones, metadata.preprocess)
        print_frozen(fresh, settings, carried)
        say("precision: {} ({})".format(*assembly.precision(settings)))
        if settings.augment_preview:
            sheet = augmented_sheet(data, classifier.augment, classifier.plant, seed=settings.seed)
            _leave_preview(trainer, sheet, run / "augment.png")
    _fit(trainer, classifier, data, earlier, settings, part_of)
    if not trainer.is_global_zero:
        return Trained(run, None)
    splits = _judge(settings, trainer, classifier, data, run, part_of[0] if part_of else "train")
    if settings.report:
        from fancnn.report.report import write_report  # matplotlib takes half a second to import

        with run_folders.reading_unfinished(run):
            write_report(run)
    run_folders.finish(run)
    kept, board = Run(run).checkpoints.is_dir(), bool(boards_of(trainer))
    print_next(run, time.perf_counter() - started, can_be_loaded=kept, has_board=board)
    return Trained(run, splits["val"][settings.objective.removeprefix("val/")])


def leave_data(data: ImageDataModule, run: Path) -> None:
    write_split(data.images, Run(run).split)
    if data.skipped:
        with table_writer(Run(run).skipped, ("path", "reason"), version=1) as add:
            for item in data.skipped:
                add({"path": item.path, "reason": item.reason})


def _leave_preview(trainer: Trainer, sheet: NDArray[np.uint8], path: Path) -> None:
    with atomic_file(path) as partial:
        Image.fromarray(sheet).save(partial, "PNG")
    for board in boards_of(trainer):
        board.experiment.add_image("samples/augmented", sheet, 0, dataformats="HWC")
    say(f"augmented images: {path}")


def _fit(
    trainer: Trainer,
    classifier: Classifier,
    data: ImageDataModule,
    earlier: EarlierTraining | None,
    settings: TrainSettings,
    part_of: tuple[str, str] | None,
) -> None:
    """Train; a stop from outside ends the program with the code a shell expects of it.

    Raises:
        UserError: If not one step was trained.
    """
    run = Path(settings.output_dir)
    try:
        fit(trainer, classifier, data, earlier, run)
    except SystemExit:  # Lightning's own codes are 0 for SIGTERM and 1 for Ctrl-C
        print_interrupted(run, part_of=part_of, epochs=trainer.current_epoch)
        sys.exit(143 if trainer.received_sigterm else 130)


def fit(
    trainer: Trainer,
    module: LightningModule,
    data: ImageDataModule,
    earlier: EarlierTraining | None,
    run: Path,
) -> None:
    """Train, or go on with an earlier training; one that has ended is taken as it is, without another epoch.

    Raises:
        UserError: If not one step was trained.
    """
    if earlier is not None and trainer.is_global_zero:
        take_best_along(earlier.path, Run(run).checkpoints, ended=earlier.ended)
    if earlier is not None and earlier.ended:
        trainer.callbacks.append(NoMoreEpochs())  # type: ignore[attr-defined]  # set by its constructor
    try:
        trainer.fit(module, data, ckpt_path=None if earlier is None else earlier.path, weights_only=True)
    except MisconfigurationException as error:  # Lightning's own words on values of trainer.*
        raise UserError(f"trainer: {error}") from error
    if trainer.global_step == 0:
        raise UserError(
            "not one step was trained, so that there is no model: something in trainer.* or callbacks.* ends the "
            f"training before it begins. trainer: {trainer.max_epochs} epochs of {trainer.num_training_batches} batches"
        )


def _judge(
    settings: TrainSettings, trainer: Trainer, classifier: Classifier, data: ImageDataModule, run: Path, command: str
) -> dict[str, dict[str, Any]]:
    """Calibrate the best epoch, choose its thresholds, state what it is worth; leave tables and TensorBoard's table.

    `command` is the one that trains; a look at the test split is written down in its name.
    """
    best = Run(run).best
    names = [split for split in SPLIT_NAMES[1:] if data.images_of(split) and (split == "val" or _scores_test(settings))]
    try:
        model = checkpoints.load(best, unfinished=True) if best.is_file() else classifier.model.eval()
        model.seen_images = inherited(model.seen_images)  # it may have been decided before, in a shorter training
        model.to(trainer.strategy.root_device)
        outputs = {split: _outputs_of_split(model, data, split) for split in {*names, "val", settings.decision.split}}
    except UserError as error:
        raise UserError(
            f"nothing can be decided or stated after this training: {error}. {DIVERGED}. {run} keeps its curves and "
            "checkpoints as they are"
        ) from error
    logits = {split: of_split for split, (of_split, _) in outputs.items()}
    reason = _decide(model, settings, data, logits)
    facts = decision_facts(reason, chosen_split(settings.decision), settings.line, settings.decision)
    if best.is_file():
        checkpoints.store_decision(best, model, facts)
    weights = model.weights_sha256
    predictions = {
        split: with_regions(model, _predictions(model, weights, data.images_of(split), *outputs[split]), data.root)
        for split in names
    }
    write_predictions([row for rows in predictions.values() for row in rows], Run(run).predictions)
    looks = None
    if command != "crossval":  # a fold's own test split is not what is kept for the last look
        if chosen_split(settings.decision) == "test":
            judged = predictions.get("test") or _predictions(model, weights, data.images_of("test"), *outputs["test"])
            looks = record_look(command, judged, weights, choice(settings.decision))
        if "test" in predictions:
            looks = record_look(command, predictions["test"], weights)
    line, costs = line_of(settings.line)
    searched = chosen_split(settings.decision)
    splits = {
        split: split_metrics(rows, model.thresholds, line, costs, searched=split == searched)
        for split, rows in predictions.items()
    }
    epochs = trainer.current_epoch
    metrics = RunMetrics(
        run=str(run.resolve()),
        epoch=epochs if model is classifier.model else model.metadata.epoch,
        epochs=epochs,
        monitor=settings.monitor,
        **model_facts(model),
        **facts,
        root=str(data.root.resolve()),
        split_sha256=split_hash(data.images),
        looks=None if looks is None else looks.to_dict(),
        unread=len(data.skipped),
        warnings=[str(finding) for finding in findings_of(trainer)],
        versions=versions(),
        splits=splits,
    )
    write_metrics(Run(run).metrics, metrics)
    chosen = f"the best by {settings.monitor}" if best.is_file() else "the last"
    print_scores(f"epoch {metrics.epoch} of {epochs}, {chosen}", splits)
    if looks is not None:
        say(f"test: {looks.in_words()}")
    elif data.images_of("test") and settings.score_test is None and "test" not in splits:
        say("the test split is not scored in a sweep: score_test=true scores it")
    print_findings(trainer)
    _log_hyperparameters(trainer, settings, splits)
    return splits


def _scores_test(settings: TrainSettings) -> bool:
    """Return whether the test split is scored; by default not in a sweep, whose every job would look at it.

    The best of the jobs would then have been picked by its images.
    """
    return not in_sweep() if settings.score_test is None else settings.score_test


def _decide(
    model: Model, settings: TrainSettings, data: ImageDataModule, logits: Mapping[str, NDArray[np.float64]]
) -> str:
    """Give `model` its calibration, its thresholds and the images that it owes them to; the reason, in words."""
    val, line = data.images_of("val"), settings.line
    model.calibration = fitted_calibration(
        settings.calibration,
        logits["val"],
        [image.label for image in val],
        line.ng_rate,
        [image.part for image in val],
    )
    if model.calibration.method != "none":
        model.seen_images = model.seen_images.merged(SeenImages.of(calibration=val))
    decision, split = settings.decision, settings.decision.split
    try:
        probabilities = model.calibration.probabilities(logits[split]).tolist()
        rows = map(predicted, data.images_of(split), probabilities, repeat(model.thresholds))
        chosen = choose_on(decision, line, list(rows))
    except UserError as error:  # the training is not lost for it
        say(f"warning: {error}. The thresholds stay as configured; choose others with python -m fancnn.decide")
        return f"fixed, since decision.rule={decision.rule} could not choose"
    model.thresholds = chosen.thresholds
    if decision.rule != "fixed":
        model.seen_images = model.seen_images.merged(SeenImages.of(thresholds=data.images_of(split)))
        print_decision(chosen, split)
    elif model.calibration.intercept and 0 < decision.threshold < 1:  # what 0.5 means has moved with it
        own = (float(logit(decision.threshold)) - model.calibration.intercept) / model.calibration.slope
        say(
            f"note: decision.threshold={decision.threshold:g} is of the calibrated P(NG), where the network's own, as "
            f"it was trained, is {expit(own):.3g}. decision.rule=f1, cost or escape lets the images choose it"
        )
    return chosen.reason


def _outputs_of_split(model: Model, data: ImageDataModule, split: str) -> tuple[NDArray[np.float64], list[TypeGuess]]:
    """Return the logits and likeliest types of the images of a split.

    Raises:
        NotFiniteError: If the output for one is NaN or infinite, naming it.
    """
    batches: list[tuple[NDArray[np.float64], list[TypeGuess]]] = []
    paths, start = [image.path for image in data.images_of(split)], 0
    for images, _ in data.in_order(split):
        try:
            batches.append(model.logits_and_types(images))
        except NotFiniteError as error:
            named = [paths[start + int(place)] for place in error.images]
            raise NotFiniteError(named, len(images)) from error
        start += len(images)
    return np.concatenate([logits for logits, _ in batches]), [guess for _, guesses in batches for guess in guesses]


def _predictions(
    model: Model,
    weights: str,
    images: Sequence[LabeledImage],
    logits: NDArray[np.float64],
    guesses: Sequence[TypeGuess],
) -> list[Prediction]:
    columns = (model.calibration.probabilities(logits).tolist(), guesses, model.seen_images.column(images))
    return [
        predicted(
            *(image, probability, model.thresholds),
            true_type=model.true_type(image),
            guess=guess,
            seen=seen,
            weights_sha256=weights,
        )
        for image, probability, guess, seen in zip(images, *columns, strict=True)
    ]


def _log_hyperparameters(trainer: Trainer, settings: TrainSettings, splits: dict[str, dict[str, Any]]) -> None:
    """Log settings beside the scores of the best epoch, so that TensorBoard can compare the runs of a sweep."""
    scores = {f"val_best/{name}": value for name, value in splits["val"].items() if isinstance(value, float)}
    for board in boards_of(trainer):
        board.log_hyperparams(_hyperparameters(settings), scores)
        board.finalize("success")


def _hyperparameters(settings: TrainSettings) -> dict[str, Any]:
    """Return what a person compares runs by: network, optimizer, schedule, and whatever this command line changed."""
    values = flat(to_dict(settings))
    groups = ("model.network.", "model.optimizer.", "schedule.", "data.batch_size", "seed")
    changed = tuple(override.split("=")[0].lstrip("+") for override in settings.overrides)
    return {
        key: value
        for key, value in values.items()
        if key.startswith((*groups, *changed)) and not key.endswith(("_target_", "_partial_"))
    }


def boards_of(trainer: Trainer) -> list[TensorBoardLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
