"""What the filters of a trained network are worth, by several criteria, and the order that each of them gives.

The value of a channel is what the layers that read it get: after its norm, its activation and its pool, at test time.
Where several layers read or produce it, the words below mean all of them together.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from fancnn.metrics.cross_entropy import binary_cross_entropy_of_logits
from fancnn.metrics.scores import auroc
from fancnn.networks.dependency_groups import DependencyGroup, silenced

Values = NDArray[np.float64]
Batch = tuple[Tensor, Tensor]  # images as the model takes them, and (batch,) labels: 0 GO, 1 NG


@dataclass(frozen=True)
class Criterion:
    """One way to say what a filter is worth.

    Attributes:
        says: What the number is, in words for a person who reads it.
        greater_is_worth_more: Whether the filter with the greatest number comes first.
    """

    says: str
    greater_is_worth_more: bool = True

    def order(self, values: Values) -> NDArray[np.intp]:
        """Return the indices of filters, the one worth most first; equal ones in their own order.

        Example:
            >>> CRITERIA["sparsity"].order(np.array([0.5, 0.1, 0.5])).tolist()
            [1, 0, 2]
        """
        return np.argsort(-values if self.greater_is_worth_more else values, kind="stable")

    def ranks(self, values: Values) -> Values:
        """Return the rank of each filter in that order, from 1; equal ones share their mean rank, as in Spearman's.

        Example:
            >>> CRITERIA["sparsity"].ranks(np.array([0.5, 0.1, 0.5])).tolist()
            [2.5, 1.0, 2.5]
        """
        ranks: Values = rankdata(-values if self.greater_is_worth_more else values)
        return ranks


CRITERIA = {
    "order": Criterion("the filter's index: no criterion, but what any other one has to beat", False),
    "l1": Criterion("sum of the absolute weights of its kernel (Li et al. 2017); needs no images"),
    "l2": Criterion("root of the sum of the squared weights of its kernel; needs no images"),
    "activation": Criterion("mean absolute value that the next layer reads, over images and places"),
    "taylor": Criterion(
        "by how much an image's loss would change without it, to first order: the mean over images of "
        "|sum of value x gradient| (Molchanov et al. 2017, 2019), in nats"
    ),
    "sparsity": Criterion(
        "share of exact zeros among its values (Hu et al. 2016): a filter that is silent says little", False
    ),
    "similarity": Criterion(
        "cosine of its kernel and the most similar one's: near 1, that other filter can take its place", False
    ),
    "performance": Criterion("by how much the cross-entropy rises when the next layer reads zeros, in nats: the truth"),
    "performance_auroc": Criterion("by how much the AUROC falls then; coarse, since many filters change no order"),
}
OF_VALUES = ("activation", "taylor", "sparsity")
OF_SCORES = ("performance", "performance_auroc")


def measured(
    model: nn.Module,
    network: nn.Module,
    groups: Sequence[DependencyGroup],
    batches: Sequence[Batch],
    names: Sequence[str],
) -> dict[DependencyGroup, dict[str, Values]]:
    """Return what each channel is worth, by the criteria `names`: `(channels,)` float64 each.

    Args:
        model: Takes the images of `batches`, gives `(batch,)` logits; in evaluation mode.
        network: Inside `model`; the groups are of it.
        groups: Which channels.
        batches: Images and labels.
        names: Of `CRITERIA`; what is not asked for is not computed.
    """
    worth: dict[DependencyGroup, dict[str, Values]] = {group: of_kernels(network, group) for group in groups}
    if set(names) & set(OF_VALUES):
        for group, values in of_values(model, network, groups, batches).items():
            worth[group] |= values
    if set(names) & set(OF_SCORES):
        for group in groups:
            worth[group] |= of_scores(model, network, group, batches)
    return {group: {name: worth[group][name] for name in names} for group in groups}


def of_kernels(network: nn.Module, group: DependencyGroup) -> dict[str, Values]:
    """Return the criteria that need no images; kernels of several producers are laid end to end."""
    kernels = [network.get_submodule(name).weight.detach().flatten(1) for name in group.producers]  # type: ignore[operator]
    kernel = torch.cat(kernels, 1).double().cpu()
    length = kernel.norm(dim=1)
    unit = kernel / length.clamp_min(1e-300)[:, None]
    cosines = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = cosines.amax(1) if len(kernel) > 1 else torch.zeros(1, dtype=torch.float64)
    return {
        "order": np.arange(len(kernel), dtype=np.float64),
        "l1": kernel.abs().sum(1).numpy(),
        "l2": length.numpy(),
        "similarity": nearest.numpy(),
    }


def of_values(
    model: nn.Module, network: nn.Module, groups: Sequence[DependencyGroup], batches: Sequence[Batch]
) -> dict[DependencyGroup, dict[str, Values]]:
    """Compute the criteria that need images or gradients, in one pass for all groups."""
    sums = {group: torch.zeros(3, group.width(network), dtype=torch.float64) for group in groups}
    counts, num_images = dict.fromkeys(groups, 0), 0
    for images, labels in batches:
        num_images += len(labels)
        with _read_by(network, {name for group in groups for name in group.consumers}) as read, torch.enable_grad():
            # of the sum: each image's own gradient
            loss = F.binary_cross_entropy_with_logits(model(images).double(), labels.double(), reduction="sum")
        slopes = dict(zip(read, torch.autograd.grad(loss, list(read.values())), strict=True))
        for group in groups:
            change = torch.zeros(len(labels), group.width(network), dtype=torch.float64)
            for name in group.consumers:
                values, slope = (
                    group.by_channel(name, x, group.width(network)) for x in (read[name].detach(), slopes[name])
                )  # (batch, rounds, channels, places)
                change += (values * slope).sum((1, 3)).cpu()
                sums[group][0] += values.abs().sum((0, 1, 3)).cpu()
                sums[group][1] += (values == 0).sum((0, 1, 3)).cpu()
                counts[group] += values.numel() // group.width(network)
            sums[group][2] += change.abs().sum(0)
    return {
        group: {
            "activation": (total[0] / counts[group]).numpy(),
            "sparsity": (total[1] / counts[group]).numpy(),
            "taylor": (total[2] / num_images).numpy(),
        }
        for group, total in sums.items()
    }


def of_scores(
    model: nn.Module, network: nn.Module, group: DependencyGroup, batches: Sequence[Batch]
) -> dict[str, Values]:
    """Return what is lost without a channel: one pass through the network for each."""
    labels = torch.cat([labels for _, labels in batches]).numpy().astype(np.int64)
    loss, area = _scores(model, batches, labels)
    rises, falls = [], []
    for channel in range(group.width(network)):
        with silenced(network, group, [channel]):
            loss_without, area_without = _scores(model, batches, labels)
        rises.append(loss_without - loss)
        falls.append(area - area_without)
    return {"performance": np.array(rises), "performance_auroc": np.array(falls)}


@torch.inference_mode()
def _scores(model: nn.Module, batches: Sequence[Batch], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return the cross-entropy and AUROC; that is 0 where a class is missing, with each filter and without."""
    logits = torch.cat([model(images) for images, _ in batches]).double().cpu().numpy()
    return binary_cross_entropy_of_logits(labels, logits), auroc(labels, logits) or 0.0


@contextmanager
def _read_by(network: nn.Module, layers: set[str]) -> Iterator[dict[str, Tensor]]:
    """Yield what each of `layers` reads: copies, so that a gradient counts this way through the network alone."""
    read: dict[str, Tensor] = {}

    def note(name: str, values: Tensor) -> tuple[Tensor]:
        read[name] = values.clone() if values.requires_grad else values.clone().requires_grad_()
        return (read[name],)

    hooks = [
        network.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name in layers
    ]
    try:
        yield read
    finally:
        for hook in hooks:
            hook.remove()
