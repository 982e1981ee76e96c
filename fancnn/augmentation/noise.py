"""Transforms of pixels beside one another: noise, blur, erasing. Each takes and gives contiguous images."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fancnn.augmentation.random_params import chosen, occasional, uniform, validate_ordered, validate_range


@dataclass(frozen=True)
class Noise:
    """Add normal noise, the same to red, green and blue, so that grey images stay grey.

    Assumes a sensor noisier by so much, and that no defect is as fine and as faint as the noise.

    Args:
        std: Standard deviation, 1 being white, from 0 to 0.5.
        probability: Of each image to be changed.
    """

    std: float = 0.02
    probability: float = 0.5

    def __post_init__(self) -> None:
        validate_range(0, 0.5, std=self.std)
        validate_range(probability=self.probability)

    def transform_pixels(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        std = chosen(batch, self.probability, images.device).to(images.dtype) * self.std
        noise = torch.randn(batch, 1, height, width, dtype=images.dtype, device=images.device)
        return images + noise.mul_(std.view(-1, 1, 1, 1))


@dataclass(frozen=True)
class Blur:
    """A Gaussian of between half and all of `sigma`, cut off at three; beyond the edges the outermost pixel goes on.

    Assumes a focus that varies by so much, and that a defect outlasts it: a hairline may not.

    Args:
        sigma: The greatest, in pixels of the network's image, above 0 to 3; each image draws its own.
        probability: Of each image to be blurred.
    """

    sigma: float = 0.8
    probability: float = 0.5

    def __post_init__(self) -> None:
        validate_range(0.01, 3, sigma=self.sigma)
        validate_range(probability=self.probability)

    def transform_pixels(self, images: Tensor) -> Tensor:
        sigmas = uniform(len(images), self.sigma / 2, self.sigma, images.device)
        return gaussian_blur(images, occasional(sigmas, 0.0, self.probability), math.ceil(3 * self.sigma))


@dataclass(frozen=True)
class RandomErasing:
    """Cover a rectangle, up to twice as long as wide, with the image's mean color (Zhong et al. 2020).

    Assumes that what decides can be seen from the rest of the image. A small defect under the rectangle is gone,
    and the label then wrong: keep the area small where defects are.

    Args:
        least_share: Of the image's area, above 0.
        most_share: Of the image's area, to 0.5.
        probability: Of each image to lose a rectangle.
    """

    least_share: float = 0.02
    most_share: float = 0.1
    probability: float = 0.25

    def __post_init__(self) -> None:
        validate_range(0.001, 0.5, least_share=self.least_share, most_share=self.most_share)
        validate_ordered("share", self.least_share, self.most_share)
        validate_range(probability=self.probability)

    def transform_pixels(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        shares = uniform(batch, self.least_share, self.most_share, images.device)
        ratios = uniform(batch, -math.log(2), math.log(2), images.device).exp()
        top, bottom = _anywhere((shares * ratios).sqrt(), height)
        left, right = _anywhere((shares / ratios).sqrt(), width)
        inside = rectangles(top, bottom, left, right, (height, width))
        inside &= chosen(batch, self.probability, images.device).view(-1, 1, 1, 1)
        return torch.where(inside, images.mean((2, 3), keepdim=True), images)


def gaussian_blur(images: Tensor, sigmas: Tensor, radius: int) -> Tensor:
    """Blur images `(batch, channels, h, w)` by `(batch,)` sigmas in pixels; 0 leaves an image bit for bit as it is."""
    batch, channels, height, width = images.shape
    steps = torch.arange(-radius, radius + 1, device=images.device)
    # a sigma this small leaves the middle weight alone: exp(-5000) is 0
    weights = (-0.5 * (steps / sigmas.clamp(min=0.01)[:, None]) ** 2).exp().to(images.dtype)
    kernels = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = images.reshape(1, batch * channels, height, width)
    along = ((kernels[:, None, None, :], (radius, radius, 0, 0)), (kernels[:, None, :, None], (0, 0, radius, radius)))
    for weight, padding in along:  # a Gaussian of two directions is one of each
        planes = F.conv2d(F.pad(planes, padding, mode="replicate"), weight, groups=batch * channels)
    return planes.view(images.shape)


def rectangles(top: Tensor, bottom: Tensor, left: Tensor, right: Tensor, size: tuple[int, int]) -> Tensor:
    """Return `(n, 1, height, width)` booleans, true inside the rectangles with these `(n,)` edges.

    Edges are pixels; the bottom row and the right column are outside.

    Example:
        >>> top, bottom, left, right = torch.tensor([[0], [1], [1], [3]])
        >>> rectangles(top, bottom, left, right, (2, 4))[0, 0].int().tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    rows = _between(top, bottom, size[0])[:, None, :, None]
    columns = _between(left, right, size[1])[:, None, None, :]
    return rows & columns


def _between(first: Tensor, last: Tensor, side: int) -> Tensor:
    places = torch.arange(side, device=first.device)
    return (places >= first[:, None]) & (places < last[:, None])


def _anywhere(shares: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return where intervals of `(n,)` shares of a side begin and end: whole pixels, at least one, wholly inside."""
    lengths = (shares * side).round().clamp(1, side)
    first = (torch.rand(len(shares), device=shares.device) * (side - lengths + 1)).floor()
    return first, first + lengths
