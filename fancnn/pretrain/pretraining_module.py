"""The training of a pretext task: what `Classifier` is to labelled images, for those without labels."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fancnn.augmentation import Augment
from fancnn.data.datasets import Batch
from fancnn.data.samplers import epoch_seed
from fancnn.pretrain.pretext_tasks import Autoencoder, Rotation, learnt_layers
from fancnn.training.divergence import validate_finite
from fancnn.training.regularization import optimizer_of
from fancnn.training.schedules import scheduled, step_plateaus


class Pretraining(pl.LightningModule):
    """Trains the layers behind the feature map of `task.network`; logs `train/...` and `val/...` once an epoch.

    Layers after the feature map are left out of the training, and out of what `description` says was learnt.

    Args:
        task: What is learnt; after `fit` its network holds the last weights.
        optimizer: Takes parameters or groups of them, gives the optimiser.
        schedule: As in `Classifier`.
        augment: Takes images scaled to [0, 1] and labels, gives both; only in training.
        seed: With the epoch, decides whatever is random inside it (noise, dropout, augmentation).
        description: Plain data that makes a checkpoint explain itself; see `fancnn.runs.checkpoints`.

    Raises:
        UserError: In `fit`, if the loss stops being a number.
    """

    def __init__(
        self,
        task: Autoencoder | Rotation,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler] | None = None,
        *,
        augment: Augment | None = None,
        seed: int = 0,
        description: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.model = task  # as in `Classifier`: weights of the network are `model.network...` in either checkpoint
        self.make_optimizer, self.make_schedule, self.augment = optimizer, schedule, augment
        self.seed = seed
        learnt = learnt_layers(task.network, task.preprocess)
        for name, layer in task.network.named_modules():
            if name not in learnt:
                for weight in layer.parameters(recurse=False):
                    weight.requires_grad_(False)
        self.description = {**description, "learnt": learnt} if description else {}
        self.measured: dict[str, list[dict[str, Tensor]]] = {"train": [], "val": []}
        self.rate = 0.0  # learning rate of the epoch under way

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.model(images)
        return found

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_of(self.model, self.make_optimizer)
        if self.make_schedule is None:
            return optimizer
        schedule = scheduled(self.make_schedule, optimizer, lambda: self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # see `step_plateaus`
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_start(self) -> None:
        self.rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:  # see `Classifier`: a resumed run is then the same run
            torch.manual_seed(epoch_seed(self.seed, self.current_epoch))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        pixels = self.model.preprocess.scaled(images)
        if self.augment is not None:
            pixels, _ = self.augment(pixels, labels)
        values = self.model.measured(pixels)
        self._keep("train", values)
        return values["loss"].mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with torch.autocast(self.device.type, enabled=False):
            self._keep("val", self.model.measured(self.model.preprocess.scaled(batch[0])))

    def on_validation_epoch_end(self) -> None:
        values = self._taken("val")
        validate_finite("pretraining", self.current_epoch + 1, self.model, values["val/loss"])
        self._log(values)

    def on_train_epoch_end(self) -> None:
        values = self._taken("train")
        validate_finite("pretraining", self.current_epoch + 1, self.model, values["train/loss"])
        self._log({**values, "lr": torch.tensor(self.rate)})
        step_plateaus(self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.description:
            checkpoint["fancnn"] = {**self.description, "epoch": self.current_epoch + 1}

    def _keep(self, split: str, values: Mapping[str, Tensor]) -> None:
        self.measured[split].append({name: value.detach() for name, value in values.items()})

    def _taken(self, split: str) -> dict[str, Tensor]:
        """Means over the images of the epoch."""
        batches, self.measured[split] = self.measured[split], []
        return {f"{split}/{name}": torch.cat([batch[name] for batch in batches]).mean() for name in batches[0]}

    def _log(self, values: Mapping[str, Tensor]) -> None:
        # `step` puts the epoch on TensorBoard's horizontal axis
        step = {"step": torch.tensor(float(self.current_epoch + 1))}
        self.log_dict({**values, **step}, sync_dist=self.trainer.world_size > 1)
