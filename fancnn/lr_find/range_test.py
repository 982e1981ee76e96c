"""The learning-rate range test (Smith 2017, section 3.3): train a few steps at ever higher rates, look at the loss."""

from collections.abc import Callable, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import ArrayLike, NDArray
from pytorch_lightning.tuner.tuning import Tuner
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from fancnn.data.datasets import Batch
from fancnn.data.samplers import epoch_seed
from fancnn.training.classifier import Classifier
from fancnn.training.regularization import optimizer_of

DIVERGED = 4.0  # times the least smoothed loss so far


class RangeTest(pl.LightningModule):
    """Training steps of `classifier`, and nothing else of it: no schedule, no scores.

    Stops where the loss is no number, or diverges.

    Args:
        classifier: Whose steps.
        advance: Called after each step with 1.
    """

    def __init__(self, classifier: Classifier, advance: Callable[[int], None] = lambda steps: None) -> None:
        super().__init__()
        self.classifier, self.advance = classifier, advance
        self.rates: list[float] = []
        self.losses: list[float] = []

    def configure_optimizers(self) -> Optimizer:
        return optimizer_of(self.classifier.model, self.classifier.make_optimizer, self.classifier.layer_decay)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:  # as in training
            torch.manual_seed(epoch_seed(self.classifier.seed, self.current_epoch))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.classifier.training_step(batch, batch_idx)
        self.rates.append(float(self.trainer.optimizers[0].param_groups[0]["lr"]))
        self.losses.append(float(loss.detach()))
        averages = smoothed(self.losses)
        if not np.isfinite(averages[-1]) or averages[-1] > DIVERGED * averages.min():
            self.trainer.should_stop = True
        self.advance(1)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:  # the tuner has just given all of them the rate that is tried
            group["lr"] *= group.get("lr_scale", 1.0)

    def on_train_epoch_end(self) -> None:
        self.classifier.scores["train"].take()


def losses_by_rate(
    trainer: pl.Trainer, test: RangeTest, batches: DataLoader[Batch], min_lr: float, max_lr: float, steps: int
) -> tuple[list[float], list[float]]:
    """Return the rates that were tried, rising by one factor, and the loss of each step.

    By Lightning's tuner, which puts the weights back afterwards. Its own curve and suggestion are not used: its
    running average starts at half the loss (it is divided by 1 - 0.98^2 where 1 - 0.98 belongs) and lags by 50
    steps, and it looks for the largest slope per rate, which with rates that rise by a factor is where the rate is
    least, however flat the curve is there (pytorch-lightning 2.6.6).
    """
    Tuner(trainer).lr_find(
        test,
        train_dataloaders=batches,
        min_lr=min_lr,
        max_lr=max_lr,
        num_training=steps,
        early_stop_threshold=None,  # by the average of ours
        update_attr=False,
    )
    return test.rates, test.losses


def smoothed(losses: ArrayLike) -> NDArray[np.float64]:
    """Smooth losses by normal weights whose standard deviation is a fortieth of the curve; the result does not lag.

    Example:
        >>> smoothed([2.0, 2.0, 2.0])
        array([2., 2., 2.])
    """
    values = np.asarray(losses, dtype=np.float64)
    place = np.arange(values.size)
    weights = np.exp(-0.5 * ((place[:, None] - place) / max(1.0, values.size / 40)) ** 2)
    averages: NDArray[np.float64] = (weights @ values) / weights.sum(axis=1)
    return averages


def steepest_rate(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the rate at which the smoothed loss falls fastest per factor of rate, before its least.

    None where it does not fall, or where there are fewer than ten finite losses.

    Args:
        rates: `(n,)`, rising by one factor.
        losses: `(n,)`, one a step; from the first that is no number on they are left out.

    Example:
        >>> rates = [10 ** (k / 10 - 6) for k in range(60)]
        >>> losses = [1 / (1 + (rate / 1e-3)) for rate in rates]  # halves at 1e-3
        >>> round(steepest_rate(rates, losses), 5)
        0.001
    """
    finite = np.isfinite(np.asarray(losses, dtype=np.float64))
    count = finite.size if finite.all() else int(np.argmin(finite))
    if count < 10:
        return None
    averages = smoothed(losses[:count])
    least = int(np.argmin(averages))
    slopes = np.gradient(averages, np.log10(rates[:count]))[: least + 1]
    return float(rates[int(np.argmin(slopes))]) if slopes.min() < 0 else None
