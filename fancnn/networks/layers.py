"""The layers that networks are put together from, by the names that a configuration uses."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fancnn.settings.validation import is_number

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
# never decreasing: the activation of the largest is the largest activation
MONOTONE = frozenset({"relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid"})

MOST_WIDE = 2**20  # of any number among the arguments: no layer that a machine can hold is wider
MOST_LAYERS = 1000
NORMS = ("none", "batch", "layer", "group")
GROUP_SIZE = 8  # channels in a group of norm=group, where they divide

GLOBAL_POOLS = ("average", "max", "both")  # one value for each channel, or two


def activation_layer(name: str) -> nn.Module:
    """Return an activation by name.

    Raises:
        ValueError: If `name` is none of `ACTIVATIONS`.
    """
    validate_choice("activation", name, tuple(ACTIVATIONS))
    return ACTIVATIONS[name]()


def norm_layers(name: str, channels: int) -> list[nn.Module]:
    """Return the normalisation of a map of `channels`, as a list of one layer, or of none for `none`.

    `batch`: each channel over batch and pixels (Ioffe and Szegedy 2015). `layer`: each image over channels and
    pixels (Ba et al. 2016). `group`: each image over pixels and groups of 8 channels, or of as many as divide
    (Wu and He 2018). Those two do not depend on the other images of the batch.

    Raises:
        ValueError: If `name` is none of `NORMS`.
    """
    validate_choice("norm", name, NORMS)
    if name == "none":
        return []
    if name == "batch":
        return [nn.BatchNorm2d(channels)]
    return [nn.GroupNorm(1 if name == "layer" else channels // math.gcd(channels, GROUP_SIZE), channels)]


class MeanAndMax(nn.Module):
    """The mean of each channel, then the largest value of each: `(batch, c, height, width)` to `(batch, 2 c)`.

    The mean asks how much there is of a thing, the maximum whether it is anywhere: a defect of a few pixels hardly
    moves a mean.
    """

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)


def global_pool(kind: str) -> nn.Module:
    """Return what is left of each channel, `(batch, c, height, width)` to `(batch, c)`, or `(batch, 2 c)` for `both`.

    Args:
        kind: `average` (Lin et al. 2014), `max` (Oquab et al. 2015) or `both`.

    Raises:
        ValueError: If `kind` is none of `GLOBAL_POOLS`.
    """
    validate_choice("head", kind, GLOBAL_POOLS)
    if kind == "both":
        return MeanAndMax()
    return nn.Sequential(nn.AdaptiveAvgPool2d(1) if kind == "average" else nn.AdaptiveMaxPool2d(1), nn.Flatten())


def dropout_layers(layer: Callable[[float], nn.Module], rate: float) -> list[nn.Module]:
    """Return a dropout layer as a list of one, or of none for a rate of 0."""
    return [layer(rate)] if rate else []


def each(name: str, value: float | Sequence[float], count: int, of: str) -> list[float]:
    """Return `value` once for each of `count`: one number for all of them, or a sequence of as many.

    Raises:
        ValueError: If a sequence has another length, or is none of numbers.

    Example:
        >>> each("dropout", 0.5, 2, "hidden layers")
        [0.5, 0.5]
    """
    if isinstance(value, int | float):
        return [value] * count
    given: Sequence[object] = value  # a configuration may hold anything
    if isinstance(given, str) or not all(isinstance(item, int | float) for item in given):
        shown = given if isinstance(given, str) else list(given)
        raise ValueError(f"{name}={shown!r} must be a number or a list of numbers")
    if len(value) != count:
        raise ValueError(f"{name}={list(value)} has {len(value)} values for {count} {of}: give one number, or {count}")
    return list(value)


def validate_choice(name: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is none of {', '.join(map(str, choices))}")


def validate_lists(**lists: object) -> None:
    """Refuse a single number where there may be several, by its name."""
    for name, value in lists.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"{name}={value!r} must be a list of numbers, e.g. [{value}]")


def validate_widths(**widths: Sequence[float]) -> None:
    """Refuse what is no count of one or more, or more than any layer can have, by its name."""
    for name, values in widths.items():
        if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values):
            raise ValueError(f"{name} must be 1 or more, got {list(values)}")
        if max(values, default=1) > MOST_WIDE:
            raise ValueError(f"{name} must be {MOST_WIDE:,} at most, got {list(values)}")


def validate_rates(**rates: Sequence[float]) -> None:
    """Refuse what is no share to be dropped, by its name."""
    for name, values in rates.items():
        if not all(is_number(value) and 0 <= value < 1 for value in values):
            raise ValueError(f"{name} must be from 0 to below 1, got {list(values)}")


def too_small(layer: str, size: Sequence[int], why: str, image_size: Sequence[int], way_out: str) -> ValueError:
    """Return the error of all networks for images that a layer can make nothing of."""
    return ValueError(
        f"{layer} gets {size[0]}x{size[1]} pixels and {why}. Take larger images "
        f"(data.image_size={list(image_size)} now) or {way_out}"
    )
