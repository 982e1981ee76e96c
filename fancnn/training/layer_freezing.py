"""Layers that stay as they came: for ever, or until the others have found their way."""

from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fancnn.errors import UserError
from fancnn.model import Model
from fancnn.system.console import say

ALL_BUT_LAST = "all_but_last"


class LayerFreezing(pl.Callback):
    """Keeps the first layers of the network as they are; batch norms among them keep their statistics, too.

    A frozen weight has no gradient: the optimizer passes it over, weight decay and momentum included, and begins with
    it from nothing when it is let go. The optimizer knows all weights from the start and the schedule knows nothing of
    this, so that neither starts again in between. Dropout goes on in frozen layers.

    Args:
        layers: How many, counted as `first_layers` does, or `all_but_last`.
        until_epoch: They are frozen in so many epochs, and learn from the next one on; None never lets them go.

    Raises:
        UserError: In `fit`, if the network has no more layers than that, or several processes could not follow.
    """

    def __init__(self, layers: int | str, until_epoch: int | None = None) -> None:
        self.layers, self.until_epoch = layers, until_epoch

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        frozen = self.frozen_layers(network_of(pl_module))
        if self.until_epoch is None:
            set_frozen(frozen, True)  # before the optimizer is made: it need not know these
        elif trainer.world_size > 1 and not getattr(trainer.strategy, "_ddp_kwargs", {}).get("find_unused_parameters"):
            raise UserError(
                f"freeze.until_epoch={self.until_epoch} on {trainer.world_size} processes needs "
                "trainer.strategy=ddp_find_unused_parameters_true: what is frozen gives them nothing to agree on"
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        frozen = self.frozen_layers(network_of(pl_module))
        set_frozen(frozen, self.until_epoch is None or trainer.current_epoch < self.until_epoch)
        if trainer.current_epoch == self.until_epoch and trainer.is_global_zero:
            say(f"all layers learn from epoch {trainer.current_epoch + 1} on")

    def frozen_layers(self, network: nn.Module) -> list[nn.Module]:
        """Return the layers that are frozen; one that the network itself keeps from learning is none of these.

        Raises:
            UserError: If no layer would be left to learn.
        """
        own = getattr(self, "_frozen", None)
        if own is None:
            own = self._frozen = [layer for layer in first_layers(network, self.layers) if _learns(layer)]
        return own


def freezing_callbacks(layers: int | str | None, until_epoch: int | None = None) -> list[LayerFreezing]:
    """Return the callback that keeps layers as they came, in a list; an empty one where none is to stay so."""
    return [] if layers is None else [LayerFreezing(layers, until_epoch)]


def first_layers(network: nn.Module, count: int | str) -> list[nn.Module]:
    """Return the first layers with kernels, and whatever holds weights before the next one, norms above all.

    Layers are counted in the order in which the network defines them, which is that of `python -m fancnn.describe`
    but for shortcuts.

    Args:
        network: Of any kind.
        count: How many layers with kernels (convolutions, linear layers), or `all_but_last`; which is the last a
            network may say itself, as those of timm do, some of which define it before others.

    Raises:
        UserError: If that would be all of them.

    Example:
        >>> chain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 1, 3))
        >>> [type(layer).__name__ for layer in first_layers(chain, 1)]
        ['Conv2d', 'BatchNorm2d']
    """
    if count == ALL_BUT_LAST and (last := getattr(network, "last_layers", ())):
        return [
            layer
            for name, layer in network.named_modules()
            if not f"{name}.".startswith(last) and any(True for _ in layer.parameters(recurse=False))
        ]
    layers = [layer for layer in network.modules() if any(True for _ in layer.parameters(recurse=False))]
    kernels = [place for place, layer in enumerate(layers) if _has_kernel(layer)]
    wanted = len(kernels) - 1 if count == ALL_BUT_LAST else int(count)
    if wanted >= len(kernels):
        raise UserError(
            f"freeze.layers={count}: {type(network).__name__} has {len(kernels)} layers with kernels, and one at least "
            f"has to learn. Take {len(kernels) - 1} at most, or freeze.layers={ALL_BUT_LAST}"
        )
    return layers[: kernels[wanted]]


def set_frozen(layers: list[nn.Module], frozen: bool) -> None:
    for layer in layers:
        for weight in layer.parameters(recurse=False):
            weight.requires_grad_(not frozen)
            if frozen:
                weight.grad = None
        if isinstance(layer, _BatchNorm):
            layer.train(not frozen)


def network_of(module: nn.Module) -> nn.Module:
    """Return the network that is trained, in a LightningModule."""
    model: Any = next(part for part in module.modules() if isinstance(part, Model))
    network: nn.Module = model.network
    return network


def _has_kernel(layer: nn.Module) -> bool:
    return any(weight.ndim > 1 for weight in layer.parameters(recurse=False))


def _learns(layer: nn.Module) -> bool:
    return any(weight.requires_grad for weight in layer.parameters(recurse=False))
