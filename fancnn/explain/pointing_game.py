"""Whether heat lies where the defect is."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 0.03  # of the longer side: the 15 pixels of Zhang et al. (2016) in an image of 500


@dataclass(frozen=True)
class PointingGameSample:
    """How the heat of one image lies to the mask of its defect.

    Attributes:
        share: Of the heat, inside the mask: 0 to 1. Of a blank map that of the mask's area, as of even heat.
        hit: Whether the hottest pixel is in the mask or within the tolerance of it (pointing game, Zhang et al. 2016).
            A blank map has no hottest pixel and does not hit.
        blank: Whether there is no heat at all.
    """

    share: float
    hit: bool
    blank: bool


@dataclass(frozen=True)
class ByChance:
    """What guessing would give on one image: the mask's share of the area, and the probability of a hit."""

    area: float  # what even heat has inside the mask
    pointing: float  # a pixel drawn at random hits
    centre: bool  # the middle of the image hits


def pointing_result(heat: Tensor, mask: Tensor) -> PointingGameSample:
    """Compare heat with the truth.

    Args:
        heat: `(height, width)`, 0 and above.
        mask: `(height, width)` bool, with at least one pixel.

    Example:
        >>> mask = torch.tensor([[True, False], [False, False]])
        >>> pointing_result(torch.tensor([[3.0, 1.0], [0.0, 0.0]]), mask)
        PointingGameSample(share=0.75, hit=True, blank=False)
    """
    total = heat.double().sum()
    if not total > 0:
        return PointingGameSample(float(mask.double().mean()), hit=False, blank=True)
    hottest = int(heat.flatten().argmax())
    return PointingGameSample(
        float(heat.double()[mask].sum() / total), bool(widened(mask).flatten()[hottest]), blank=False
    )


def by_chance(mask: Tensor) -> ByChance:
    """Return what guessing gives on the image of `mask`, `(height, width)` bool."""
    wide = widened(mask)
    middle = wide[mask.shape[0] // 2, mask.shape[1] // 2]
    return ByChance(float(mask.double().mean()), float(wide.double().mean()), bool(middle))


def widened(mask: Tensor) -> Tensor:
    """Return a mask and what is within `TOLERANCE` of it, measured along rows and columns.

    Example:
        >>> int(widened(torch.eye(50).bool()).sum()) > 50
        True
    """
    reach = round(TOLERANCE * max(mask.shape))
    side = 2 * reach + 1  # along rows, then along columns: on a megapixel the square at once takes seconds
    rows = F.max_pool2d(mask[None, None].float(), (1, side), stride=1, padding=(0, reach))
    return F.max_pool2d(rows, (side, 1), stride=1, padding=(reach, 0))[0, 0] > 0


def restored(heat: Tensor, place: tuple[int, int, int, int], size: tuple[int, int]) -> Tensor:
    """Bring heat over the network's pixels back onto the image that they came from.

    Args:
        heat: `(batch, height, width)` of the network's input.
        place: Top, left, height and width of the image in there, as `Preprocess.place` says.
        size: Height and width of the image itself.

    Returns:
        `(batch, *size)`: heat on the padding is dropped, the rest stretched bilinearly.
    """
    top, left, height, width = place
    inner = heat[:, None, top : top + height, left : left + width]
    # coarse to fine wants no antialias; fine to coarse does
    resized = F.interpolate(inner, size=size, mode="bilinear", align_corners=False, antialias=True)
    return torch.as_tensor(resized[:, 0]).clamp(min=0)
