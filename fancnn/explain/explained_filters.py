"""What an explanation shows of the layers: the first filters before and after, what excites some, maps, the logit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.explain.activation_maximization import maximised
from fancnn.explain.contributions_chart import contributions_chart
from fancnn.explain.explained_images import ActivationStats
from fancnn.explain.feature_maps import MapLayer, discriminative_channels, feature_maps, first_convolution
from fancnn.explain.filter_panels import (
    MaximizedFilter,
    feature_map_panel,
    first_filter_panels,
    maximization_panel,
    relative_changes,
)
from fancnn.images.reading import read_image
from fancnn.model import Model
from fancnn.networks.registry import network_from_dict
from fancnn.pages.figure_style import Drawing
from fancnn.pages.gallery import kind_of
from fancnn.pages.panels import Panel, Pixels

LAYERS_SHOWN = 12
IMAGES_OF_A_FILTER = 5


def first_network(metadata: CheckpointMetadata, seed: int | None = None) -> tuple[nn.Module | None, str]:
    """Return the network as it was before the first step, drawn again from the run's seed, or else why that cannot be.

    Args:
        metadata: What the checkpoint says of itself.
        seed: Another one than the run's.

    Returns:
        The network, or None and the reason.
    """
    settings = metadata.settings
    if settings["model"]["network"].get("weights") and seed is None:
        return None, "its first weights learnt elsewhere, and the run does not keep them as they were"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings["seed"] if seed is None else seed)
        return network_from_dict(metadata.network).eval(), ""


def first_filters(model: Model) -> tuple[list[Panel], dict[str, Any] | None]:
    """Return the panels of the first filters, and what `explain.json` says of them."""
    first = first_convolution(model.network)
    if first is None:
        return [], None
    name, layer = first
    fresh, missing = first_network(model.metadata)
    before = None if fresh is None else _weights(fresh.get_submodule(name))
    after = _weights(layer)
    changes = None if before is None else [round(value, 6) for value in relative_changes(before, after)]
    return first_filter_panels(name, after, before, missing), {"layer": name, "change": changes}


def maximized_filters(
    model: Model, layer: MapLayer, stats: ActivationStats, root: Path, count: int, seed: int
) -> list[Panel]:
    """Return panels of images that maximize the filters which distinguish NG from GO best."""
    if not stats.images or not count:
        return []
    labels = torch.tensor([image.label for image in stats.images])
    filters = discriminative_channels(stats.values, labels, count)
    size = model.preprocess.image_size
    made, answers = maximised(model.network, model.of_pixels, layer, filters, size, seed=seed)
    return [
        maximization_panel(
            layer.name,
            MaximizedFilter(
                index=index,
                made=_as_pixels(made[row]),
                answers=(float(answers[row, 0]), float(answers[row, 1])),
                images=_favourites(model, stats, root, index),
            ),
        )
        for row, index in enumerate(filters)
    ]


def maps(
    model: Model, layers: Sequence[MapLayer], pixels: Tensor, channels: int
) -> tuple[list[Panel], str, list[Drawing], str]:
    """Return the maps of every layer on one image `(1, 3, height, width)`, and what makes its logit.

    Returns:
        The maps, which layers are left out, the drawing of the logit, and why there is none.
    """
    shown = _spread(layers, LAYERS_SHOWN)
    last = _last_linear(model)
    given: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])) if last else None
    try:
        with torch.no_grad():
            maps_of = feature_maps(model.network, [layer.name for layer in shown], lambda: model.of_pixels(pixels))
    finally:
        if hook is not None:
            hook.remove()
    panels = [
        feature_map_panel(
            number, layer.name, layer.kind, layer.step, maps_of[layer.name][0].float().cpu().numpy(), channels
        )
        for number, layer in enumerate(shown)
    ]
    left = len(layers) - len(shown)
    note = f"{left} of {len(layers)} layers with maps are left out of the page." if left else ""
    if last is None or not given or given[0].ndim != 2:
        return panels, note, [], _why_not_added_up(model)
    weights, bias = _weights_of_logit(last)
    return panels, note, [contributions_chart(given[0][0].cpu().numpy(), weights, bias)], ""


def _favourites(
    model: Model, stats: ActivationStats, root: Path, index: int
) -> tuple[tuple[Pixels, tuple[float, float], float, str], ...]:
    """Return the images that a filter answers to most, as the network gets them."""
    order = stats.values[:, index].argsort(descending=True, stable=True)[:IMAGES_OF_A_FILTER]
    shown = []
    for row in order.tolist():
        image = stats.images[row]
        original = torch.from_numpy(read_image(root / image.path, model.preprocess.background, model.gate))
        pixels = model.preprocess.fit(original.permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
        down, right = stats.places[row, index].tolist()
        truth = kind_of(image.class_name, image.defect_type)
        shown.append((pixels, (down, right), float(stats.values[row, index]), truth))
    return tuple(shown)


def _spread(layers: Sequence[MapLayer], count: int) -> list[MapLayer]:
    """Return at most `count` layers, evenly spaced, the first and the last among them."""
    if len(layers) <= count:
        return list(layers)
    return [layers[round(place)] for place in np.linspace(0, len(layers) - 1, count)]


def _last_linear(model: Model) -> nn.Linear | None:
    """Return the layer whose outputs are the model's; None where the logit of NG is no sum over its inputs."""
    linear_layers = [layer for layer in model.network.modules() if isinstance(layer, nn.Linear)]
    return linear_layers[-1] if linear_layers and linear_layers[-1].out_features == len(model.outputs) <= 2 else None


def _weights_of_logit(last: nn.Linear) -> tuple[NDArray[np.float32], float]:
    """Return weights and bias of the logit of NG: of the one output, or of the output for NG less that for GO."""
    weights = last.weight.detach().float().cpu().numpy()
    bias = np.zeros(len(weights)) if last.bias is None else last.bias.detach().double().cpu().numpy()
    if len(weights) == 1:
        return weights[0], float(bias[0])
    return weights[1] - weights[0], float(bias[1] - bias[0])


def _why_not_added_up(model: Model) -> str:
    missing = "What the logit is added up from is not shown: "
    if model.has_types:
        return (
            f"{missing}this network has {len(model.outputs)} outputs, {', '.join(model.outputs)}, and the logit of NG "
            "is the logarithm of the sum of the exponentials of all types, less the output of GO: no single weighted "
            "sum of the values before."
        )
    return f"{missing}the network does not end in one dense layer that gives it."


def _weights(layer: nn.Module) -> NDArray[np.float32]:
    assert isinstance(layer, nn.Conv2d)
    return layer.weight.detach().float().cpu().numpy()


def _as_pixels(image: Tensor) -> Pixels:
    return image.mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
