"""A network that starts with the layers of another, as far as they fit."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fancnn.errors import UserError


@dataclass(frozen=True)
class Carried:
    """Layers that came over, and those that start fresh, in the network's order; `sha256` of the weights carried."""

    layers: tuple[str, ...]
    fresh: tuple[str, ...]
    sha256: str


def carry_over(network: nn.Module, weights: Mapping[str, Tensor], keep: Collection[str] = ()) -> Carried:
    """Give `network` every layer of `weights` whose tensors all fit by name and shape.

    By layers, since a bias without its kernel, or statistics without the norm they are of, mean nothing. A layer is
    what holds tensors itself: a convolution, a norm.

    Args:
        network: Takes them, in place.
        weights: By the names of `network.state_dict()`; others are passed over.
        keep: Layers of `network` that stay as they start.

    Raises:
        UserError: If no layer fits.

    Example:
        >>> source, target = (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, k)) for k in (2, 1))
        >>> carried = carry_over(target, source.state_dict())
        >>> carried.layers, carried.fresh
        (('0',), ('1',))
    """
    own, layers, fresh = network.state_dict(), list[str](), list[str]()
    chosen: dict[str, Tensor] = {}
    for name, tensors in _by_layer(own).items():
        fits = all(key in weights and weights[key].shape == own[key].shape for key in tensors)
        if fits and name not in keep:
            chosen |= {key: weights[key] for key in tensors}
        (layers if fits and name not in keep else fresh).append(name)
    if not layers:
        raise UserError(_nothing_fits(network, weights))
    network.load_state_dict(chosen, strict=False)
    return Carried(tuple(layers), tuple(fresh), weights_hash(chosen))


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}\t{value.dtype}\t{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def layers_in_words(names: Collection[str], order: Collection[str]) -> str:
    """Names of layers; those that follow one another in `order` as a range.

    Example:
        >>> layers_in_words(["a", "b", "c", "e"], ["a", "b", "c", "d", "e"])
        'a to c, e'
    """
    ranges: list[list[str]] = []
    before = ""
    for name in order:
        if name in names:
            if ranges and ranges[-1][-1] == before:
                ranges[-1].append(name)
            else:
                ranges.append([name])
        before = name
    return ", ".join(group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}" for group in ranges)


def layer_names(network: nn.Module) -> list[str]:
    """Names of what holds tensors itself, in the network's order."""
    return list(_by_layer(network.state_dict()))


def _by_layer(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    for key in state:
        layers.setdefault(key.rpartition(".")[0], []).append(key)
    return layers


def _nothing_fits(network: nn.Module, weights: Mapping[str, Tensor]) -> str:
    own = network.state_dict()
    shared = [key for key in own if key in weights]
    why = "no layer has the same name"
    if shared:
        here, there = (tuple(state[shared[0]].shape) for state in (own, weights))
        why = f"{shared[0]} is {there} there and {here} here" if here != there else "its layers were kept as they start"
    return (
        f"no layer of the network fits: {why}. Take a run of the same model, e.g. model=residual in both, with the "
        "same model.network.* keys"
    )
