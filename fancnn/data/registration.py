"""Lay one small gray image over another: which turn, which piece, and how alike they are where both show something.

The turn and its shift come from the highest peak of the cross-correlation; height, width and place of the piece from
Gauss-Newton steps on the squared differences, with gain and offset fitted in each (Lucas and Kanade 1981; Baker and
Matthews 2004).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fancnn.data.fingerprints import center_crops, standardized, window

TURNS = (
    "",
    "mirrored",
    "mirrored upside down",
    "turned by 180 degrees",
    "mirrored and turned",
    "turned by 90 degrees",
    "turned by 270 degrees",
    "mirrored and turned",
)
STEPS = 6  # of Gauss and Newton, at most
FURTHEST = 0.1  # of one step, in halves of the side
AT_ONCE = 1024  # images
LEAST_COMMON = 0.7  # of the area: what has less in common is not compared


@dataclass
class Alignment:
    """How images lie over others, each a tensor of `(n,)` but `affine`, `(n, 4)`.

    Attributes:
        turn: Number in `TURNS` of what was done to the first image.
        affine: Row scale, row shift, column scale, column shift: from places of the second image to places of the
            turned first one, both from -1 to 1.
        correlation: Of the gray values where both show something; -1 where they have too little in common.
        gain: By which the first image's contrast is multiplied.
        offset: Gray levels that are added after that.
    """

    turn: Tensor
    affine: Tensor
    correlation: Tensor
    gain: Tensor
    offset: Tensor

    def __getitem__(self, chosen: Tensor) -> "Alignment":
        return Alignment(
            self.turn[chosen], self.affine[chosen], self.correlation[chosen], self.gain[chosen], self.offset[chosen]
        )

    def put(self, chosen: Tensor, other: "Alignment") -> None:
        """Replace how the `chosen` ones lie by what `other` has of them; turns stay."""
        for name in ("affine", "correlation", "gain", "offset"):
            getattr(self, name)[chosen] = getattr(other, name)


def turned(images: Tensor, turn: int) -> Tensor:
    """Return square images `(..., side, side)` turned or mirrored, as `TURNS` names it."""
    if turn & 4:
        images = images.transpose(-2, -1)
    flipped = [axis for bit, axis in ((2, -2), (1, -1)) if turn & bit]
    return images.flip(flipped) if flipped else images


def coarse_alignment(first: Tensor, second: Tensor, scales: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return turn, shift in pixels and peak of the correlation of images that are cut out of the first and the second.

    Args:
        first: `(n, side, side)` float, cut out of it by `scales`.
        second: Likewise, as they are.
        scales: `(n,)` shares of the side.

    Returns:
        `(n,)` numbers of turns, `(n, 2)` rows and columns, `(n,)` correlations.
    """
    side = first.shape[-1]
    pieces = first.clone()
    for scale in set(scales.tolist()):
        pieces[scales == scale] = center_crops(first[scales == scale], scale)
    shape = window()
    windowed, other = standardized(pieces) * shape, standardized(second) * shape
    norm = (windowed.square().sum((1, 2)) * other.square().sum((1, 2))).sqrt().clamp(min=1e-6)
    spectrum = torch.fft.rfft2(other)
    peaks, places = [], []
    for number in range(len(TURNS)):
        product = torch.fft.rfft2(turned(windowed, number)).conj() * spectrum
        peak, place = torch.fft.irfft2(product, s=(side, side)).flatten(1).max(1)
        peaks.append(peak)
        places.append(place)
    peak, turn = torch.stack(peaks).max(0)
    place = torch.stack(places).gather(0, turn[None])[0]
    shift = torch.stack([place // side, place % side], 1)
    return turn, (shift + side // 2) % side - side // 2, peak / norm


def align(first: Tensor, second: Tensor, turn: Tensor, affine: Tensor, steps: int = STEPS) -> Alignment:
    """Return how the first images, turned, lie over the second ones, from a start that is nearly right.

    Args:
        first: `(n, side, side)` float.
        second: Likewise.
        turn: `(n,)` of the first.
        affine: `(n, 4)`, see `Alignment`.
        steps: At most these; the best of all is kept.
    """
    side = first.shape[-1]
    first = torch.stack([turned(image, int(number)) for image, number in zip(first, turn, strict=True)])
    planes = torch.stack([first, *_slopes(first)], 1)  # (n, 3, side, side)
    rows, columns = _places(side)
    best = Alignment(turn, affine.clone(), *(torch.full((len(first),), value) for value in (-1.0, 1.0, 0.0)))
    for step in range(steps + 1):
        (seen, row_slope, column_slope), common = _sampled(planes, affine, rows, columns)
        fit = _fitted(seen, second, common)
        better = (fit.correlation > best.correlation) & (common.mean((1, 2)) >= LEAST_COMMON)
        best.affine[better] = affine[better]
        for name in ("correlation", "gain", "offset"):
            getattr(best, name)[better] = getattr(fit, name)[better]
        if step == steps:
            break
        toward = torch.stack([row_slope * rows, row_slope, column_slope * columns, column_slope], -1)
        affine = affine + _gauss_newton(toward * fit.gain[:, None, None, None], fit.residual, common)
    return best


def laid_over(first: Tensor, alignment: Alignment, side: int) -> tuple[Tensor, Tensor]:
    """Return the first images as they lie over the second ones, and where these show something of them.

    Args:
        first: `(n, side, side)` float.
        alignment: Of each.
        side: Pixels.

    Returns:
        `(n, side, side)` float, and as many booleans.
    """
    images = torch.stack([turned(image, int(turn)) for image, turn in zip(first, alignment.turn, strict=True)])
    rows, columns = _places(side)
    (seen,), common = _sampled(images[:, None], alignment.affine, rows, columns, mode="bicubic")
    return seen, common > 0


def definiteness(images: Tensor) -> Tensor:
    """Return how well size and place of a piece of each image could be known from it: 0 to 1, `(n,)`.

    It is the smallest eigenvalue of the normal equations over the largest; of an image that shows one straight edge, 0.

    Args:
        images: `(n, side, side)` uint8.
    """
    return torch.cat([_definiteness(block.float()) for block in torch.split(images, AT_ONCE)])


def _definiteness(images: Tensor) -> Tensor:
    rows, columns = _places(images.shape[-1])
    row_slope, column_slope = _slopes(images)
    toward = torch.stack([row_slope * rows, row_slope, column_slope * columns, column_slope], -1)
    values = torch.linalg.eigvalsh(torch.einsum("nhwi,nhwj->nij", toward, toward))
    share: Tensor = values[:, 0] / values[:, -1].clamp(min=1e-6)
    return share.clamp(min=0)


def _places(side: int) -> tuple[Tensor, Tensor]:
    """Return the row and the column of each pixel, from -1 to 1, `(side, side)` each."""
    line = torch.linspace(-1, 1, side)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return rows, columns


def _slopes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes down the rows and along the columns, gray levels a half of the side."""
    half = (images.shape[-1] - 1) / 2
    down = functional.pad((images[:, 2:] - images[:, :-2]) / 2, (0, 0, 1, 1))
    along = functional.pad((images[:, :, 2:] - images[:, :, :-2]) / 2, (1, 1))
    return down * half, along * half


@dataclass
class _Fit:
    correlation: Tensor
    gain: Tensor
    offset: Tensor
    residual: Tensor


def _sampled(
    planes: Tensor, affine: Tensor, rows: Tensor, columns: Tensor, mode: str = "bilinear"
) -> tuple[list[Tensor], Tensor]:
    row = affine[:, 0, None, None] * rows + affine[:, 1, None, None]
    column = affine[:, 2, None, None] * columns + affine[:, 3, None, None]
    seen = functional.grid_sample(planes, torch.stack([column, row], -1), mode=mode, align_corners=True)
    return list(seen.unbind(1)), ((row.abs() <= 1) & (column.abs() <= 1)).float()


def _fitted(seen: Tensor, second: Tensor, common: Tensor) -> _Fit:
    """Return gain and offset from the first to the second where both show something, and what is left."""
    area = common.sum((1, 2)).clamp(min=1)
    means = [(image * common).sum((1, 2)) / area for image in (seen, second)]
    one, other = ((image - mean[:, None, None]) * common for image, mean in zip((seen, second), means, strict=True))
    square, product = one.square().sum((1, 2)).clamp(min=1e-6), (one * other).sum((1, 2))
    gain = product / square
    correlation = product / (square * other.square().sum((1, 2))).sqrt().clamp(min=1e-6)
    return _Fit(correlation, gain, means[1] - gain * means[0], other - gain[:, None, None] * one)


def _gauss_newton(toward: Tensor, residual: Tensor, common: Tensor) -> Tensor:
    area = common.sum((1, 2)).clamp(min=1)[:, None, None, None]
    toward = toward * common[..., None]
    toward = (toward - toward.sum((1, 2), keepdim=True) / area) * common[..., None]  # the offset takes up its mean
    square = torch.einsum("nhwi,nhwj->nij", toward, toward)
    damping = torch.diag_embed(1e-3 * square.diagonal(dim1=1, dim2=2) + 1e-6)
    step: Tensor = torch.linalg.solve(square + damping, torch.einsum("nhwi,nhw->ni", toward, residual))
    return step.clamp(-FURTHEST, FURTHEST)
