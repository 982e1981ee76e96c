"""Heat maps: how much each place of an image speaks for what a score says.

A score takes images `(batch, 3, height, width)` in [0, 1] and gives `(batch,)` numbers, each of its own image
alone. For NG it is the network's logit, for GO minus that logit: a single logit has no other class to ask for.
The attributions are those of captum (extra `[explain]`), which is imported only where a map is made.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.explain.settings import Baseline, HeatMethod
from fancnn.networks.cell_network import cell_network

Score = Callable[[Tensor], Tensor]
STEPS = 32  # points of the path that integrated gradients follow
AT_ONCE = 64  # images in a batch of captum's


def negated(score: Score) -> Score:
    """Return the score of GO, where `score` is that of NG."""
    return lambda pixels: -score(pixels)


def flat(pixels: Tensor, baseline: str) -> Tensor:
    """Return images with nothing in them, for `pixels` `(batch, 3, height, width)`: what heat maps compare with.

    Args:
        pixels: In [0, 1].
        baseline: `mean` is the mean colour of each image; `black` is 0, `white` is 1.

    Raises:
        UserError: If `baseline` is no `Baseline`.

    Example:
        >>> flat(torch.tensor([[[[0.0, 1.0]]]]), "mean")
        tensor([[[[0.5000, 0.5000]]]])
    """
    Baseline.of("baseline", baseline)
    if baseline == "mean":
        return pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels).clone()
    return torch.full_like(pixels, float(baseline == "white"))


def grad_cam(score: Score, layer: nn.Module, pixels: Tensor) -> Tensor:
    """Return Gradient-weighted class activation maps (Selvaraju et al. 2017, equations 1 and 2).

    The feature maps of `layer` are added up, each weighted by the mean gradient of the score over it, and what is
    below zero is cut off. The map is enlarged to the image's size, bilinearly: it is as coarse as the layer.

    Args:
        score: Of images.
        layer: Runs once in `score` and gives `(batch, channels, h, w)`.
        pixels: `(batch, 3, height, width)`, in [0, 1].

    Returns:
        `(batch, height, width)`, 0 and above.
    """
    coarse = _captum().LayerGradCam(score, layer).attribute(pixels, relu_attributions=True)
    return F.interpolate(coarse.detach(), size=pixels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def integrated_gradients(score: Score, pixels: Tensor, baseline: Tensor, steps: int = STEPS) -> Tensor:
    """Return gradients along the line from a baseline, times the difference (Sundararajan et al. 2017, equation 1).

    An image's values add up to what the score gains between the baseline and the image: completeness, as exactly
    as `steps` points of Gauss and Legendre's rule allow.

    Returns:
        `(batch, height, width)`: the sum over the colours; below zero where a pixel speaks against the score.
    """
    method = _captum().IntegratedGradients(score, multiply_by_inputs=True)
    attributed: Tensor = method.attribute(pixels, baselines=baseline, n_steps=steps, internal_batch_size=AT_ONCE)
    return attributed.detach().float().sum(1)


def occlusion(score: Score, pixels: Tensor, baseline: Tensor, window: int, stride: int) -> Tensor:
    """Return how far the score falls where a square is covered (Zeiler and Fergus 2014, section 4.2).

    Args:
        score: Of images.
        pixels: `(batch, 3, height, width)`, in [0, 1].
        baseline: What the square is covered with: an image of the same shape.
        window: Side of the square, pixels; at the right and lower edge what is left of it.
        stride: Pixels from one square to the next; at most `window`, so that each pixel is covered.

    Returns:
        `(batch, height, width)`: for each pixel the mean over the squares that cover it.
    """
    sides = (min(window, pixels.shape[2]), min(window, pixels.shape[3]))
    at_once = max(1, AT_ONCE // len(pixels))
    with torch.no_grad():
        attributed: Tensor = (
            _captum()
            .Occlusion(score)
            .attribute(
                pixels,
                sliding_window_shapes=(3, *sides),
                strides=(3, min(stride, sides[0]), min(stride, sides[1])),
                baselines=baseline,
                perturbations_per_eval=at_once,
            )
        )
    return attributed.float().mean(1)  # the same for the three colours, which are covered together


def cell_probabilities(score: Score, network: nn.Module, pixels: Tensor) -> Tensor:
    """Return P(NG) of each cell of a network that judges an image by its cells.

    Args:
        score: Of images; it runs `network` once.
        network: That judges by cells.
        pixels: `(batch, 3, height, width)`, in [0, 1].

    Returns:
        `(batch, height, width)`, from 0 to 1; between the middles of cells bilinear.
    """
    inputs: list[Tensor] = []
    by_cells = cell_network(network)
    assert by_cells is not None  # as `methods_of` has seen to
    with network.register_forward_pre_hook(lambda _, given: inputs.append(given[0])), torch.no_grad():
        score(pixels)
        cells = by_cells.logits_and_cells(inputs[0]).cells.float().sigmoid()
    return F.interpolate(cells[:, None], size=pixels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def heat_map(method: str, score: Score, layer: nn.Module, pixels: Tensor, baseline: str = "mean") -> Tensor:
    """Return a `HeatMethod` as heat: what speaks for the score, `(batch, height, width)`, 0 and above.

    Grad-CAM takes the maps of `layer`; `cells` takes the network itself. Squares of `occlusion` have an eighth of
    the shorter side, and move by half of that.

    Raises:
        UserError: If captum is missing, or `method` or `baseline` is unknown.
    """
    HeatMethod.of("method", method)
    if method == "cells":
        return cell_probabilities(score, layer, pixels)
    if method == "grad_cam":
        return grad_cam(score, layer, pixels)
    empty = flat(pixels, baseline)
    if method == "integrated_gradients":
        return integrated_gradients(score, pixels, empty).clamp(min=0)
    window = max(2, min(pixels.shape[-2:]) // 8)
    return occlusion(score, pixels, empty, window, max(1, window // 2)).clamp(min=0)


def layer_of(method: str, network: nn.Module, layer: str) -> nn.Module:
    """Return the module that a heat map reads: the network itself for its cells, else the layer of that name."""
    return network if method == "cells" else network.get_submodule(layer)


def methods_of(chosen: Sequence[HeatMethod] | None, network: nn.Module) -> list[HeatMethod]:
    """Return the heat maps of a network: those chosen, else all that it has or that take seconds.

    Raises:
        UserError: If the cells of a network are asked for that has none.
    """
    has_cells = cell_network(network) is not None
    if chosen is None:
        methods = [HeatMethod.grad_cam, HeatMethod.occlusion, HeatMethod.integrated_gradients]
        return [HeatMethod.cells, HeatMethod.grad_cam] if has_cells else methods
    if HeatMethod.cells in chosen and not has_cells:
        raise UserError(f"methods={[*map(str, chosen)]}: only a network as model=patches has cells. Leave cells out")
    return list(chosen)


def validate_captum() -> None:
    """Say at once how to get captum where it is missing.

    Raises:
        UserError: With the command.
    """
    _captum()


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr")
    except ImportError as error:
        raise UserError(f'heat maps need the package captum ({error}): pip install "fancnn[explain]"') from error
