"""What happens inside a network while it learns: how large weights, gradients and steps are, and which units are dead.

`dynamics.csv` (version 1) has a row for each layer of each epoch that was looked at:

| column | meaning |
| --- | --- |
| epoch, layer | as `fancnn.describe` names layers |
| weight_norm | Euclidean norm of a layer's kernel and bias, before the epoch's middle step |
| gradient_norm | of their gradient in that step, before any clipping |
| update_ratio | norm of what the step changed, over weight_norm; empty where that is 0 |
| mean, std | of all values that an activation gives |
| dead | share of a ReLU's units (channels of a map) that are zero at every place of every image |

The first three are of layers with a kernel, the others of activations, on a fixed sample of validation images and
with the weights that are scored: averages where weights are averaged.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from fancnn.files.tables import table_writer
from fancnn.networks.layers import ACTIVATIONS
from fancnn.system.console import say
from fancnn.training.diagnosis import dead_layers

VERSION = 1
COLUMNS = ("epoch", "layer", "weight_norm", "gradient_norm", "update_ratio", "mean", "std", "dead")
KINDS: tuple[Any, ...] = (*ACTIVATIONS.values(), nn.ReLU6, nn.Hardswish)
NEVER_BELOW_ZERO = (nn.ReLU, nn.ReLU6)

Norms = dict[str, dict[str, float]]  # by layer, then by column


class TrainingDynamics(pl.Callback):
    """Rows of `dynamics.csv` and curves `dynamics/<layer>/...` on TensorBoard, from the first epoch on.

    It looks and changes nothing: no random number is drawn, no weight is touched. Of several processes one looks, and
    asks nothing of the others. Of a dead layer it warns at once; `warned` has the kinds of what it warned of.

    Args:
        path: Of `dynamics.csv`.
        every_n_epochs: How many epochs it goes on without looking, and one.
        images: Validation images whose activations are looked at, about: every so many-th of them all.

    Raises:
        ValueError: If one of the numbers is below 1.
    """

    def __init__(self, path: str | Path, every_n_epochs: int = 2, images: int = 64) -> None:
        for name, value in (("every_n_epochs", every_n_epochs), ("images", images)):
            if value < 1:
                raise ValueError(f"{name}={value} should be 1 or more; null in place of the callback never looks")
        self.path, self.every_n_epochs, self.images = Path(path), every_n_epochs, images
        self.rows: list[dict[str, Any]] = []
        self.warned: set[str] = set()
        self._step: StepNorms | None = None
        self._norms: Norms = {}
        self._activations: Activations | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows and trainer.is_global_zero:  # of an earlier training, which may have no epoch to come
            self._write()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, at: int) -> None:
        # a step like the others: the last batch may be small, and an optimizer's first steps are its largest
        if at == int(trainer.num_training_batches) // 2 and self._looks(trainer):
            self._step = StepNorms(_network(pl_module))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        if self._step is not None:
            self._step.before()

    def on_train_batch_end(self, *args: Any) -> None:
        if self._step is not None and self._step.began:  # with gradients of several batches gathered, it may be later
            self._norms, self._step = self._step.after(), None

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        # not before: what else looks at images as validation begins would be listened to, too
        if batch_idx == 0 and data is not None and self._looks(trainer):
            self._activations = Activations(_network(pl_module), max(1, len(data.images_of("val")) // self.images))
        if self._activations is not None:
            self._activations.next_batch()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._activations is not None:
            self._activations.remove()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._looks(trainer):
            return
        epoch = trainer.current_epoch + 1
        by_layer = self._norms | (self._activations.found() if self._activations else {})
        self.rows += [{"epoch": epoch, "layer": layer, **values} for layer, values in by_layer.items()]
        self._norms, self._activations = {}, None
        self._write()
        self._show(trainer, by_layer, epoch)
        for finding in dead_layers(self.rows):
            if finding.kind not in self.warned:
                say(f"warning: {finding}")
            self.warned.add(finding.kind)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "warned": sorted(self.warned)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.warned = list(state_dict["rows"]), set(state_dict["warned"])

    def _looks(self, trainer: pl.Trainer) -> bool:
        return (
            trainer.is_global_zero and trainer.current_epoch % self.every_n_epochs == 0 and not trainer.sanity_checking
        )

    def _write(self) -> None:
        with table_writer(self.path, COLUMNS, VERSION) as add:
            for row in self.rows:
                add(row)

    def _show(self, trainer: pl.Trainer, by_layer: Mapping[str, Mapping[str, float]], epoch: int) -> None:
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        for board in boards:
            for layer, values in by_layer.items():
                for name, value in values.items():
                    board.experiment.add_scalar(f"dynamics/{layer}/{name}", value, epoch)


class StepNorms:
    """Norms around one step of the optimizer, of each layer that learns a kernel.

    Args:
        network: What is trained.
    """

    def __init__(self, network: nn.Module) -> None:
        self.began = False
        self._parts: dict[str, list[nn.Parameter]] = {}
        for name, layer in network.named_modules():
            own = [weight for weight in layer.parameters(recurse=False) if weight.requires_grad]
            if any(weight.ndim > 1 for weight in own):
                self._parts[name] = own
        self._weights = [weight for own in self._parts.values() for weight in own]
        self._old: list[Tensor] = []
        self._sizes: list[Tensor] = []

    @torch.no_grad()
    def before(self) -> None:
        """Call with gradients there and the step not done."""
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in self._weights]
        self._old = [weight.detach().clone() for weight in self._weights]
        self._sizes = [*_norms(self._old), *_norms(gradients)]
        self.began = True

    @torch.no_grad()
    def after(self) -> Norms:
        """Call after the step; by layer `weight_norm`, `gradient_norm` and, where defined, `update_ratio`."""
        torch._foreach_sub_(self._old, [weight.detach() for weight in self._weights])
        sizes = torch.stack([*self._sizes, *_norms(self._old)]).double().square().view(3, -1)
        counts = [len(own) for own in self._parts.values()]
        weight, gradient, update = (
            [math.sqrt(float(each.sum())) for each in of.split(counts)] for of in sizes.cpu()
        )  # the device is waited for once
        norms: Norms = {}
        for name, w, g, u in zip(self._parts, weight, gradient, update, strict=True):
            norms[name] = {"weight_norm": w, "gradient_norm": g, **({"update_ratio": u / w} if w else {})}
        return norms


class RunningMoments:
    """Mean and sum of squared deviations of values that come in batches (Chan, Golub and LeVeque 1983).

    Two numbers are kept on the device, in place: what a batch left there would lie between the large blocks of the
    next one, and memory would grow with each.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = 0
        self.mean, self.squares = (torch.zeros((), device=device) for _ in range(2))

    def add(self, count: int, mean: Tensor, squares: Tensor) -> None:
        """Add `count` values by their mean and the sum of their squared deviations from it."""
        share = count / (self.count + count)
        apart = mean - self.mean
        self.squares += squares + apart.square() * (self.count * share)
        self.mean += apart * share
        self.count += count


