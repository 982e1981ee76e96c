"""Hand-made filters that a first convolution may start with: edges, points, textures.

None of them answers to a flat area: each sums to zero.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.networks.initializers import Start

COMPASS = (0, 90, 180, 270, 45, 135, 225, 315)  # degrees; the first few are spread out too
ORIENTATIONS = (0, 90, 45, 135, 22.5, 112.5, 67.5, 157.5)  # of a wave, which is the same turned by 180
PHASES = (90, 270, 0, 180)  # edges of both signs, then bars of both signs


def filter_bank(name: str, side: int) -> Tensor:
    """Return the distinct filters of a bank, those that differ most first.

    | name | filters |
    | --- | --- |
    | sobel | first derivative, smoothed by (1, 2, 1) across, in eight directions (Sobel and Feldman 1968) |
    | prewitt | the same, smoothed by (1, 1, 1) (Prewitt 1970) |
    | laplace | second derivative over four and over eight neighbours, in both signs |
    | gabor | a wave under a Gaussian in eight orientations and four phases (Gabor 1946, Daugman 1985) |

    Sobel, Prewitt and Laplace of larger sides are the 3x3 filters smoothed by a binomial filter; Gabor's wave is as
    long as the side and its Gaussian's standard deviation a quarter of it.

    Args:
        name: One of `BANKS`.
        side: Height and width, pixels: odd, 3 or more.

    Returns:
        `(filters, side, side)`, each with mean 0 and mean square 1.

    Raises:
        ValueError: If there is no such bank or the side is even or below 3.

    Example:
        >>> filter_bank("sobel", 3)[0] / filter_bank("sobel", 3).max()
        tensor([[-0.5000,  0.0000,  0.5000],
                [-1.0000,  0.0000,  1.0000],
                [-0.5000,  0.0000,  0.5000]])
    """
    if name not in BANKS:
        raise ValueError(f"first_layer={name!r} is none of null, {', '.join(BANKS)}")
    if side < 3 or side % 2 == 0:
        raise ValueError(
            f"first_layer={name} needs a first convolution with an odd side of 3 pixels or more, and it has "
            f"{side}x{side}. Take kernel_size=3, or first_layer=null"
        )
    bank = BANKS[name](side)
    bank = bank - bank.mean(dim=(1, 2), keepdim=True)
    return (bank / bank.square().mean(dim=(1, 2), keepdim=True).sqrt()).float()


def start_by_hand(layer: nn.Conv2d, name: str, std: float) -> int:
    """Put bank `name` into the first filters of `layer`, the same on each of its input channels.

    Each gets the standard deviation `std`; filters that are left over stay as they are.

    Returns:
        How many filters were put in.

    Raises:
        ValueError: See `filter_bank`.
    """
    bank = filter_bank(name, layer.kernel_size[0])[: layer.out_channels]
    with torch.no_grad():
        layer.weight[: len(bank)] = bank[:, None] * std
    return len(bank)


def prepare_first_layer(
    network: nn.Module, name: str, filled: dict[str, Start], first_layer: str | None, freeze: bool
) -> None:
    """Give the first convolution of `network` a hand-made bank, and take it out of the training if asked.

    A frozen layer has no gradients, so an optimizer passes it over, weight decay included.

    Args:
        network: Already initialised.
        name: Of its first convolution.
        filled: As `initialize` gave it; the bank is noted there.
        first_layer: Name of a bank; None leaves the layer as it is.
        freeze: Whether its kernels and biases stay as they are now.

    Raises:
        ValueError: See `filter_bank`.
    """
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    if first_layer is not None:
        initializer, std = filled[name]
        by_hand = start_by_hand(layer, first_layer, std)
        filled[name] = Start(first_layer if by_hand == layer.out_channels else f"{first_layer}, {initializer}", std)
    if freeze:
        layer.requires_grad_(False)


def _derivatives(across: Sequence[float], side: int) -> Tensor:
    to_the_right = torch.outer(torch.tensor(across, dtype=torch.float64), torch.tensor([-1.0, 0, 1]).double())
    smoothed = _smoothed(to_the_right, side)
    # a first derivative in any direction is a sum of two (Freeman and Adelson 1991)
    return torch.stack(
        [math.cos(math.radians(angle)) * smoothed - math.sin(math.radians(angle)) * smoothed.T for angle in COMPASS]
    )


def _laplacians(side: int) -> Tensor:
    four = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
    eight = torch.tensor([[1.0, 1, 1], [1, -8, 1], [1, 1, 1]], dtype=torch.float64)
    return torch.stack([_smoothed(sign * kernel, side) for kernel in (four, eight) for sign in (-1, 1)])


def _gabors(side: int) -> Tensor:
    offsets = torch.arange(side, dtype=torch.float64) - side // 2
    down, right = torch.meshgrid(offsets, offsets, indexing="ij")
    hull = torch.exp(-(down.square() + right.square()) / (2 * (side / 4) ** 2))
    waves = []
    for phase in PHASES:
        for orientation in ORIENTATIONS:
            angle = math.radians(orientation)
            along = right * math.cos(angle) - down * math.sin(angle)
            waves.append(hull * torch.cos(2 * math.pi * along / side + math.radians(phase)))
    return torch.stack(waves)


def _smoothed(kernel: Tensor, side: int) -> Tensor:
    """Return a 3x3 kernel convolved with the binomial kernel that makes it `side` large."""
    size = side - 2
    row = torch.tensor([math.comb(size - 1, k) for k in range(size)], dtype=torch.float64)
    binomial = torch.outer(row, row)
    return F.conv2d(kernel[None, None], binomial[None, None], padding=size - 1)[0, 0]  # symmetric: no flip is needed


BANKS: dict[str, Callable[[int], Tensor]] = {
    "sobel": lambda side: _derivatives((1, 2, 1), side),
    "prewitt": lambda side: _derivatives((1, 1, 1), side),
    "laplace": _laplacians,
    "gabor": _gabors,
}
