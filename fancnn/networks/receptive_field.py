"""Which pixels of the image a unit of each layer can see."""

import operator
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import fx, nn

from fancnn.networks.layers import MeanAndMax
from fancnn.networks.patch_net import CellPool

POINTWISE = (
    *(nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.Identity, nn.Dropout, nn.Dropout2d),
    *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid),
)
WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


class Span(NamedTuple):
    """Along one axis: unit `i` sees pixels from `stride * i + low` to `stride * i + high`."""

    stride: int
    low: int
    high: int

    @property
    def pixels(self) -> int:
        return self.high - self.low + 1


class Field(NamedTuple):
    """What the units of a layer see of the image, down and across; None is all of it.

    Pixels that lie outside the image, in the zeros around it, count as pixels. What a norm takes from the whole
    image is not counted.
    """

    spans: tuple[Span, Span] | None
    flat: bool = False  # whether the units have no place any more, so that the next linear layer sees all of them


PIXEL, WHOLE = Field((Span(1, 0, 0), Span(1, 0, 0))), Field(None, flat=True)


def receptive_fields(network: nn.Module) -> dict[str, list[Field | None]]:
    """Return the receptive field of each layer, for each time that it is called, in that order (Araujo et al. 2019).

    Returns:
        By the name of the layer; None where it is not known: after a layer that this module does not know. Nothing
        at all for a network that cannot be traced.

    Example:
        >>> chain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
        >>> [fields[0].spans[0].pixels for fields in receptive_fields(chain).values()]
        [3, 4, 8]
    """
    try:
        graph = _Tracer().trace(network)
    except Exception:  # whatever a foreign network raises when it is run without numbers
        return {}
    fields: dict[str, list[Field | None]] = {}
    seen: dict[fx.Node, Field | None] = {}
    for node in graph.nodes:
        seen[node] = _of(node, seen, network)
        if node.op == "call_module":
            fields.setdefault(str(node.target), []).append(seen[node])
    return fields


class _Tracer(fx.Tracer):
    """Looks into no layer that `_after` knows."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, MeanAndMax | CellPool | nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def _of(node: fx.Node, seen: dict[fx.Node, Field | None], network: nn.Module) -> Field | None:
    if node.op == "placeholder":
        return PIXEL
    inputs = [seen[before] for before in node.all_input_nodes]
    if node.op == "call_module":
        return _after(network.get_submodule(str(node.target)), inputs[0])
    if node.op == "call_function" and node.target in (operator.add, torch.add):
        return _union(inputs)
    return None


def _after(layer: nn.Module, before: Field | None) -> Field | None:
    if before is None:
        return None
    if isinstance(layer, POINTWISE):
        return before
    if isinstance(layer, WINDOWED) and before.spans:
        down, across = (_windowed(layer, axis, span) for axis, span in enumerate(before.spans))
        return Field((down, across))
    if isinstance(layer, MeanAndMax | CellPool) or (
        isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and layer.output_size in (1, (1, 1))
    ):
        return WHOLE
    if isinstance(layer, nn.Flatten):
        return Field(before.spans, flat=True)
    return WHOLE if isinstance(layer, nn.Linear) and before.flat else None


def _windowed(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, axis: int, span: Span) -> Span:
    kernel, stride, padding = (_along(value, axis) for value in (layer.kernel_size, layer.stride, layer.padding))
    reach = _along(getattr(layer, "dilation", 1), axis) * (kernel - 1)
    first = -padding  # of the window, seen from the unit's place
    return Span(span.stride * stride, span.low + span.stride * first, span.high + span.stride * (first + reach))


def _along(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, tuple) else value)


def _union(fields: Iterable[Field | None]) -> Field | None:
    every = list(fields)
    spans = [field.spans for field in every if field is not None and field.spans is not None]
    if len(spans) < len(every):
        return None
    down, across = (
        Span(of_axis[0].stride, min(span.low for span in of_axis), max(span.high for span in of_axis))
        for of_axis in zip(*spans, strict=True)
    )
    return Field((down, across))
