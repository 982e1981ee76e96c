"""The training of a `Model`: loss, optimiser, schedule and the scores of each epoch."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fancnn.augmentation import Augment
from fancnn.data.datasets import Batch
from fancnn.data.samplers import epoch_seed
from fancnn.model import Model
from fancnn.networks.outputs import logit_of_ng, probability_of_ng
from fancnn.training.divergence import validate_finite
from fancnn.training.epoch_scores import EpochScores, epoch_scores
from fancnn.training.regularization import optimizer_of
from fancnn.training.schedules import scheduled, step_plateaus


class Classifier(pl.LightningModule):
    """Trains `model` to give the logit of NG, and logs `train/...` and `val/...` once an epoch.

    `train/loss` and `val/loss` are both the plain cross-entropy, whatever training makes small: so they can be
    compared. What it makes small, if that is more (a weighted or smoothed loss, a penalty), is `train/criterion`.
    `lr` is the rate of the epoch's first step.

    Args:
        model: What is trained; after `fit` it holds the last weights.
        loss: Takes the network's outputs and labels of that shape (of several outputs the share of each class), gives
            their mean loss.
        optimizer: Takes parameters or groups of them, gives the optimiser; its weight decay acts on kernels alone.
        schedule: Takes the optimiser (and `total_steps`, to step after every batch), gives a scheduler that steps
            once an epoch; None keeps the rate.
        augment: Takes images scaled to [0, 1] and labels, gives both; only in training.
        penalty: Takes the network, gives what is added to the loss of training.
        seed: With the epoch, decides whatever is random inside it (dropout, augmentation).
        description: Plain data that makes a checkpoint explain itself; see `fancnn.runs.checkpoints`.

    Raises:
        UserError: In `fit`, if the loss stops being a number.
    """

    def __init__(
        self,
        model: Model,
        loss: nn.Module,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler] | None = None,
        *,
        augment: Augment | None = None,
        penalty: Callable[[nn.Module], Tensor] | None = None,
        seed: int = 0,
        description: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.augment = augment
        self.make_optimizer, self.make_schedule, self.penalty = optimizer, schedule, penalty
        is_plain = getattr(loss, "is_plain", False) and not model.has_types  # of two outputs it is that of one
        self.criteria: list[Tensor] | None = [] if penalty or not is_plain else None
        self.seed, self.description = seed, description
        self.train_scores, self.val_scores = EpochScores(), EpochScores()
        self.rate = 0.0  # learning rate of the epoch under way

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_of(self.model, self.make_optimizer)
        if self.make_schedule is None:
            return optimizer
        schedule = scheduled(self.make_schedule, optimizer, lambda: self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # Lightning steps that after the checkpoint: too late for it
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_start(self) -> None:
        # read here: at the end of the epoch the schedule has already gone on to the next rate
        self.rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # whatever is random in an epoch starts from (seed, epoch): a resumed run is then the same run. Not earlier:
        # the loader draws a number when it starts, in a run's first epoch before on_train_epoch_start, later after
        if batch_idx == 0:
            torch.manual_seed(epoch_seed(self.seed, self.current_epoch))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch[0], self._targets(batch[1])
        if self.augment is None:
            outputs = self.model.network(self.model.preprocess(images))
        else:
            pixels, labels = self.augment(self.model.preprocess.scaled(images), labels)
            outputs = self.model.network(self.model.preprocess.normalised(pixels))
        outputs = outputs.float()  # the loss in float32 where the network ran in bfloat16
        self.train_scores.update(logit_of_ng(outputs), probability_of_ng(labels))
        loss: Tensor = self.loss(outputs, labels)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model)
        if self.criteria is not None:
            self.criteria.append(loss.detach())
        return loss

    def _targets(self, classes: Tensor) -> Tensor:
        """What the loss compares outputs with: of one output the label, of several the share of each class."""
        count = len(self.model.outputs)
        return classes if count == 1 else F.one_hot(classes.long(), count).to(torch.float32)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        # float32 whatever training uses: what is chosen on these scores is what evaluation finds again
        with torch.autocast(self.device.type, enabled=False):
            self.val_scores.update(self(images), labels.clamp(max=1))

    def on_validation_epoch_end(self) -> None:
        logits, labels = self.val_scores.take()
        validate_finite("training", self.current_epoch + 1, self.model, logits)
        self._log_scores("val", logits, labels)

    def on_train_epoch_end(self) -> None:
        logits, labels = self.train_scores.take()
        if self.trainer.world_size > 1:
            logits, labels = (torch.as_tensor(self.all_gather(tensor)).flatten() for tensor in (logits, labels))
        validate_finite("training", self.current_epoch + 1, self.model, logits)
        self._log_scores("train", logits, labels)
        self._log({"lr": torch.tensor(self.rate)})
        if self.criteria:
            self._log({"train/criterion": torch.stack(self.criteria).mean()})
            self.criteria = []
        step_plateaus(self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.description:
            checkpoint["fancnn"] = {**self.description, "epoch": self.current_epoch + 1}

    def _log_scores(self, split: str, logits: Tensor, labels: Tensor) -> None:
        scores = epoch_scores(logits, labels, F.binary_cross_entropy_with_logits, self.model.thresholds.upper)
        self._log({f"{split}/{name}": value for name, value in scores.items()})

    def _log(self, values: Mapping[str, Tensor]) -> None:
        # `step` puts the epoch on TensorBoard's horizontal axis; all processes have the same values
        step = {"step": torch.tensor(float(self.current_epoch + 1))}
        self.log_dict({**values, **step}, sync_dist=self.trainer.world_size > 1)
