"""From a feature map back to pixels."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

LEAST_WIDTH = 16  # channels before the last convolution


class Decoder(nn.Module):
    r"""Doubles height and width, with a 3x3 convolution each time, until there are as many pixels as wanted.

    Each step is convolution, batch norm, ReLU and a repetition of each pixel (Odena et al. 2016: transposed
    convolutions leave a chequerboard), to half as many channels; a last convolution gives red, green and blue.

    Args:
        channels: Of the feature map.
        map_size: Height and width of the feature map.
        image_size: Height and width of the images, pixels.

    Shape:
        - Input: `(batch, channels, *map_size)`, float.
        - Output: `(batch, 3, *image_size)`, float; not bounded, trained towards [0, 1].

    Example:
        >>> import torch
        >>> Decoder(128, (5, 5), (80, 80))(torch.zeros(2, 128, 5, 5)).shape
        torch.Size([2, 3, 80, 80])
    """

    def __init__(self, channels: int, map_size: Sequence[int], image_size: Sequence[int]) -> None:
        super().__init__()
        ratio = max(side / small for side, small in zip(image_size, map_size, strict=True))
        self.image_size = (int(image_size[0]), int(image_size[1]))
        steps, width = [], channels
        for _ in range(max(0, round(math.log2(ratio)))):
            narrower = max(width // 2, min(width, LEAST_WIDTH))
            steps.append(_step(width, narrower))
            width = narrower
        self.steps = nn.Sequential(*steps)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        upsampled: Tensor = self.steps(features)
        if tuple(upsampled.shape[-2:]) != self.image_size:  # convolutions without padding and odd sides lose some rows
            upsampled = F.interpolate(upsampled, size=self.image_size, mode="nearest")
        pixels: Tensor = self.last(upsampled)
        return pixels


def _step(channels_in: int, channels_out: int) -> nn.Module:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU(), nn.Upsample(scale_factor=2))
