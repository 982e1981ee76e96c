"""A network that starts with the layers of another, as far as they fit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.networks.weights import weights_hash


@dataclass(frozen=True)
class Carried:
    """Layers that came over, and those that start fresh, in the network's order; `sha256` of the weights carried."""

    layers: tuple[str, ...]
    fresh: tuple[str, ...]
    sha256: str


def load_matching_layers(network: nn.Module, weights: Mapping[str, Tensor], keep: Collection[str] = ()) -> Carried:
    """Give `network` the layers of `weights` whose tensors all fit by name and shape, up to the first that does not.

    By layers, since a bias without its kernel, or statistics without the norm they are of, mean nothing. A layer is
    what holds tensors itself: a convolution, a norm. What comes after the first kernel that does not fit starts fresh,
    whether it fits or not (see `fitting_layers`).

    Args:
        network: Takes them, in place.
        weights: By the names of `network.state_dict()`; others are passed over.
        keep: Layers of `network` that stay as they start.

    Raises:
        UserError: If no layer fits, or the first one does not.

    Example:
        >>> source, target = (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, k)) for k in (2, 1))
        >>> carried = load_matching_layers(target, source.state_dict())
        >>> carried.layers, carried.fresh
        (('0',), ('1',))
    """
    by_layer = _by_layer(network.state_dict())
    layers = [name for name in fitting_layers(network, weights)[0] if name not in keep]
    if not layers:
        raise UserError(_nothing_fits(network, weights))
    chosen = {key: weights[key] for name in layers for key in by_layer[name]}
    network.load_state_dict(chosen, strict=False)
    fresh = tuple(name for name in by_layer if name not in layers)
    return Carried(tuple(layers), fresh, weights_hash(chosen))


def fitting_layers(network: nn.Module, weights: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Return the names of the layers that fit `weights`: before the first kernel that does not, and after it.

    Those after it fit by chance: they have learnt to read what another layer wrote. A norm that is new or missing
    leaves channels what they are, so that layers after it are still of use.

    Example:
        >>> chain = lambda k: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, k), nn.Linear(k, 4), nn.Linear(4, 1))
        >>> fitting_layers(chain(5), chain(4).state_dict())
        (['0'], ['3'])
    """
    own, before, after = network.state_dict(), list[str](), list[str]()
    names = before
    for name, tensors in _by_layer(own).items():
        if all(key in weights and weights[key].shape == own[key].shape for key in tensors):
            names.append(name)
        elif any(own[key].ndim > 1 for key in tensors):
            names = after
    return before, after


def layers_in_words(names: Collection[str], order: Collection[str]) -> str:
    """Return the names of layers; those that follow one another in `order` as a range.

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
    """Return the names of what holds tensors itself, in the network's order."""
    return list(_by_layer(network.state_dict()))


def _by_layer(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    for key in state:
        layers.setdefault(key.rpartition(".")[0], []).append(key)
    return layers


def _nothing_fits(network: nn.Module, weights: Mapping[str, Tensor]) -> str:
    own = network.state_dict()
    kernel = next((key for key in own if own[key].ndim > 1 and key not in weights), None)
    other = next((key for key in own if key in weights and own[key].shape != weights[key].shape), None)
    if not any(key in weights for key in own):
        why = "no layer has the same name"
    elif other is not None:
        why = f"{other} is {tuple(weights[other].shape)} there and {tuple(own[other].shape)} here"
    elif kernel is not None:
        why = f"{kernel} is not there, and what comes after it reads other channels than it has learnt"
    else:
        why = "its layers were kept as they start"
    return (
        f"no layer of the network fits: {why}. Take a run of the same model, e.g. model=residual in both, with the "
        "same model.network.* keys"
    )
