"""Weights averaged over the training, scored and kept in place of those that are trained on.

By Lightning's `WeightAveraging`: training goes on with its own weights, the current ones; validation and checkpoints
have the average, so that `val/...`, `best.ckpt` and everything after them are of it. The checkpoint has the current
ones too, under `current_model_state`: a resumed run goes on exactly. What is averaged are the parameters and the
running statistics of batch norms; of what is counted, as the batches that a norm has seen, the average has the current
number.

What is done otherwise than there:

- An average of epochs is updated after their last step and not at their end. That comes after validation: Lightning
  would score one average and keep the next.
- Before the first epoch that counts the average is the current weights. Lightning would score the untrained ones.
- The decay is less at first, and batch norms get statistics of their own, as the two classes below say.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fancnn.errors import UserError


class _AveragedWeights(WeightAveraging):
    """What both averages have in common: every number of the average moves by `share` to the current one."""

    def __init__(self) -> None:
        super().__init__(multi_avg_fn=self._move)

    @property
    def state_key(self) -> str:
        return "WeightAveraging"  # of either, as in files of earlier versions

    def share(self, updates: int) -> float:
        """Return the share of the current weights in the new average, after so many updates; the first takes all."""
        raise NotImplementedError

    @torch.no_grad()
    def _move(self, average: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
        share = self.share(int(updates))
        if share == 1 or not average[0].is_floating_point():
            torch._foreach_copy_(average, current)
        else:
            torch._foreach_lerp_(average, current, share)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Lightning's default is where the module is, but it is moved to its device after this: on a GPU every update
        # would copy all weights to the memory of the computer
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_train_end(trainer, pl_module)  # not called where a resumed training has ended before

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({"latest_update_step": state_dict.get("steps"), **state_dict})

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["callbacks"].get(self.state_key, {})
        if "updates" in state:  # of an earlier version, which had no average before the first update
            raw = checkpoint.get("raw_weights", {})
            checkpoint["current_model_state"] = {**checkpoint["state_dict"], **raw}
            checkpoint["averaging_state"] = {"n_averaged": torch.tensor(state["updates"])}
        super().on_load_checkpoint(trainer, pl_module, checkpoint)


class ExponentialMovingAverage(_AveragedWeights):
    """Exponential moving average of the weights (Polyak and Juditsky 1992; as in Tarvainen and Valpola 2017).

    After every step: `average = d average + (1 - d) weights`, with `d = min(decay, (1 + t) / (10 + t))`; t is the
    number of updates before. The second term, TensorFlow's, is what lets short trainings forget where they started,
    and why this is not Lightning's `EMAWeightAveraging`. Statistics of batch norms are averaged as weights are.

    Args:
        decay: In (0, 1); 1 / (1 - decay) is about how many steps are remembered.

    Raises:
        ValueError: If `decay` is outside (0, 1).
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay={decay} should be above 0 and below 1, e.g. 0.99: a hundred steps are remembered")
        super().__init__()
        self.decay = decay

    def share(self, updates: int) -> float:
        return 1 - min(self.decay, (1 + updates) / (10 + updates)) if updates else 1.0


class StochasticWeightAverage(_AveragedWeights):
    """Stochastic weight averaging (Izmailov et al. 2018, algorithm 1 with a cycle of one epoch).

    The mean of the weights that the epochs from `start_epoch` on ended with. Statistics of batch norms are those of the
    averaged network on all training images, once more each epoch.

    Args:
        start_epoch: The first epoch, from 1, whose weights are averaged; before it nothing is different.

    Raises:
        ValueError: If `start_epoch` is below 1.
        UserError: In `fit`, if it is after the last epoch.
    """

    def __init__(self, start_epoch: int) -> None:
        if start_epoch < 1:
            raise ValueError(f"start_epoch={start_epoch} should be 1 or more")
        super().__init__()
        self.start_epoch = start_epoch
        self._epoch, self._is_last_batch = 1, False

    def share(self, updates: int) -> float:
        return 1 / (1 + max(0, self._epoch - self.start_epoch))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and (self._is_last_batch or self._epoch <= self.start_epoch)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        first, last = self.start_epoch, trainer.max_epochs or 0
        if first > last > 0:
            raise UserError(
                f"callbacks.averaging.start_epoch={first} is after the last epoch, trainer.max_epochs={last}: nothing "
                f"would be averaged. Usual are the last quarter: callbacks.averaging.start_epoch={-(-3 * last // 4)}"
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._epoch, self._is_last_batch = trainer.current_epoch + 1, trainer.is_last_batch
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._is_last_batch and self._epoch >= self.start_epoch and batch_norms(pl_module):
            data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
            self._swap_models(pl_module)
            update_statistics(pl_module, data.in_order("train"))
            self._swap_models(pl_module)


@torch.no_grad()
def update_statistics(module: pl.LightningModule, batches: Any) -> None:
    """Give the batch norms of `module` the statistics of its own activations on all images, in float32.

    Mean of the batches' means and variances, as torch's `update_bn`; but dropout is off, as it is when scoring.

    Args:
        module: Takes uint8 images.
        batches: Images and labels.
    """
    norms, was_training = batch_norms(module), {layer: layer.training for layer in module.modules()}
    before = [(layer.momentum, None if (n := layer.num_batches_tracked) is None else n.clone()) for layer in norms]
    module.eval()
    for layer in norms:
        layer.reset_running_stats()
        layer.train()
        layer.momentum = None  # the plain mean over batches
    with torch.autocast(module.device.type, enabled=False):
        for images, _ in batches:
            module(images.to(module.device))
    for layer, (momentum, tracked) in zip(norms, before, strict=True):
        layer.momentum, layer.num_batches_tracked = momentum, tracked
    for child, training in was_training.items():
        child.training = training


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Return those that have statistics, but for frozen ones: these keep theirs."""
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    return [layer for layer in norms if not layer.affine or layer.weight.requires_grad]
