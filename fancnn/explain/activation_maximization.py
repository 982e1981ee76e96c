"""Activation maximisation: the image that a filter answers to most (Erhan et al. 2009)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.explain.feature_maps import MapLayer, feature_maps
from fancnn.explain.heatmaps import Score

SMOOTHNESS = 0.5  # weight of the total variation beside a filter's answer, in units of its first answer's spread


def maximised(
    network: nn.Module,
    score: Score,
    layer: MapLayer,
    filters: Sequence[int],
    image_size: Sequence[int],
    *,
    steps: int = 128,
    rate: float = 0.05,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Change a grey, slightly noisy image for each filter so that the filter's map becomes large in the mean.

    Gradient ascent by Adam. A sigmoid keeps pixels in [0, 1], and total variation, what neighbours differ by, is
    kept small, since unhindered ascent ends in noise that no image has (Mahendran and Vedaldi 2015). For layers
    beyond the first, images are made at half the size and enlarged, against the same noise.

    Args:
        network: That `score` runs.
        score: Of images `(batch, 3, height, width)` in [0, 1]; only what `layer` gives on the way is used.
        layer: Gives maps. Of an activation what it gets is made large: below zero ReLU gives no gradient to climb.
        filters: Its channels.
        image_size: Height and width, pixels.
        steps: Of the ascent.
        rate: Of Adam.
        seed: Of the noise; global random state is left alone.

    Returns:
        Images `(filters, 3, height, width)`, and the mean of each filter's map on the first and on the last of its
        images, `(filters, 2)`.
    """
    grain = 1 if 2 * layer.height > image_size[0] else 2
    sides = [-(-side // grain) for side in image_size]
    noise = torch.randn(1, 3, *sides, generator=torch.Generator().manual_seed(seed))
    device = next(network.parameters()).device
    hidden = (0.1 * noise).to(device).repeat(len(filters), 1, 1, 1).requires_grad_()
    optimizer = torch.optim.Adam([hidden], lr=rate)
    rows = torch.arange(len(filters), device=device)
    channels = torch.tensor(list(filters), device=device)

    def answers_to(pixels: Tensor) -> Tensor:
        of_input = layer.step == "activation"
        return feature_maps(network, [layer.name], lambda: score(pixels), inputs=of_input)[layer.name][rows, channels]

    def images() -> Tensor:
        return F.interpolate(hidden, size=tuple(image_size), mode="bilinear", align_corners=False).sigmoid()

    with torch.enable_grad():
        start = answers_to(images()).detach()
        # a filter of a deep layer may answer a thousand times as loud as one of the first
        scale = start.std((1, 2)).clamp(min=1e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            pixels = images()
            loss = SMOOTHNESS * _variation(pixels) - answers_to(pixels).mean((1, 2)) / scale
            loss.sum().backward(inputs=[hidden])  # type: ignore[no-untyped-call]
            optimizer.step()
        made = images().detach()
        end = answers_to(made).detach()
    return made, torch.stack([start.mean((1, 2)), end.mean((1, 2))], dim=1)


def _variation(pixels: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbours, in 1/100: `(batch,)`."""
    down = F.l1_loss(pixels[:, :, 1:], pixels[:, :, :-1], reduction="none").mean((1, 2, 3))
    right = F.l1_loss(pixels[:, :, :, 1:], pixels[:, :, :, :-1], reduction="none").mean((1, 2, 3))
    return 100 * (down + right)
