"""What a network is made of: layers, sizes, parameters, operations, receptive fields and first weights.

Operations are floating-point operations (FLOPs) as `torch.utils.flop_counter` counts them: a multiplication and an
addition are two. Convolutions, matrix products and attention count; norms, activations and pools do not.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fancnn.networks.initializers import Start
from fancnn.networks.layers import MeanAndMax
from fancnn.networks.patch_net import CellPool
from fancnn.networks.receptive_field import Field, receptive_fields


@dataclass(frozen=True)
class LayerFacts:
    """One layer, each time that it is called."""

    name: str
    kind: str
    output: tuple[int, ...]  # of one image: (channels, height, width), or (features,)
    parameters: int  # counted where the layer is called first
    flops: int  # of one image; those of layers inside it are theirs
    field: Field | None  # None where it is not known
    start: Start | None  # how its kernel was filled, and the standard deviation that this gives in theory
    std: float | None  # of its kernel, measured


@dataclass(frozen=True)
class NetworkFacts:
    """A whole network; `parameters` and `flops` have those, too, that stand in no layer of the list."""

    layers: list[LayerFacts]
    parameters: int
    frozen: int
    flops: int


def facts(network: nn.Module, image_size: Sequence[int]) -> NetworkFacts:
    """Send one empty image through `network`, in evaluation mode, and write down what happens.

    Args:
        network: Takes `(batch, 3, height, width)` floats; it is left as it was.
        image_size: Height and width, pixels.

    Example:
        >>> from fancnn.networks import ConvNet
        >>> of_network = facts(ConvNet((80, 80)), (80, 80))
        >>> of_network.parameters, of_network.flops, of_network.layers[0].output
        (2673857, 66288640, (32, 78, 78))
    """
    calls, flops = _calls(network, image_size)
    fields = receptive_fields(network)
    starts: dict[str, Start] = getattr(network, "initialized", {})
    layers, times = [], dict.fromkeys((call.name for call in calls), 0)
    for one in calls:
        name, layer = one.name, one.layer
        of_layer, call = fields.get(name, []), times[name]
        times[name] += 1
        kernel = layer.weight.detach() if isinstance(layer, nn.Conv2d | nn.Linear) else None
        layers.append(
            LayerFacts(
                name=name,
                kind=_kind(layer),
                output=one.output,
                parameters=0 if call else sum(weight.numel() for weight in layer.parameters(recurse=False)),
                flops=one.flops,
                field=of_layer[call] if call < len(of_layer) else None,
                start=starts.get(name),
                std=None if kernel is None else kernel.std(correction=0).item(),
            )
        )
    weights = list(network.parameters())
    frozen = sum(weight.numel() for weight in weights if not weight.requires_grad)
    total = sum(weight.numel() for weight in weights)
    return NetworkFacts(layers, total, frozen, flops)


@dataclass(frozen=True)
class _Call:
    """A layer that was called, what it gave for one image, and what that took without the layers inside it."""

    name: str
    layer: nn.Module
    output: tuple[int, ...]
    flops: int


def _calls(network: nn.Module, image_size: Sequence[int]) -> tuple[list[_Call], int]:
    """Return the calls of layers in their order, and the FLOPs of the whole network.

    Layers are those that hold weights themselves or have no layers inside.
    """
    calls: list[_Call] = []
    counter = FlopCounterMode(display=False)
    counted = 0  # FLOPs of the calls that have ended
    begun: list[tuple[int, int]] = []  # of each layer that is under way: all FLOPs, and those counted, before it

    def begin(layer: nn.Module, inputs: Any) -> None:
        begun.append((counter.get_total_flops(), counted))

    def end(name: str, layer: nn.Module, output: Any) -> None:
        nonlocal counted
        before, counted_before = begun.pop()
        flops = counter.get_total_flops() - before - (counted - counted_before)
        counted += flops
        if isinstance(output, Tensor):
            calls.append(_Call(name, layer, tuple(output.shape[1:]), flops))

    hooks = []
    for name, layer in network.named_modules():
        if _is_layer(layer):
            hooks.append(layer.register_forward_pre_hook(begin))
            hooks.append(layer.register_forward_hook(lambda layer, _, output, name=name: end(name, layer, output)))
    first = next(chain(network.parameters(), network.buffers()))
    was_training = network.training
    try:
        with torch.no_grad(), _plain_attention(), counter:
            network.eval()(torch.zeros(1, 3, *image_size, dtype=first.dtype, device=first.device))
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)
    return calls, counter.get_total_flops()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Compute attention by matrix products: of the CPU's fused kernels torch counts nothing."""
    was_enabled = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mha.set_fastpath_enabled(was_enabled)


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, nn.Identity):
        return False
    return not list(module.children()) or any(True for _ in module.parameters(recurse=False))


def _kind(layer: nn.Module) -> str:
    """Name the kind of a layer in few words: `conv 3x3 /2`, `max pool 2x2`, `relu`."""
    if isinstance(layer, nn.Conv2d):
        stride = "" if layer.stride == (1, 1) else f" /{layer.stride[0]}"
        return f"conv {_pair(layer.kernel_size)}{stride}"
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        overlap = "" if layer.stride == layer.kernel_size else f" /{layer.stride}"
        return f"{'max' if isinstance(layer, nn.MaxPool2d) else 'mean'} pool {_pair(layer.kernel_size)}{overlap}"
    pools = {
        nn.AdaptiveAvgPool2d: "mean of all",
        nn.AdaptiveMaxPool2d: "max of all",
        MeanAndMax: "mean and max",
        CellPool: "cell pool",
    }
    names = {**pools, nn.BatchNorm2d: "batch norm", nn.Dropout2d: "drop channels"}
    if isinstance(layer, nn.GroupNorm):
        return "layer norm" if layer.num_groups == 1 else "group norm"
    return names.get(type(layer), type(layer).__name__.lower())


def _pair(value: int | tuple[int, ...]) -> str:
    return "x".join(map(str, value if isinstance(value, tuple) else (value, value)))
