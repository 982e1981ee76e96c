"""How the kernels of a network start, by the names the field uses."""

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

Std = Callable[[int, int, int], float]  # of fan_in, fan_out and the number of outputs (rows)


class Initializer(NamedTuple):
    """Fills a tensor in place, and the standard deviation that its values have in theory."""

    fill: Callable[[Tensor], Tensor]
    std: Std


def _scaled(scale: float, fan: str) -> Std:
    """Return the standard deviation sqrt(scale / fan), the fan being `in` or `average`."""
    return lambda fan_in, fan_out, rows: math.sqrt(scale / (fan_in if fan == "in" else (fan_in + fan_out) / 2))


def _he(fill: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda weight: fill(weight, mode="fan_in", nonlinearity="relu")


def _lecun(fill: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda weight: fill(weight, mode="fan_in", nonlinearity="linear")  # a gain of 1


class Start(NamedTuple):
    """How a kernel was filled, in a word or two, and the standard deviation that this gives in theory."""

    name: str
    std: float


INITIALIZERS: dict[str, Initializer] = {
    # Glorot and Bengio 2010: keeps the variance forward and backward; what Keras does by default
    "glorot_uniform": Initializer(nn.init.xavier_uniform_, _scaled(1, "average")),
    "glorot_normal": Initializer(nn.init.xavier_normal_, _scaled(1, "average")),
    # He et al. 2015: twice that of the inputs, since ReLU drops half of it
    "he_uniform": Initializer(_he(nn.init.kaiming_uniform_), _scaled(2, "in")),
    "he_normal": Initializer(_he(nn.init.kaiming_normal_), _scaled(2, "in")),
    # LeCun et al. 1998: for activations that keep the variance, such as selu
    "lecun_uniform": Initializer(_lecun(nn.init.kaiming_uniform_), _scaled(1, "in")),
    "lecun_normal": Initializer(_lecun(nn.init.kaiming_normal_), _scaled(1, "in")),
    # Saxe et al. 2014: orthonormal rows or columns, whichever are fewer
    "orthogonal": Initializer(nn.init.orthogonal_, lambda fan_in, fan_out, rows: max(fan_in, rows) ** -0.5),
    # of no fan: Keras' RandomUniform and RandomNormal
    "uniform": Initializer(lambda weight: nn.init.uniform_(weight, -0.05, 0.05), lambda *_: 0.05 / math.sqrt(3)),
    "normal": Initializer(lambda weight: nn.init.normal_(weight, 0.0, 0.05), lambda *_: 0.05),
}


def initialize(network: nn.Module, name: str) -> dict[str, Start]:
    """Fill the kernels of all convolutions and linear layers by `name` and their biases with zeros.

    Returns:
        What was done, by the name of each layer that was filled.

    Raises:
        ValueError: If `name` is none of `INITIALIZERS`.
    """
    fill, filled = _of(name).fill, dict[str, Start]()
    for layer_name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fill(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            filled[layer_name] = Start(name, theoretical_std(name, layer.weight))
    return filled


def theoretical_std(name: str, weight: Tensor) -> float:
    """Return the standard deviation of the values that initialiser `name` draws for `weight`.

    Args:
        name: One of `INITIALIZERS`.
        weight: `(outputs, inputs)` or `(outputs, inputs, height, width)`, as torch's layers have it.

    Raises:
        ValueError: If `name` is none of `INITIALIZERS`.

    Example:
        >>> import torch
        >>> theoretical_std("he_normal", torch.empty(8, 2, 3, 3))  # sqrt(2 / (2 * 3 * 3))
        0.3333333333333333
    """
    area = math.prod(weight.shape[2:])
    return _of(name).std(weight.shape[1] * area, weight.shape[0] * area, weight.shape[0])


def _of(name: str) -> Initializer:
    if name not in INITIALIZERS:
        raise ValueError(f"initializer={name!r} is none of {', '.join(sorted(INITIALIZERS))}")
    return INITIALIZERS[name]
