"""The training of a pretext task: what `Classifier` is to labelled images, for those without labels."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fancnn.augmentation import Augment
from fancnn.data.datasets import Batch
from fancnn.pretrain.pretext_tasks import Autoencoder, Rotation, learnt_layers
from fancnn.training.divergence import validate_finite
from fancnn.training.training_module import TrainingModule


class Pretraining(TrainingModule):
    """Trains the layers behind the feature map of `task.network`; logs `train/...` and `val/...` once an epoch.

    Layers after the feature map are left out of the training, and out of what `description` says was learnt.

    Args:
        task: What is learnt; after `fit` its network holds the last weights.
        optimizer: As in `TrainingModule`.
        schedule: As in `TrainingModule`.
        augment: As in `TrainingModule`.
        seed: As in `TrainingModule`.
        description: As in `TrainingModule`.
        layer_decay: As in `TrainingModule`.

    Raises:
        UserError: In `fit`, if the loss stops being a number.
    """

    model: Autoencoder | Rotation  # weights of the network are `model.network...` in the checkpoint, as of `Classifier`

    def __init__(
        self,
        task: Autoencoder | Rotation,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler] | None = None,
        *,
        augment: Augment | None = None,
        seed: int = 0,
        description: Mapping[str, Any] = MappingProxyType({}),
        layer_decay: float | None = None,
    ) -> None:
        learnt = learnt_layers(task.network, task.preprocess)
        description = {**description, "learnt": learnt} if description else {}
        super().__init__(task, optimizer, schedule, augment, seed, description, layer_decay)
        for name, layer in task.network.named_modules():
            if name not in learnt:
                for weight in layer.parameters(recurse=False):
                    weight.requires_grad_(False)
        self.batches: dict[str, list[dict[str, Tensor]]] = {"train": [], "val": []}  # values of each image, by name

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        pixels = self.model.preprocess.scaled(images)
        if self.augment is not None:
            pixels, _ = self.augment(pixels, labels)
        values = self.model.per_image_scores(pixels)
        self._keep("train", values)
        return values["loss"].mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with torch.autocast(self.device.type, enabled=False):
            self._keep("val", self.model.per_image_scores(self.model.preprocess.scaled(batch[0])))

    def epoch_values(self, split: str) -> dict[str, Tensor]:
        batches, self.batches[split] = self.batches[split], []
        values = {f"{split}/{name}": torch.cat([batch[name] for batch in batches]).mean() for name in batches[0]}
        validate_finite("pretraining", self.current_epoch + 1, self.model, values[f"{split}/loss"])
        return values

    def _keep(self, split: str, values: Mapping[str, Tensor]) -> None:
        self.batches[split].append({name: value.detach() for name, value in values.items()})
