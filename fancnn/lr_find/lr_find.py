"""The story of `python -m fancnn.lr_find`: a few steps at ever higher rates, a curve, and a rate to start with."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from fancnn import assembly
from fancnn.assembly import read_images
from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_file
from fancnn.files.tables import table_writer
from fancnn.lr_find.range_test import RangeTest, losses_by_rate, smoothed, steepest_rate
from fancnn.lr_find.settings import LrFindSettings
from fancnn.runs.init_run import find_origin, start_from
from fancnn.settings.validation import MOST_EPOCHS
from fancnn.system.console import progress_bar, say
from fancnn.system.memory import keep_freed_memory
from fancnn.training.layer_freezing import freezing_callbacks, set_frozen
from fancnn.training.quiet_lightning import quiet_lightning

VERSION = 1


def find_rate(settings: LrFindSettings) -> float:
    """Find a rate for the training that `settings` describe; leaves `lr_find.csv` and `lr_find.png`, trains nothing.

    `lr_find.csv`, version 1: step (from 1), lr, loss, smoothed (the loss averaged with its neighbours').

    Raises:
        UserError: For a mistake in configuration or data, or if the loss falls nowhere.
    """
    run = Path(settings.output_dir)
    keep_freed_memory()
    quiet_lightning()
    assembly.check(settings)
    settings = assembly.with_native_size(settings)
    origin = find_origin(settings)
    data = read_images(settings)
    counts = data.class_counts()
    fresh = assembly.model(settings, data.classes, counts, data.outputs)
    start_from(origin, fresh, settings, counts)
    classifier = assembly.classifier(settings, fresh, {}, counts)
    for callback in freezing_callbacks(settings.freeze.layers):  # as in the first epoch: the test has none
        set_frozen(callback.frozen_layers(fresh.network), True)
    trainer = assembly.trainer(_alone(settings))
    say(f"{settings.steps} steps, rates from {settings.min_lr:g} to {settings.max_lr:g}")
    span = settings.min_lr, settings.max_lr, settings.steps
    with progress_bar("steps", settings.steps) as advance:
        rates, losses = losses_by_rate(trainer, RangeTest(classifier, advance), data.train_dataloader(), *span)
    _write(run / "lr_find.csv", rates, losses)
    rate = steepest_rate(rates, losses)
    _draw(run / "lr_find.png", rates, losses, rate)
    say(f"curve: {run / 'lr_find.png'}, {run / 'lr_find.csv'}")
    if rate is None:
        raise UserError(
            f"the loss falls nowhere between the rates {rates[0]:g} and {rates[-1]:g}, so none can be suggested; see "
            f"{run / 'lr_find.png'}. Look at another range with min_lr=... and max_lr=..., or longer with steps=..."
        )
    say(f"the loss falls fastest at this rate:\n  model.optimizer.lr={rate:.2g}")
    return rate


def _alone(settings: LrFindSettings) -> LrFindSettings:
    """Return the trainer on one device, for as long as it takes, leaving nothing behind."""
    lasting = {"max_epochs": MOST_EPOCHS, "enable_checkpointing": False}
    options = {**settings.trainer, "devices": 1, "strategy": "auto", **lasting}
    return replace(settings, trainer=options, callbacks={}, logger={})


def _write(path: Path, rates: Sequence[float], losses: Sequence[float]) -> None:
    with table_writer(path, ("step", "lr", "loss", "smoothed"), VERSION) as add:
        for step, row in enumerate(zip(rates, losses, smoothed(losses), strict=True), start=1):
            add(dict(zip(("step", "lr", "loss", "smoothed"), (step, *row), strict=True)))


def _draw(path: Path, rates: Sequence[float], losses: Sequence[float], rate: float | None) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="0.75", linewidth=0.8, label="each step")
    axes.plot(rates, smoothed(losses), label="smoothed")
    axes.set(xscale="log", xlabel="model.optimizer.lr", ylabel="training loss")
    axes.grid(alpha=0.3)
    if rate is not None:
        axes.axvline(rate, color="tab:red", linestyle="--", label=f"falls fastest at {rate:.2g}")
    axes.legend()
    with atomic_file(path) as partial:
        figure.savefig(partial, format="png", dpi=120)
