"""Averages of weights: what is scored, what is kept, what goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import WeightAveraging
from samples import write_images
from torch import Tensor, nn

from fancnn.data.datamodule import ImageDataModule
from fancnn.data.split_plan import SplitPlan
from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess
from fancnn.model import Model
from fancnn.training.averaging import ExponentialMovingAverage, StochasticWeightAverage
from fancnn.training.checkpointing import best_and_last
from fancnn.training.classifier import Classifier
from fancnn.training.losses import CrossEntropy
from fancnn.training.quiet_lightning import quiet_lightning

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageDataModule:
    root = write_images(tmp_path_factory.mktemp("images"), {"GO": 20, "NG": 20})
    return ImageDataModule(root, "GO", Preprocess((8, 8)), SplitPlan(), batch_size=8)


def classifier(*, norm: bool = False) -> Classifier:
    torch.manual_seed(0)
    middle = [nn.BatchNorm2d(4)] if norm else []
    network = nn.Sequential(nn.Conv2d(3, 4, 3), *middle, nn.ReLU(), nn.Flatten(), nn.Linear(144, 1), nn.Flatten(0))
    model = Model(network, Preprocess((8, 8), std=(0.3, 0.3, 0.3)), classes=("GO", "NG"), go_class="GO")
    return Classifier(model, CrossEntropy(), lambda weights: torch.optim.SGD(weights, lr=0.05, momentum=0.9))


class Watch(pl.Callback):
    """The raw weights after each step, and the weights that validation has."""

    def __init__(self) -> None:
        self.steps: list[Weights] = []
        self.validated: list[Weights] = []
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *more: Any) -> None:
        self.steps.append(copied(pl_module))

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, *more: Any
    ) -> None:
        if batch_idx == 0:
            self.validated.append(copied(pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses.append(float(trainer.callback_metrics["val/loss"]))


def copied(module: nn.Module) -> Weights:
    """What is averaged: all that is no whole number."""
    return {name: value.clone() for name, value in module.state_dict().items() if value.is_floating_point()}


def fitted(
    module: Classifier,
    data: ImageDataModule,
    folder: Path,
    averaging: WeightAveraging | None,
    epochs: int = 3,
    **more: Any,
) -> Watch:
    watch = Watch()
    quiet_lightning()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[*([averaging] if averaging else []), watch, *best_and_last(str(folder), "train/loss")],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        **more,
    )
    trainer.fit(module, data)
    return watch


def by_hand(steps: list[Weights], share: Callable[[int], float]) -> Weights:
    average = dict(steps[0])
    for update, weights in enumerate(steps[1:], start=1):
        average = {name: average[name] + share(update) * (weights[name] - average[name]) for name in average}
    return average


def test_ema_is_its_recursion_and_what_is_scored_and_kept(data: ImageDataModule, tmp_path: Path) -> None:
    module = classifier(norm=True)
    watch = fitted(module, data, tmp_path, ExponentialMovingAverage(0.8))
    expected = by_hand(watch.steps, lambda t: 1 - min(0.8, (1 + t) / (10 + t)))
    assert len(watch.steps) == 12
    torch.testing.assert_close(watch.validated[-1], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(copied(module), expected, rtol=1e-5, atol=1e-6)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert all(torch.equal(kept["state_dict"][name], value) for name, value in watch.validated[-1].items())
    assert all(torch.equal(kept["current_model_state"][name], value) for name, value in watch.steps[-1].items())
    assert int(module.model.network[1].num_batches_tracked) == 12, "what is counted is not averaged"


def test_the_logged_loss_of_validation_is_that_of_the_average(data: ImageDataModule, tmp_path: Path) -> None:
    module = classifier()
    watch = fitted(module, data, tmp_path, ExponentialMovingAverage(0.9))
    module.eval()
    batches = [(module(images), labels) for images, labels in data.in_order("val")]
    logits, labels = (torch.cat(column) for column in zip(*batches, strict=True))
    assert watch.losses[-1] == pytest.approx(F.binary_cross_entropy_with_logits(logits, labels).item(), rel=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: ExponentialMovingAverage(0.9), lambda: StochasticWeightAverage(2)], ids=["ema", "swa"]
)
def test_training_itself_goes_on_as_if_nothing_were_averaged(
    make: Callable[[], WeightAveraging], data: ImageDataModule, tmp_path: Path
) -> None:
    plain = fitted(classifier(norm=True), data, tmp_path / "plain", None)
    averaged = fitted(classifier(norm=True), data, tmp_path / "averaged", make())
    for one, other in zip(plain.steps, averaged.steps, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_swa_is_the_mean_of_the_epochs_ends_from_the_first_that_counts(data: ImageDataModule, tmp_path: Path) -> None:
    module = classifier()
    watch = fitted(module, data, tmp_path, StochasticWeightAverage(2), epochs=4)
    ends = watch.steps[3::4]
    torch.testing.assert_close(watch.validated[0], ends[0], rtol=0, atol=0)
    for last in (2, 3, 4):
        mean = {name: torch.stack([end[name] for end in ends[1:last]]).mean(0) for name in ends[0]}
        torch.testing.assert_close(watch.validated[last - 1], mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(copied(module), watch.validated[3], rtol=0, atol=0)


def test_before_the_first_epoch_that_counts_swa_changes_nothing(data: ImageDataModule, tmp_path: Path) -> None:
    watch = fitted(classifier(), data, tmp_path, StochasticWeightAverage(2), epochs=2, val_check_interval=2)
    for scored, step in zip(watch.validated, watch.steps[1::2], strict=True):  # twice an epoch, after two steps each
        torch.testing.assert_close(scored, step, rtol=0, atol=0)


def test_swa_gives_batch_norms_the_statistics_of_the_averaged_network(data: ImageDataModule, tmp_path: Path) -> None:
    module = classifier(norm=True)
    fitted(module, data, tmp_path, StochasticWeightAverage(1))
    convolution, norm = module.model.network[0], module.model.network[1]
    images = torch.cat([batch for batch, _ in data.in_order("train")])  # one batch: its mean is that of the batches
    with torch.no_grad():
        activations = convolution(module.model.preprocess(images))
    torch.testing.assert_close(norm.running_mean, activations.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_var, activations.var((0, 2, 3)), rtol=1e-5, atol=1e-6)
    assert norm.momentum == 0.1
    assert int(norm.num_batches_tracked) == 12


def test_an_average_that_would_begin_after_the_last_epoch_is_refused(data: ImageDataModule, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"start_epoch=9 is after the last epoch.*averaging.start_epoch=3"):
        fitted(classifier(), data, tmp_path, StochasticWeightAverage(9))


def test_the_share_of_new_weights_begins_whole() -> None:
    average = ExponentialMovingAverage(0.99)
    assert average.share(0) == 1
    assert average.share(1) == pytest.approx(1 - 2 / 11)
    assert average.share(10_000) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ExponentialMovingAverage(1.0), "decay=1.0 should be"),
        (lambda: StochasticWeightAverage(0), "start_epoch=0 should be"),
    ],
)
def test_impossible_values_are_refused(make: Callable[[], WeightAveraging], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
