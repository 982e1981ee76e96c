"""What every training has in common: optimizer, schedule, randomness that can be resumed, a row of values an epoch."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fancnn.augmentation import Augment
from fancnn.data.datasets import Batch
from fancnn.data.samplers import epoch_seed
from fancnn.training.regularization import optimizer_of
from fancnn.training.schedules import scheduled, step_plateaus


class TrainingModule(pl.LightningModule):
    """Trains `model` by the steps that a subclass defines, and logs what `epoch_values` gives once an epoch.

    What is usual with Lightning and is done otherwise here, and why:

    - `self.log` is called at the end of an epoch, not in a step: a call in each step costs 0.5 ms, and a step of a
      small network takes 17.
    - There are no torchmetrics objects. Updated in each step they cost 1.4 ms, and they take values for probabilities
      or logits batch by batch. Steps keep their outputs, and the functions of torchmetrics see a whole epoch at once.
    - There is no `save_hyperparameters`: the arguments are a network and functions, which `weights_only=True` refuses
      to load. `description`, plain data, is in the checkpoint in its place, with all settings; and TensorBoard gets the
      hyperparameters when the best epoch has been judged, beside its scores.

    Args:
        model: What is trained; after `fit` it holds the last weights.
        optimizer: Takes parameters or groups of them, gives the optimizer; its weight decay acts on kernels alone.
        schedule: Takes the optimizer (and `total_steps`, to step after every batch), gives a scheduler that steps
            once an epoch; None keeps the rate.
        augment: Takes images scaled to [0, 1] and labels, gives both; only in training.
        seed: With the epoch, decides whatever is random inside it (dropout, augmentation).
        description: Plain data that makes a checkpoint explain itself; see `fancnn.runs.checkpoints`.
        layer_decay: By what the rate falls from each layer to the one before it; None for one rate of all.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler] | None,
        augment: Augment | None,
        seed: int,
        description: Mapping[str, Any],
        layer_decay: float | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer, self.make_schedule = optimizer, schedule
        self.augment, self.layer_decay = augment, layer_decay
        self.seed, self.description = seed, dict(description)
        self.epoch_lr = 0.0  # learning rate of the first step of the epoch under way

    @abstractmethod
    def epoch_values(self, split: str) -> dict[str, Tensor]:
        """Return what is logged of an epoch that ends, `train/...` or `val/...`, each one number.

        Raises:
            UserError: If weights or outputs are no numbers any more.
        """

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.model(images)
        return outputs

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_of(self.model, self.make_optimizer, self.layer_decay)
        if self.make_schedule is None:
            return optimizer
        schedule = scheduled(self.make_schedule, optimizer, lambda: self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # Lightning steps that after the checkpoint: too late for it
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_start(self) -> None:
        # read here: at the end of the epoch the schedule has already gone on to the next rate
        self.epoch_lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # whatever is random in an epoch starts from (seed, epoch): a resumed run is then the same run. Not earlier:
        # the loader draws a number when it starts, in a run's first epoch before on_train_epoch_start, later after
        if batch_idx == 0:
            torch.manual_seed(epoch_seed(self.seed, self.current_epoch))

    def on_validation_epoch_end(self) -> None:
        self._log_epoch(self.epoch_values("val"))

    def on_train_epoch_end(self) -> None:
        self._log_epoch({**self.epoch_values("train"), "lr": torch.tensor(self.epoch_lr)})
        step_plateaus(self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.description:
            checkpoint["fancnn"] = {**self.description, "epoch": self.current_epoch + 1}

    def _log_epoch(self, values: Mapping[str, Tensor]) -> None:
        # `step` puts the epoch on TensorBoard's horizontal axis
        step = {"step": torch.tensor(float(self.current_epoch + 1))}
        self.log_dict({**values, **step}, sync_dist=self.trainer.world_size > 1)
