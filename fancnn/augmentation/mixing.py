"""Transforms of images and labels: each image is mixed with the one before it in the batch.

The order of a batch is random already (see `fancnn.data.samplers`), so its neighbour is as good a partner as
any, and never the image itself, unless it is alone. An image keeps at least half of itself: Beta(alpha, alpha)
favours neither side, so that the mixtures are those of the papers, and no image of an epoch goes unseen. Labels
become shares of NG, `(batch,)`, or where there are several classes shares of each, `(batch, k)`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fancnn.augmentation.noise import rectangles
from fancnn.augmentation.random_params import occasional, validate_range


@dataclass(frozen=True)
class MixUp:
    """`share * image + (1 - share) * partner`, labels too (Zhang et al. 2018, mixup, equation 1).

    The share is the larger side of a draw from Beta(alpha, alpha), for each image. Assumes that between a GO and
    an NG part the network should change its mind evenly; defects become fainter, so the faintest may be lost.

    Args:
        alpha: Above 0, to 10: small, and nearly all of one image is seen; 1, and all shares are as likely.
        probability: Of each image to be mixed.
    """

    alpha: float = 0.2
    probability: float = 1.0

    def __post_init__(self) -> None:
        validate_range(0.01, 10, alpha=self.alpha)
        validate_range(probability=self.probability)

    def mix(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share = occasional(larger_share(self.alpha, len(images), images.device), 1.0, self.probability)
        return _mix(images, share), _mix(labels, share)


@dataclass(frozen=True)
class CutMix:
    """A rectangle of the partner pasted at its place; the label mixed by area (Yun et al. 2019, CutMix, section 3).

    The rectangle has the image's shape and the area 1 - share, share the larger side of a draw from Beta(alpha,
    alpha), its middle anywhere; what reaches over the edge is cut off, and not counted. Assumes that what tells the
    label is spread evenly over the image: false where one small defect decides.

    Args:
        alpha: Above 0, to 10; 1, and all areas are as likely.
        probability: Of each image to be mixed.
    """

    alpha: float = 1.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        validate_range(0.01, 10, alpha=self.alpha)
        validate_range(probability=self.probability)

    def mix(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        share = occasional(larger_share(self.alpha, len(images), images.device), 1.0, self.probability)
        side = (1 - share).sqrt()
        inside = rectangles(*_around(side, height), *_around(side, width), (height, width))
        kept = 1 - inside.float().mean((1, 2, 3))
        return torch.where(inside, images.roll(1, 0), images), _mix(labels, kept)


def larger_share(alpha: float, count: int, device: torch.device) -> Tensor:
    """Return `(count,)` numbers in [0.5, 1]: draws from Beta(alpha, alpha), or 1 less the draw where that is more."""
    # in float64: with a small alpha both gammas are often below what float32 can hold
    one, other = torch._standard_gamma(torch.full((2, count), alpha, dtype=torch.float64, device=device))
    share: Tensor = torch.maximum(one, other) / (one + other)
    return share.float()


def _mix(values: Tensor, share: Tensor) -> Tensor:
    """Mix `share` of each of `values` with the rest of the one before it; a share of 1 changes nothing, bit for bit."""
    rest = (1 - share).to(values.dtype).view(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values, values.roll(1, 0), rest)


def _around(shares: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the first and the end pixel of intervals that cover `(n,)` shares of a side, cut off outside of it.

    Their middles lie anywhere on the side.
    """
    lengths = (shares * side).round()
    first = (torch.rand(len(shares), device=shares.device) * side - lengths / 2).round()
    return first.clamp(0, side), (first + lengths).clamp(0, side)
