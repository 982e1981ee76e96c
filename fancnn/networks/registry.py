"""Networks that a file may describe: by a name of this package and plain arguments, and nothing else.

A checkpoint comes from anywhere, so what it says of its network is data: it is looked up here, never instantiated as a
configuration of one's own is. A class that `fancnn.networks` exports is known without being listed; one of the user's
own is taken if this process trusts it (see `fancnn.files.trusted_classes`).
"""

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fancnn.files.trusted_classes import trusted
from fancnn.networks.layers import MOST_WIDE

MOST_NESTED = 4  # lists in lists, and members in ensembles
DESCRIBED = "fancnn.networks.Ensemble"  # the one whose arguments are networks in turn


class UnknownNetwork(ValueError):  # noqa: N818  # its text is shown to users, as that of a ValueError is
    """A description that names no network of this package."""


def known_networks() -> dict[str, type[nn.Module]]:
    """Return the networks that a file may name, by that name.

    Example:
        >>> sorted(known_networks())[:2]
        ['fancnn.networks.ConvNet', 'fancnn.networks.Decoder']
    """
    package = importlib.import_module("fancnn.networks")
    exported = {name: getattr(package, name) for name in package.__all__}
    return {f"fancnn.networks.{name}": item for name, item in exported.items() if issubclass(item, nn.Module)}


def network_from_dict(description: Any, outputs: int = 1) -> nn.Module:
    """Make the network that a file describes, with fresh weights.

    Args:
        description: `_target_`, a name of `known_networks`, and its arguments: numbers, texts, truth values, nothing,
            and lists of these.
        outputs: Given to the network if these are several; a file says it among the arguments.

    Raises:
        UnknownNetwork: If the network is none of these.
        ValueError: If an argument is anything else than plain data, or the network refuses it.
    """
    arguments = _checked(description)
    if arguments.get("weights") is not None and str(description["_target_"]) not in trusted():
        arguments["weights"] = None  # what a file names is neither read nor downloaded: it has weights of its own
    if outputs > 1:
        arguments["outputs"] = outputs
    made = _class_of(description)
    try:
        if made is known_networks()[DESCRIBED]:
            arguments["members"] = [network_from_dict(item) for item in arguments["members"]]
        return made(**arguments)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{description['_target_']} does not take these arguments: {error}") from error


def validate_weight_shapes(description: Any, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that do not fit a description before any memory is taken for it.

    Raises:
        ValueError: If a tensor is missing, unknown, or of another shape, or as `network_from_dict`.
    """
    with torch.device("meta"):  # shapes alone: a description of any size costs nothing
        expected = network_from_dict(description).state_dict()
    for name in (*expected, *weights):
        own, given = expected.get(name), weights.get(name)
        if own is None or given is None:
            raise ValueError(f"{name} is {'missing' if given is None else 'unknown'} among its weights")
        if own.shape != given.shape:
            raise ValueError(f"{name} has the shape {tuple(given.shape)}, expected {tuple(own.shape)}")


def _class_of(description: Mapping[str, Any]) -> type[nn.Module]:
    name, known = str(description["_target_"]), known_networks()
    by_path = {f"{item.__module__}.{item.__qualname__}": item for item in known.values()}
    if name in trusted():
        return trusted_class(name)
    if (network_class := known.get(name) or by_path.get(name)) is None:
        raise UnknownNetwork(
            f"it needs the network {_shown(name)}, which is none of fancnn's ({', '.join(sorted(known))}). If you know "
            f"that class and trust it, name it: trust={_shown(name)[1:-1]}"
        )
    return network_class


def _checked(description: Any, depth: int = 0) -> dict[str, Any]:
    """Return the arguments of a description, each of them plain data."""
    if not isinstance(description, Mapping) or not isinstance(description.get("_target_"), str):
        raise ValueError(f"expected a network by _target_ and its arguments, got {_shown(description)}")
    if depth > MOST_NESTED:
        raise ValueError("ensembles inside ensembles go too deep")
    made = _class_of(description)
    arguments = {name: value for name, value in description.items() if name != "_target_"}
    for name, value in arguments.items():
        if not isinstance(name, str) or name.startswith("_"):
            raise ValueError(f"{_shown(name)} is no argument of a network")
        if made is known_networks()[DESCRIBED] and name in ("members", "calibrations"):
            _validate_members(name, value, depth)
        else:
            _validate_plain(name, value)
    return arguments


def _validate_members(name: str, value: Any, depth: int) -> None:
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError(f"{name}: expected a list of descriptions, got {_shown(value)}")
    for item in value:
        if name == "members":
            _checked(item, depth + 1)
        else:  # of a calibration, which checks its own values
            for key, plain in item.items():
                _validate_plain(f"{name}.{key}", plain)


def _validate_plain(name: str, value: Any, depth: int = 0) -> None:
    if isinstance(value, list | tuple) and depth < MOST_NESTED and len(value) <= MOST_WIDE:
        for item in value:
            _validate_plain(name, item, depth + 1)
    elif isinstance(value, int | float) and not -MOST_WIDE <= value <= MOST_WIDE:
        raise ValueError(f"{name}={_shown(value)} is beyond {MOST_WIDE:,}")
    elif not (value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and "$" not in value)):
        raise ValueError(f"{name}={_shown(value)} is no plain value: expected a number, a text or a list of these")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def trusted_class(name: str) -> type[nn.Module]:
    """Import a network class that the user named on a command line or in Python.

    Raises:
        ValueError: If there is no such class, or it is no torch module.
    """
    module, _, own = name.rpartition(".")
    try:
        network_class: Any = getattr(importlib.import_module(module), own)
    except (ImportError, ValueError, AttributeError) as error:
        raise ValueError(f"{name} cannot be found: {error}. Expected package.module.Class") from error
    if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
        raise ValueError(f"{name} is no torch.nn.Module but {type(network_class).__name__}")
    return network_class
