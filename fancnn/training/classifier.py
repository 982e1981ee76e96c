"""The training of a `Model`: its loss, and the scores of each epoch."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fancnn.augmentation import Augment, Plant
from fancnn.data.datasets import Batch, MaskedBatch
from fancnn.images.preprocess import in_unit_range
from fancnn.metrics.parts import worst_of_parts
from fancnn.model import Model
from fancnn.networks.cell_network import cell_network, judged
from fancnn.networks.outputs import logit_of_ng, probability_of_ng
from fancnn.training.cell_loss import cell_loss
from fancnn.training.divergence import validate_finite
from fancnn.training.epoch_scores import EpochScores, epoch_scores
from fancnn.training.training_module import TrainingModule


class Classifier(TrainingModule):
    """Trains `model` to give the logit of NG, and logs `train/...` and `val/...` once an epoch.

    `train/loss` and `val/loss` are both the plain cross-entropy, whatever training makes small: so they can be
    compared. What it makes small, if that is more (a weighted or smoothed loss, a penalty), is `train/criterion`.
    Where there are several images of a part, `train/...` is of images and `val/...` of parts, by their worst images.
    `lr` is the rate of the epoch's first step. Where training images are cut into windows, `train/...` is of these, and
    `val/...` of whole images all the same.

    Args:
        model: What is trained; after `fit` it holds the last weights.
        loss: Takes the network's outputs and labels of that shape (of several outputs the share of each class), gives
            their mean loss.
        optimizer: As in `TrainingModule`.
        schedule: As in `TrainingModule`.
        augment: As in `TrainingModule`.
        plant: Takes what `augment` gives, plants defects on good images, and says where.
        penalty: Takes the network, gives what is added to the loss of training.
        seed: As in `TrainingModule`.
        description: As in `TrainingModule`.
        layer_decay: As in `TrainingModule`.
        val_parts: The part of each validation image in order, empty for one of its own; None where each is one.

    Raises:
        UserError: In `fit`, if the loss stops being a number.
    """

    model: Model

    def __init__(
        self,
        model: Model,
        loss: nn.Module,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler] | None = None,
        *,
        augment: Augment | None = None,
        plant: Plant | None = None,
        penalty: Callable[[nn.Module], Tensor] | None = None,
        seed: int = 0,
        description: Mapping[str, Any] = MappingProxyType({}),
        layer_decay: float | None = None,
        val_parts: Sequence[str] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, augment, seed, description, layer_decay)
        self.loss, self.penalty, self.plant, self.val_parts = loss, penalty, plant, val_parts
        is_plain = getattr(loss, "is_plain", False) and not model.has_types  # of two outputs it is that of one
        more = penalty is not None or cell_network(model.network) is not None
        self.criteria: list[Tensor] | None = [] if more or not is_plain else None
        self.scores = {"train": EpochScores(), "val": EpochScores()}

    def training_step(self, batch: MaskedBatch, batch_idx: int) -> Tensor:
        pixels, labels = in_unit_range(batch[0]), self._targets(batch[1])  # of the network's size, or windows of that
        masks = batch[2] if len(batch) > 2 else None
        if self.augment is not None:
            pixels, labels, masks = self.augment.with_masks(pixels, labels, masks)
        if self.plant is not None:
            pixels, labels, planted = self.plant(pixels, labels)
            masks = planted if masks is None else masks | planted
        outputs, cells = judged(self.model.network, self.model.preprocess.normalised(pixels))
        outputs = outputs.float()  # the loss in float32 where the network ran in bfloat16
        self.scores["train"].update(logit_of_ng(outputs), probability_of_ng(labels))
        loss: Tensor = self.loss(outputs, labels)
        if cells is not None:
            nothing = torch.zeros(len(pixels), *pixels.shape[2:], dtype=torch.bool, device=pixels.device)
            loss = loss + cell_loss(cells, probability_of_ng(labels), nothing if masks is None else masks)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model)
        if self.criteria is not None:
            self.criteria.append(loss.detach())
        return loss

    def _targets(self, classes: Tensor) -> Tensor:
        """Return what the loss compares outputs with: of one output the label, of several the share of each class."""
        count = len(self.model.outputs)
        return classes if count == 1 else F.one_hot(classes.long(), count).to(torch.float32)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        # float32 whatever training uses: what is chosen on these scores is what evaluation finds again
        with torch.autocast(self.device.type, enabled=False):
            self.scores["val"].update(self(images), labels.clamp(max=1))

    def epoch_values(self, split: str) -> dict[str, Tensor]:
        logits, labels = self.scores[split].take()
        if split == "train" and self.trainer.world_size > 1:  # validation is not shared out
            logits, labels = (torch.as_tensor(self.all_gather(tensor)).flatten() for tensor in (logits, labels))
        validate_finite("training", self.current_epoch + 1, self.model, logits)
        if split == "val" and self.val_parts is not None:  # a trainer may stop before the last batch
            worst = worst_of_parts(self.val_parts[: len(logits)], logits.cpu().numpy(), labels.cpu().numpy())
            logits, labels = (torch.as_tensor(of_parts).to(logits) for of_parts in worst)
        scores = epoch_scores(logits, labels, F.binary_cross_entropy_with_logits, self.model.thresholds.upper)
        values = {f"{split}/{name}": value for name, value in scores.items()}
        if split == "train" and self.criteria:
            values["train/criterion"] = torch.stack(self.criteria).mean()
            self.criteria = []
        return values
