"""Transforms of colors: each gives an affine matrix of (red, green, blue) for each image.

`Augment` applies the matrices of all at once, so that pixels are touched once and clamped once, at the end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fancnn.augmentation.random_params import occasional, uniform, validate_range

LUMA = (0.299, 0.587, 0.114)  # grey of (red, green, blue), ITU-R BT.601


@dataclass(frozen=True)
class Brightness:
    """Multiply by a factor between 1 - strength and 1 + strength, as more light or a longer exposure does.

    Assumes that light varies by so much and that no defect is a matter of brightness alone (a burn, a missing
    coat).

    Args:
        strength: From 0 to 1.
        probability: Of each image to be changed.
    """

    strength: float = 0.1
    probability: float = 1.0

    def __post_init__(self) -> None:
        validate_range(strength=self.strength, probability=self.probability)

    def color_matrices(self, means: Tensor) -> Tensor:
        factors = _factors(len(means), self.strength, self.probability, means.device)
        return gains(factors[:, None].expand(-1, 3))


@dataclass(frozen=True)
class Contrast:
    """Multiply the distance from the image's mean grey by a factor between 1 - strength and 1 + strength.

    Assumes that haze, gamma and stray light vary by so much, and that a pale defect stays one.

    Args:
        strength: From 0 to 1.
        probability: Of each image to be changed.
    """

    strength: float = 0.1
    probability: float = 1.0

    def __post_init__(self) -> None:
        validate_range(strength=self.strength, probability=self.probability)

    def color_matrices(self, means: Tensor) -> Tensor:
        return contrasts(_factors(len(means), self.strength, self.probability, means.device), means)


@dataclass(frozen=True)
class Saturation:
    """Multiply the distance from the pixel's grey by a factor between 1 - strength and 1 + strength.

    Assumes that how vivid a color is does not decide. Grey images stay as they are.

    Args:
        strength: From 0 to 1.
        probability: Of each image to be changed.
    """

    strength: float = 0.2
    probability: float = 1.0

    def __post_init__(self) -> None:
        validate_range(strength=self.strength, probability=self.probability)

    def color_matrices(self, means: Tensor) -> Tensor:
        return saturations(_factors(len(means), self.strength, self.probability, means.device))


@dataclass(frozen=True)
class ChannelGain:
    """Multiply red, green and blue by a factor each, between 1 - strength and 1 + strength: another lamp.

    Hues keep their order, none is turned into another. Assumes that no defect is a tint (rust, a burn), and gives
    grey images a tint that a grey camera never shows.

    Args:
        strength: From 0 to 1.
        probability: Of each image to be changed.
    """

    strength: float = 0.05
    probability: float = 1.0

    def __post_init__(self) -> None:
        validate_range(strength=self.strength, probability=self.probability)

    def color_matrices(self, means: Tensor) -> Tensor:
        factors = uniform(3 * len(means), 1 - self.strength, 1 + self.strength, means.device).view(-1, 3)
        return gains(occasional(factors, 1.0, self.probability))


def gains(factors: Tensor) -> Tensor:
    """Return `(n, 3, 4)` matrices: red, green and blue times `(n, 3)` factors."""
    return _with_offsets(factors.diag_embed(), factors.new_zeros(len(factors), 3))


def contrasts(factors: Tensor, means: Tensor) -> Tensor:
    """Return `(n, 3, 4)` matrices: `mean + factor * (color - mean)`, mean the grey of `(n, 3)` mean colors."""
    grey = (means * means.new_tensor(LUMA)).sum(1)
    offsets = ((1 - factors) * grey)[:, None].expand(-1, 3)
    return _with_offsets(factors[:, None].expand(-1, 3).diag_embed(), offsets)


def saturations(factors: Tensor) -> Tensor:
    """Return `(n, 3, 4)` matrices: `grey + factor * (color - grey)`, grey that of the pixel."""
    factors = factors.view(-1, 1, 1)
    to_grey = factors.new_tensor(LUMA).expand(3, 3)
    linear = factors * torch.eye(3, device=factors.device) + (1 - factors) * to_grey
    return _with_offsets(linear, factors.new_zeros(len(factors), 3))


def compose_color_matrices(first: Tensor, second: Tensor) -> Tensor:
    """Return `(n, 3, 4)` matrices that do what `first` does and then what `second` does."""
    linear, offsets = second[:, :, :3], second[:, :, 3:]
    return torch.cat([linear @ first[:, :, :3], linear @ first[:, :, 3:] + offsets], dim=2)


def apply_color_matrices(images: Tensor, colors: Tensor) -> Tensor:
    """Map the colors of contiguous images `(batch, 3, height, width)` by `(batch, 3, 4)`; nothing is clamped."""
    pixels = torch.baddbmm(colors[:, :, 3:], colors[:, :, :3], images.flatten(2))
    return pixels.view(images.shape)


def _factors(count: int, strength: float, probability: float, device: torch.device) -> Tensor:
    return occasional(uniform(count, 1 - strength, 1 + strength, device), 1.0, probability)


def _with_offsets(linear: Tensor, offsets: Tensor) -> Tensor:
    return torch.cat([linear, offsets[:, :, None]], dim=2)
