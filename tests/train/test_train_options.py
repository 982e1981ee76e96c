"""What options of training do in a whole run, and that a run with any of them goes on exactly."""

import csv
from collections.abc import Callable
from math import cos, log, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from samples import SMALL, compose_train, write_images

import fancnn
from fancnn import assembly
from fancnn.errors import UserError
from fancnn.metrics.predictions import read_predictions
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.epoch_log import EpochCsvLogger

Settings = Callable[..., TrainSettings]
QUICK = ("report=false", "logger.tensorboard=null")
LONG = ("trainer.max_epochs=5", "callbacks.early_stopping=null", "data.batch_size=16")


@pytest.fixture
def train_settings(train_settings: Settings) -> Settings:
    """Without what is drawn for a person."""
    return lambda *overrides, **options: train_settings(*QUICK, *overrides, **options)


def column(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


GOING_ON = {
    "cosine, ema, balanced": ["schedule=cosine", "averaging=ema", "data.sampler=balanced"],
    "one-cycle, swa, undersampled": [
        *["schedule=one_cycle", "averaging=swa", "callbacks.averaging.start_epoch=2"],
        *["data.sampler=undersampled", "model.output_bias=balanced"],
    ],
    # the loss of validation rises at this rate, so that the rate falls before the stop and after it
    "plateau, rmsprop, penalty": [
        *["schedule=plateau", "schedule.patience=0", "schedule.factor=0.5", "optimizer=rmsprop"],
        *["model.optimizer.lr=0.1", "regularization.l2=1e-3", "regularization.l1=1e-4"],
    ],
    "step, sgd, focal": ["schedule=step", "schedule.every=2", "optimizer=sgd", "loss=focal"],
}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=[pytest.mark.slow] * (number > 0))
        for number, (name, options) in enumerate(GOING_ON.items())
    ],
)
def test_a_run_stopped_in_its_fourth_epoch_goes_on_exactly(
    options: list[str], train_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half, rest = tmp_path / "whole", tmp_path / "half", tmp_path / "rest"
    train(train_settings(*LONG, *options, output=whole))
    with monkeypatch.context() as patched:
        patched.setattr(EpochCsvLogger, "on_train_epoch_end", stopping(EpochCsvLogger.on_train_epoch_end, epoch=3))
        with pytest.raises(SystemExit):
            train(train_settings(*LONG, *options, output=half))
    train(train_settings(*LONG, *options, f"ckpt={half}", output=rest))
    assert len(column(half, "lr")) == 3
    for name in ("lr", "train/loss", "val/loss"):
        assert column(rest, name) == column(whole, name), name
    for name in ("best.ckpt", "last.ckpt"):
        files = [weights(run / "checkpoints" / name) for run in (whole, rest)]
        torch.testing.assert_close(*files, rtol=0, atol=0)
    assert len(set(column(whole, "lr"))) > 1
    if "schedule=plateau" in options:
        assert column(whole, "lr")[2] < column(whole, "lr")[0], "the rate has fallen before the stop"


def stopping(method: Callable[..., None], epoch: int) -> Callable[..., None]:
    """`method`, but Ctrl-C in its place in an epoch, before the checkpoint of that is written."""

    def instead(self: EpochCsvLogger, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt
        method(self, trainer, pl_module)

    return instead


@pytest.mark.slow
def test_going_on_with_weights_averaged_otherwise_is_refused(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("averaging=ema", "trainer.max_epochs=1", output=tmp_path / "one"))
    with pytest.raises(UserError, match=r"(?s)other settings:.*callbacks.averaging.decay: 0.99 there, None here"):
        train(train_settings(f"ckpt={tmp_path / 'one'}"))
    with pytest.raises(UserError, match=r"callbacks.averaging.decay: 0.99 there, 0.5 here"):
        train(train_settings(f"ckpt={tmp_path / 'one'}", "averaging=ema", "callbacks.averaging.decay=0.5"))


def test_the_best_checkpoint_holds_the_average_that_was_scored(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("averaging=ema", "calibration=none", "trainer.max_epochs=3"))
    chances = {row.label: [] for row in read_predictions(tmp_path / "run/predictions.csv")}
    for row in read_predictions(tmp_path / "run/predictions.csv"):
        chances[row.label].append(row.probability)
    loss = -(np.log(chances[1]).sum() + np.log1p(-np.array(chances[0])).sum()) / sum(map(len, chances.values()))
    assert min(column(tmp_path / "run", "val/loss")) == pytest.approx(loss, abs=1e-6)
    assert fancnn.load(tmp_path / "run").metadata.settings["callbacks"]["averaging"]["decay"] == 0.99


@pytest.mark.slow
def test_losses_are_monitored_plain_and_the_criterion_beside_them(train_settings: Settings, tmp_path: Path) -> None:
    """With a rate near 0 the weights stay: both trainings then monitor the same, whatever they make small."""
    still = ["model.optimizer.lr=1e-12", "trainer.max_epochs=1", "data.batch_size=56"]
    train(train_settings(*still, output=tmp_path / "plain"))
    train(train_settings(*still, "model.loss.pos_weight=3", "regularization.l2=0.01", output=tmp_path / "other"))
    for name in ("train/loss", "val/loss"):
        assert column(tmp_path / "plain", name) == pytest.approx(column(tmp_path / "other", name), abs=1e-6)
    settings = train_settings()
    kernels = list(assembly.model(settings, ()).parameters())
    penalty = 0.01 * sum(float(weight.detach().square().sum()) for weight in kernels if weight.ndim > 1)
    weighted = column(tmp_path / "other", "train/criterion")[0] - penalty
    assert column(tmp_path / "other", "train/loss")[0] < weighted < 3 * column(tmp_path / "other", "train/loss")[0]
    assert "train/criterion" not in (tmp_path / "plain/metrics.csv").read_text()


def test_with_the_output_bias_the_first_loss_is_the_entropy_of_the_classes_shares(tmp_path: Path) -> None:
    """Images of zeros leave a fresh network with its output bias alone: all other biases are 0."""
    for name, count in (("GO", 30), ("NG", 10)):
        (tmp_path / "black" / name).mkdir(parents=True)
        for index in range(count):
            pixels = np.zeros((16, 16, 3), dtype=np.uint8)
            pixels[index // 16, index % 16] = 1  # copies would have to stay in one part
            Image.fromarray(pixels).save(tmp_path / "black" / name / f"{index}.png")
    still = ["model.optimizer.lr=1e-12", "trainer.max_epochs=1", f"data.root={tmp_path / 'black'}"]
    train(compose_train(tmp_path / "run", *SMALL, *QUICK, *still, "model.output_bias=balanced"))
    entropy = -(0.25 * log(0.25) + 0.75 * log(0.75))
    assert column(tmp_path / "run", "train/loss") == pytest.approx([entropy], abs=2e-3)
    train(compose_train(tmp_path / "plain", *SMALL, *QUICK, *still))
    assert column(tmp_path / "plain", "train/loss") == pytest.approx([log(2)], abs=2e-3)


def test_balanced_weights_come_from_the_training_part(train_settings: Settings, tmp_path: Path) -> None:
    root = write_images(tmp_path / "rare", {"GO": 40, "NG": 10})
    settings = train_settings(f"data.root={root}", "model.loss.pos_weight=balanced")
    data = assembly.datamodule(settings.data, root, 0)
    data.setup()
    assert data.class_counts() == (32, 8)
    loss = assembly.classifier(settings, assembly.model(settings, data.classes), {}, data.class_counts()).loss
    assert (loss.neg_weight, loss.pos_weight) == (40 / 64, [40 / 16])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ("constant", lambda epoch: 1.0),
        ("step", lambda epoch: 0.1 ** (epoch // 4)),
        # 56 training images are 4 steps an epoch, 20 in all, the first of which goes up
        ("cosine", lambda epoch: (1 + cos(pi * (4 * epoch - 1) / 19)) / 2 if epoch else 1.0),
    ],
)
def test_the_rate_that_is_logged_is_that_of_the_epochs_first_step(
    schedule: str, factor: Callable[[int], float], train_settings: Settings, tmp_path: Path
) -> None:
    train(train_settings(*LONG, f"schedule={schedule}"))
    assert column(tmp_path / "run", "lr") == pytest.approx([1e-3 * factor(epoch) for epoch in range(5)], rel=1e-6)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("+trainer.limit_train_batches=1e-9", "trainer: "),
        ("callbacks.early_stopping.patience=many", "patience=many should be 1 or more epochs"),
    ],
)
def test_what_lightning_and_a_callback_refuse_ends_in_words(
    train_settings: Callable[..., TrainSettings], override: str, text: str
) -> None:
    with pytest.raises(UserError, match=text):
        train(train_settings(override))
