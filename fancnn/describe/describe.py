"""The story of `python -m fancnn.describe`: a network's layers and their first weights, in two tables."""

from collections.abc import Sequence

import torch
from torch import nn

from fancnn import assembly
from fancnn.decisions.backbone import Backbone
from fancnn.describe.settings import DescribeSettings
from fancnn.networks import TimmNet
from fancnn.networks.receptive_field import Field
from fancnn.networks.summary import LayerFacts, NetworkFacts, facts
from fancnn.system.console import say

LAYERS = ("layer", "", "output", "parameters", "MFLOP", "sees", "every")
STARTS = ("layer", "kernel starts as", "in theory", "measured")


def describe(settings: DescribeSettings) -> NetworkFacts:
    """Say what the network is made of.

    Raises:
        UserError: If the configuration describes no network, or the images are too small for it.
    """
    height, width = settings.data.image_size
    network = network_of(settings)
    # of a network inside another the inner names say enough
    inner = network.network if isinstance(network, TimmNet) else network
    network_facts = facts(inner, (height, width))
    name = " ".join(filter(None, (type(network).__name__, settings.model.network.get("name"))))
    say(f"{name} for images of {height}x{width}\n")
    backbone: Backbone | None = getattr(network, "backbone", None)
    if backbone is not None:
        say(f"weights: {backbone.in_words()}\n")
    _print_rows(LAYERS, [_layer_row(layer) for layer in network_facts.layers], left=2)
    say("\nMFLOP   millions of multiplications and additions, for one image")
    say("sees    pixels of the image, a side, that a unit depends on")
    say("every   pixels from one unit to the next\n")
    _print_rows(STARTS, [_start_row(layer) for layer in network_facts.layers if layer.std is not None], left=2)
    say("\nin theory, measured   standard deviation of the kernel's values\n")
    say(_totals(network_facts))
    return network_facts


def network_of(settings: DescribeSettings) -> nn.Module:
    """Return the network that is described, with the first weights of a training."""
    torch.manual_seed(settings.seed)
    return assembly.network(settings.model.network, settings.model.num_outputs)


def _totals(network_facts: NetworkFacts) -> str:
    others = network_facts.parameters - sum(layer.parameters for layer in network_facts.layers)
    parts = [f"{network_facts.frozen:,} of them frozen"] if network_facts.frozen else []
    parts += [f"{others:,} of them outside of these layers"] if others else []
    more = f" ({', '.join(parts)})" if parts else ""
    size = f"{network_facts.parameters:,} parameters{more}, {network_facts.parameters * 4 / 1e6:.1f} MB in float32"
    return f"{size}; {network_facts.flops / 1e6:,.1f} MFLOP an image"


def _layer_row(layer: LayerFacts) -> list[str]:
    return [
        layer.name,
        layer.kind,
        "x".join(map(str, layer.output)),
        f"{layer.parameters:,}" if layer.parameters else "",
        _millions(layer.flops) if layer.flops else "",
        *_field_cells(layer.field),
    ]


def _millions(flops: int) -> str:
    return f"{flops / 1e6:,.2f}" if flops >= 5e3 else "<0.01"


def _field_cells(field: Field | None) -> list[str]:
    if field is None:
        return ["?", ""]
    if field.spans is None:
        return ["all", ""]
    pixels, strides = zip(*((span.pixels, span.stride) for span in field.spans), strict=True)
    return [_pair(pixels), "" if field.flat else _pair(strides)]


def _start_row(layer: LayerFacts) -> list[str]:
    theory = ("as it comes", "") if layer.start is None else (layer.start.name, f"{layer.start.std:.4f}")
    return [layer.name, *theory, f"{layer.std:.4f}"]


def _pair(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    """Print rows under their headings, as wide as needed; the first `left` columns are words, the others numbers."""
    widths = [max(len(cells[column]) for cells in (columns, *rows)) for column in range(len(columns))]
    for cells in (columns, *rows):
        words = [f"{cell:{width}}" for cell, width in zip(cells[:left], widths[:left], strict=True)]
        numbers = [f"{cell:>{width}}" for cell, width in zip(cells[left:], widths[left:], strict=True)]
        say("  ".join([*words, *numbers]).rstrip())
