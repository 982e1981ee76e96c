"""What keeps weights small, and which of them: kernels, never biases nor the scale and shift of a norm."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fancnn.training.layer_rates import rate_factors


def kernels(network: nn.Module) -> Iterator[nn.Parameter]:
    """Return weights that are learnt and multiply, which have two axes or more; biases, scales and shifts have one."""
    return (weight for weight in network.parameters() if weight.requires_grad and weight.ndim > 1)


class KernelPenalty:
    """`l1 * sum |w| + l2 * sum w^2` over all kernels, as Keras counts: no half, no mean.

    It acts through the gradient, `l1 sign(w) + 2 l2 w`, and so through an adaptive optimizer's scaling; decoupled
    weight decay (optimizer=adamw) does not (Loshchilov and Hutter 2019).

    Args:
        l1: From 0 on.
        l2: From 0 on.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def __call__(self, network: nn.Module) -> Tensor:
        weights = list(kernels(network))
        terms = []
        if self.l1:
            terms += [self.l1 * weight.abs().sum() for weight in weights]
        if self.l2:
            terms += [self.l2 * weight.square().sum() for weight in weights]
        return torch.stack(terms).sum() if terms else torch.zeros(())


def optimizer_of(network: nn.Module, make: Callable[..., Optimizer], layer_decay: float | None = None) -> Optimizer:
    """Return the optimizer of what is learnt; its weight decay, if it has one, acts on kernels alone.

    Args:
        network: What is trained.
        make: Takes parameters, or groups of them, gives the optimizer.
        layer_decay: By what the rate falls from each layer to the one before it, see `rate_factors`; None for one rate
            of all. The first group has the highest rate, and each says its factor as `lr_scale`.
    """
    learnt = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = make(learnt)
    decays = bool(optimizer.defaults.get("weight_decay"))
    if layer_decay is not None:
        return make(_groups_by_rate(network, layer_decay, optimizer.defaults["lr"], decays))
    if not decays:
        return optimizer
    groups: Sequence[dict[str, Any]] = [
        {"params": list(kernels(network))},
        {"params": [weight for weight in learnt if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return make([group for group in groups if group["params"]])


def _groups_by_rate(network: nn.Module, layer_decay: float, rate: float, decays: bool) -> list[dict[str, Any]]:
    """Return a group for each rate, or two where weight decay acts on some of its weights, the highest rate first."""
    factors, groups = rate_factors(network, layer_decay), dict[tuple[float, bool], list[nn.Parameter]]()
    for name, weight in network.named_parameters():
        if name in factors:
            groups.setdefault((factors[name], not decays or weight.ndim > 1), []).append(weight)
    return [
        {"params": weights, "lr": rate * factor, "lr_scale": factor} | ({} if as_given else {"weight_decay": 0.0})
        for (factor, as_given), weights in sorted(groups.items(), key=lambda group: group[0], reverse=True)
    ]
