"""Learning rates by layer: the deeper in the network, the higher, so that what learnt elsewhere changes least."""

from typing import Any

from torch import nn


def rate_factors(network: nn.Module, decay: float) -> dict[str, float]:
    """Return by what the learning rate of each weight that learns is multiplied, by its name.

    1 in the last layer that learns, `decay` in what comes before it, `decay ** 2` before that (Clark et al. 2020,
    section 3.3; Bao et al. 2022). A step is a block in networks of timm, which says what its blocks are, and a layer
    with a kernel elsewhere, with whatever holds weights before the next one.

    Args:
        network: That is trained, or what contains it; what stands beside a network of timm counts as its last layer.
        decay: Above 0, up to 1.

    Example:
        >>> chain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 1, bias=False))
        >>> rate_factors(chain, 0.5)
        {'0.weight': 0.5, '0.bias': 0.5, '1.weight': 0.5, '1.bias': 0.5, '3.weight': 1.0}
    """
    depths = _stated_depths(network) or _depths_by_kernel(network)
    learnt = [name for name, weight in network.named_parameters() if weight.requires_grad]
    last = max(depths.values(), default=0)
    deepest = max((depths.get(name, last) for name in learnt), default=0)
    return {name: decay ** (deepest - depths.get(name, last)) for name in learnt}


def _stated_depths(network: nn.Module) -> dict[str, int]:
    """Return the depth of each weight of the first network inside that states its depths; empty if none does."""
    for prefix, layer in network.named_modules():
        state: Any = getattr(layer, "layer_depths", None)
        if state is not None and (own := state()):
            return {f"{prefix}.{name}".lstrip("."): depth for name, depth in own.items()}
    return {}


def _depths_by_kernel(network: nn.Module) -> dict[str, int]:
    """Return how many layers with kernels the network defines before each weight's own."""
    depths, kernels = dict[str, int](), 0
    for prefix, layer in network.named_modules():
        own = list(layer.named_parameters(recurse=False))
        kernels += any(weight.ndim > 1 for _, weight in own)
        depths |= {f"{prefix}.{name}".lstrip("."): max(kernels - 1, 0) for name, _ in own}
    return depths