class Activations:
    """Mean, spread and dead units of what activations give, while the network scores.

    Args:
        network: Its activations are listened to until `remove`.
        stride: Of how many images one counts.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        self.stride = stride
        self._seen: dict[str, RunningMoments] = {}
        self._largest: dict[str, Tensor] = {}  # of each unit, for those that are never below zero
        self._calls: Counter[str] = Counter()
        self._hooks: list[RemovableHandle] = [
            layer.register_forward_hook(self._listener(name))
            for name, layer in network.named_modules()
            if isinstance(layer, KINDS)
        ]

    def next_batch(self) -> None:
        """Call before each batch: a layer that is called twice is two."""
        self._calls.clear()

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def found(self) -> Norms:
        """Return for each layer `mean` and `std`, and for ReLUs `dead`."""
        return {name: self._summary(name) for name in self._seen}

    def _listener(self, name: str) -> Any:
        def listen(layer: nn.Module, _: Any, output: Tensor) -> None:
            self._calls[name] += 1
            call = self._calls[name]
            self._add(name if call == 1 else f"{name}#{call}", layer, output.detach()[:: self.stride].float())

        return listen

    def _add(self, name: str, layer: nn.Module, values: Tensor) -> None:
        if not values.numel():
            return
        mean = values.mean()
        squares = torch.linalg.vector_norm(values - mean).square()  # torch's var takes 20 times as long
        self._seen.setdefault(name, RunningMoments(values.device)).add(values.numel(), mean, squares)
        if isinstance(layer, NEVER_BELOW_ZERO):
            units = 1 if values.ndim == 4 else values.ndim - 1
            largest = values.amax([axis for axis in range(values.ndim) if axis != units])
            known = self._largest.get(name)
            self._largest[name] = largest if known is None else torch.maximum(known, largest, out=known)

    def _summary(self, name: str) -> dict[str, float]:
        moments = self._seen[name]
        summary = {"mean": float(moments.mean), "std": math.sqrt(float(moments.squares) / moments.count)}
        if name in self._largest:
            summary["dead"] = dead_relu_fraction(self._largest[name])
        return summary


def dead_relu_fraction(largest: Tensor) -> float:
    """Return the share of a ReLU's units that are zero wherever they were looked at.

    Args:
        largest: `(units,)`, the greatest value of each.
    """
    return float((largest == 0).double().mean())


def _norms(tensors: list[Tensor]) -> list[Tensor]:
    norms: Sequence[Any] = torch._foreach_norm(tensors)
    return [norm.float() for norm in norms]


def _network(module: Any) -> nn.Module:
    network: nn.Module = module.model.network
    return network
