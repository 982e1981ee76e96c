"""The layers of a network that keep places apart, and what they give."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.networks.summary import facts

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
ACTIVATIONS = (
    *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid),
    *(nn.ReLU6, nn.Hardswish, nn.PReLU),
)
NORMS = (nn.BatchNorm2d, nn.GroupNorm)


@dataclass(frozen=True)
class MapLayer:
    """A layer that gives maps; `step` is `convolution`, `pooling`, `activation` or `norm`."""

    name: str
    kind: str
    step: str
    channels: int
    height: int
    width: int


def map_layers(network: nn.Module, image_size: Sequence[int]) -> list[MapLayer]:
    """Return the layers that give `(channels, height, width)` with more than one place, in the order they are done.

    Layers that have channels on the last axis, as some of timm's, are left out: their first axis is not as long as
    the convolution before them has channels.

    Args:
        network: Takes `(batch, 3, height, width)`.
        image_size: Height and width, pixels.
    """
    modules = dict(network.named_modules())
    kept: list[MapLayer] = []
    channels = 0
    for layer in facts(network, image_size).layers:
        step = _step(modules[layer.name])
        if not step or len(layer.output) != 3 or layer.output[1] * layer.output[2] == 1:
            continue
        if step == "convolution":
            channels = layer.output[0]
        elif layer.output[0] != channels:
            continue
        if layer.name not in {known.name for known in kept}:
            kept.append(MapLayer(layer.name, layer.kind, step, *layer.output))
    return kept


def chosen_layer(layers: Sequence[MapLayer], name: str | None = None) -> MapLayer:
    """Return the layer whose maps are explained: the one named, or the last one that keeps places apart.

    The last convolution comes with the norms, activations and pools right after it, as the feature maps that the rest
    of the network reads.

    Raises:
        UserError: If there is none, or none of that name.
    """
    if not layers:
        raise UserError("the network has no layer that keeps places apart: no heat map can be made of it")
    if name is None:
        return layers[-1]
    layer_of_name = next((layer for layer in layers if layer.name == name), None)
    if layer_of_name is None:
        convolutions = [layer.name for layer in layers if layer.step == "convolution"]
        raise UserError(f"layer={name!r} is no layer with feature maps. Convolutions: {', '.join(convolutions)}")
    return layer_of_name


def feature_maps(
    network: nn.Module, names: Iterable[str], forward: Callable[[], object], *, inputs: bool = False
) -> dict[str, Tensor]:
    """Return what the named layers give while `forward` runs `network`, each the first time that it is called.

    Args:
        network: That has them.
        names: Of layers.
        forward: Runs it once.
        inputs: What they get instead.

    Returns:
        By name `(batch, channels, height, width)`, with gradients where `forward` has them.
    """
    caught: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, got: tuple[Tensor, ...], output: Tensor | None = None) -> None:
            values = got[0] if output is None else output
            caught.setdefault(name, values.clone())  # a copy: the next layer may work in place

        return hook

    layers = {name: network.get_submodule(name) for name in names}
    hooks = [
        layer.register_forward_pre_hook(keep(name)) if inputs else layer.register_forward_hook(keep(name))
        for name, layer in layers.items()
    ]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return caught


def peaks(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the greatest value of each map and where it is.

    Args:
        maps: `(batch, channels, height, width)`.

    Returns:
        Values `(batch, channels)`, and places `(batch, channels, 2)`: down and right, the middle of the unit, as shares
        of height and width in (0, 1).

    Example:
        >>> peaks(torch.tensor([[[[0.0, 0.0], [0.0, 3.0]]]]))
        (tensor([[3.]]), tensor([[[0.7500, 0.7500]]]))
    """
    height, width = maps.shape[-2:]
    values, index = maps.flatten(2).max(-1)
    places = torch.stack([(index // width + 0.5) / height, (index % width + 0.5) / width], dim=-1)
    return values, places


def discriminative_channels(values: Tensor, labels: Tensor, count: int) -> list[int]:
    """Return the filters whose peaks differ most between NG and GO: difference of means over standard deviation.

    Args:
        values: `(images, channels)`, as `peaks` gives them.
        labels: `(images,)`, 0 GO and 1 NG. Of one kind alone: the filters that vary most.
        count: How many at most.

    Example:
        >>> values = torch.tensor([[0.0, 1.0], [0.1, 0.0], [1.0, 0.9], [1.1, 0.1]])
        >>> discriminative_channels(values, torch.tensor([0, 0, 1, 1]), 1)
        [0]
    """
    spread = values.std(0, correction=0)
    if 0 < int(labels.sum()) < len(labels):
        distance = (values[labels == 1].mean(0) - values[labels == 0].mean(0)).abs()
        spread = torch.where(spread > 0, distance / spread.clamp(min=1e-12), torch.zeros_like(spread))
    return [int(index) for index in spread.argsort(descending=True, stable=True)[:count]]


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Return name and layer of the first convolution if it reads colours; None where there is no such layer."""
    pairs: Mapping[str, nn.Module] = dict(network.named_modules())
    name, layer = next(((n, m) for n, m in pairs.items() if isinstance(m, nn.Conv2d)), ("", None))
    return (name, layer) if isinstance(layer, nn.Conv2d) and layer.weight.shape[1] == 3 else None


def _step(module: nn.Module) -> str:
    kinds = {nn.Conv2d: "convolution", POOLS: "pooling", ACTIVATIONS: "activation", NORMS: "norm"}
    return next((step for kind, step in kinds.items() if isinstance(module, kind)), "")  # type: ignore[arg-type]
