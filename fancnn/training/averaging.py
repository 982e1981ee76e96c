"""Weights averaged over the training, scored and kept in place of those that are trained on.

Training goes on with its own weights, the raw ones; validation and checkpoints have the average, so that `val/...`,
`best.ckpt` and everything after them are of it. The checkpoint has the raw ones too, under `raw_weights`: a resumed
run goes on exactly. What is averaged are the parameters and the running statistics of batch norms.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fancnn.errors import UserError

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Exponential:
    """After every step: `average = d average + (1 - d) weights`, with `d = min(decay, (1 + t) / (10 + t))`.

    t is the number of updates before. The second term, TensorFlow's, is what lets short trainings forget where they
    started. Statistics of batch norms are averaged as weights are.
    """

    decay: float

    def is_due(self, trainer: pl.Trainer) -> bool:
        return True

    def share(self, updates: int) -> float:
        """The share of the weights now in the new average; the first update takes them whole."""
        return 1 - min(self.decay, (1 + updates) / (10 + updates)) if updates else 1.0


@dataclass(frozen=True)
class Equal:
    """After every epoch from `start_epoch` (1 is the first) on: the mean of the weights that those epochs ended with.

    Statistics of batch norms are those of the averaged network on all training images, once more each epoch.
    """

    start_epoch: int

    def is_due(self, trainer: pl.Trainer) -> bool:
        return trainer.is_last_batch and trainer.current_epoch + 1 >= self.start_epoch

    def share(self, updates: int) -> float:
        return 1 / (1 + updates)


def ema(decay: float) -> "WeightAveraging":
    """Exponential moving average of the weights (Polyak and Juditsky 1992; as in Tarvainen and Valpola 2017).

    Args:
        decay: In (0, 1); 1 / (1 - decay) is about how many steps are remembered.

    Raises:
        ValueError: If `decay` is outside (0, 1).
    """
    if not 0 < decay < 1:
        raise ValueError(f"decay={decay} should be above 0 and below 1, e.g. 0.99: a hundred steps are remembered")
    return WeightAveraging(Exponential(decay))


def swa(start_epoch: int) -> "WeightAveraging":
    """Stochastic weight averaging (Izmailov et al. 2018, algorithm 1 with a cycle of one epoch).

    Args:
        start_epoch: The first epoch, from 1, whose weights are averaged; before it nothing is different.

    Raises:
        ValueError: If `start_epoch` is below 1.
    """
    if start_epoch < 1:
        raise ValueError(f"start_epoch={start_epoch} should be 1 or more")
    return WeightAveraging(Equal(start_epoch))


class WeightAveraging(pl.Callback):
    """Keeps an average of the weights, and puts it in their place for validation, in checkpoints and at the end.

    Args:
        rule: When the average is updated, and by how much.

    Raises:
        UserError: In `fit`, if the rule would begin after the last epoch.
    """

    def __init__(self, rule: Exponential | Equal) -> None:
        self.rule = rule
        self.average: Weights | None = None
        self.updates = self.steps = 0  # updates of the average; steps of the optimiser at the last one

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        first, last = getattr(self.rule, "start_epoch", 1), trainer.max_epochs or 0
        if first > last > 0:
            raise UserError(
                f"callbacks.averaging.start_epoch={first} is after the last epoch, trainer.max_epochs={last}: nothing "
                f"would be averaged. Usual are the last quarter: callbacks.averaging.start_epoch={-(-3 * last // 4)}"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.average is not None:  # loaded before the model was moved to its device
            now = averaged_tensors(pl_module)
            self.average = {name: value.to(now[name].device) for name, value in self.average.items()}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.steps or not self.rule.is_due(trainer):
            return  # with gradients of several batches gathered, not every batch is a step
        self.steps = trainer.global_step
        self._update(pl_module)
        if isinstance(self.rule, Equal) and _batch_norms(pl_module):
            with self._in_place(pl_module):
                data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
                update_statistics(pl_module, data.in_order("train"))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)  # no checkpoint is written any more
        self.average = None

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates, self.steps = state_dict["updates"], state_dict["steps"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.average is not None:
            state = checkpoint["state_dict"]
            checkpoint["raw_weights"] = {name: state[name] for name in self.average}
            checkpoint["state_dict"] = {**state, **self.average}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if raw := checkpoint.get("raw_weights"):
            self.average = {name: checkpoint["state_dict"][name].clone() for name in raw}
            _copy(raw, averaged_tensors(pl_module))  # the module has the average from `state_dict` by now

    @torch.no_grad()
    def _update(self, module: nn.Module) -> None:
        now = averaged_tensors(module)
        if self.average is None:
            self.average = {name: value.detach().clone() for name, value in now.items()}
        else:
            torch._foreach_lerp_(list(self.average.values()), list(now.values()), self.rule.share(self.updates))
        self.updates += 1

    @torch.no_grad()
    def _swap(self, module: nn.Module) -> None:
        if self.average is not None:
            now = averaged_tensors(module)
            raw = {name: value.detach().clone() for name, value in now.items()}
            _copy(self.average, now)
            _copy(raw, self.average)

    @contextmanager
    def _in_place(self, module: nn.Module) -> Iterator[None]:
        self._swap(module)
        yield
        self._swap(module)


def averaged_tensors(module: nn.Module) -> Weights:
    """Parameters and running statistics of batch norms, by their names in the state; fixed buffers are left out."""
    found: Weights = dict(module.named_parameters())
    for name, layer in module.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None and layer.running_var is not None:
            found |= {f"{name}.running_mean": layer.running_mean, f"{name}.running_var": layer.running_var}
    return found


@torch.no_grad()
def update_statistics(module: pl.LightningModule, batches: Any) -> None:
    """Give the batch norms of `module` the statistics of its own activations on all images, in float32.

    Mean of the batches' means and variances, as torch's `update_bn`; but dropout is off, as it is when scoring.

    Args:
        module: Takes uint8 images.
        batches: Images and labels.
    """
    norms, was_training = _batch_norms(module), {layer: layer.training for layer in module.modules()}
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
    for part, training in was_training.items():
        part.training = training


def _batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Those that have statistics, but for frozen ones: these keep theirs."""
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    return [layer for layer in norms if not layer.affine or layer.weight.requires_grad]


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, value in source.items():
        target[name].copy_(value)
