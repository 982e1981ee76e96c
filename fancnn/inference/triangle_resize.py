"""The one resize as plain arithmetic that every runtime does alike: matrix products and a rounding.

Runtimes disagree on their own resize (OpenVINO passes over `antialias`), and on nothing here. The weights come from the
size of the image while the file runs, so that any size can come. An output looks at few inputs, so the outputs go in
blocks, each with the window of inputs that it looks at: a product with all inputs would mostly multiply by 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fancnn.images.preprocess import GREY_LEVELS, Preprocess

Length = int | torch.SymInt  # in a graph that is made for images of any size, it is computed with

BLOCK = 8  # outputs that share a window: more of them multiply more zeros, fewer copy more inputs twice


class TriangleResize(nn.Module):
    r"""What `Preprocess.fit` computes: a triangle filter with antialias in float32, rounded to whole grey levels.

    Pixel i of the output looks at the input around c = (i + 1/2) s, with s the size of the input over that of the
    output. Pixel j there has the weight max(0, 1 - |j + 1/2 - c| / max(s, 1)), over the sum of all such. These are
    torch's formulas, in its order of operations; only its last bit may differ, so that a value halfway between two
    grey levels may be rounded to the other one.

    Args:
        preprocess: Whose resize it is: `image_size`, `resize`, `reduce` and `background`.

    Shape:
        - Input: `(batch, any height, any width, 3)`, uint8, RGB.
        - Output: `(batch, 3, *image_size)`, float32: whole numbers from 0 to 255.

    Example:
        >>> TriangleResize(Preprocess((2, 2)))(torch.full((1, 9, 7, 3), 200, dtype=torch.uint8)).flatten().unique()
        tensor([200.])
    """

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.size, self.pads = preprocess.image_size, preprocess.resize == "pad"
        self.reduce = preprocess.reduce
        self.level = float(GREY_LEVELS[preprocess.background])

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[1:3]
        inner_height, inner_width = self._inner_size(images)
        least_height, least_width = self._least_inner_size(height, width)
        rows = _filter(height, self.size[0], inner_height, least_height)
        columns = _filter(width, self.size[1], inner_width, least_width)
        # (batch, 3, height, width) in two steps, and the reshapes keep them two: in one it takes nine times as long
        planes = images.reshape(-1, height * width, 3).transpose(1, 2).reshape(-1, 3, height, width)
        exact = []
        for plane in planes.chunk(3, dim=1):  # one after the other: of one alone are the windows in memory
            narrow = _resize(plane.transpose(2, 3), columns)  # (batch, 1, out width, height): first as torch does
            exact.append(_resize(narrow.transpose(2, 3), rows))
        levels = torch.cat(exact, 1).round().clamp(0, 255)  # half to even
        if not self.pads:
            return levels
        return torch.where(rows.filled[:, None] & columns.filled, levels, self.level)

    def _inner_size(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return height and width of the image in the output, as `Preprocess.place` does, by whole numbers alone."""
        out = [torch.full((), side, dtype=torch.int64) for side in self.size]
        if not self.pads:
            return out[0], out[1]
        height, width = (torch.full((), images.shape[place], dtype=torch.int64) for place in (1, 2))
        wide = out[0] * width >= out[1] * height  # the width is what limits it
        inner_height = torch.where(wide, _half_to_even(height * self.size[1], width), out[0])
        inner_width = torch.where(wide, out[1], _half_to_even(width * self.size[0], height))
        if self.reduce is not None:
            reduced = [_half_to_even(side, torch.full_like(side, self.reduce)).clamp(min=1) for side in (height, width)]
            before = (height == out[0]) & (width == out[1])  # one of the size of the input was reduced before
            fits = (reduced[0] <= out[0]) & (reduced[1] <= out[1]) & ~before
            inner_height = torch.where(fits, reduced[0], inner_height)
            inner_width = torch.where(fits, reduced[1], inner_width)
        return inner_height.clamp(1, self.size[0]), inner_width.clamp(1, self.size[1])

    def _least_inner_size(self, height: Length, width: Length) -> tuple[Length, Length]:
        """Return what the inner height and width are at least.

        Lengths inside a graph can come from the size of the images, and not from what a tensor holds.
        """
        if not self.pads:
            return self.size
        least: list[Length] = [
            _rounded_at_least(height * self.size[1], width),
            _rounded_at_least(width * self.size[0], height),
        ]
        if self.reduce is not None:
            reduced = [_rounded_at_least(side, self.reduce) for side in (height, width)]
            least = [torch.sym_min(*sides) for sides in zip(least, reduced, strict=True)]
        return torch.sym_min(least[0], self.size[0]), torch.sym_min(least[1], self.size[1])


def _rounded_at_least(numerator: Length, denominator: Length) -> Length:
    """Return a whole number, 1 or more, that the rounded ratio of two positive ones is not below."""
    return torch.sym_max((2 * numerator - denominator) // (2 * denominator), 1)


def _half_to_even(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the whole number nearest to a ratio of positive ones, exactly."""
    whole = torch.div(numerator, denominator, rounding_mode="floor")
    twice = 2 * (numerator - whole * denominator)
    odd = whole - 2 * torch.div(whole, 2, rounding_mode="floor")
    up = (twice > denominator) | ((twice == denominator) & (odd == 1))
    return whole + up.to(torch.int64)


class _Filter(NamedTuple):
    """How one axis is resized.

    Attributes:
        windows: `(blocks, length)`, the inputs that each block of outputs looks at; beyond the edges the outermost.
        weights: `(blocks, block, length)`, float32, of these for each output.
        filled: `(out,)`, which outputs the image fills.
    """

    windows: Tensor
    weights: Tensor
    filled: Tensor


def _filter(size: Length, out: int, inner: Tensor, least: Length) -> _Filter:
    """Return the filter from `size` to `inner`, in the middle of `out`; `inner` is at least `least`."""
    block = min(BLOCK, out)
    blocks = -(-out // block)
    places = torch.arange(blocks * block, dtype=torch.int64) - torch.div(out - inner, 2, rounding_mode="floor")
    inside = (places >= 0) & (places < inner)
    one = torch.ones(())
    scale = torch.full((), size, dtype=torch.int64).to(torch.float32) / inner.to(torch.float32)
    sharpness = torch.where(scale >= 1, one / scale, one)  # no reciprocal: some runtimes approximate it
    centres = (scale * (places.to(torch.float32) + 0.5)).reshape(blocks, block, 1)

    starts = (centres[:, 0] - torch.maximum(scale, one)).floor().to(torch.int64) - 1  # (blocks, 1)
    length = (block - 1) * size // least + 2 * (size // least) + 6
    windows = starts + torch.arange(length, dtype=torch.int64)
    exists = ((windows >= 0) & (windows < size)).to(torch.float32)
    distances = (windows.to(torch.float32)[:, None] - centres + 0.5) * sharpness
    raw = (1 - distances.abs()).clamp(min=0) * exists[:, None]
    # one after the other, as torch adds them: a sum in another order has other last bits
    total = raw.cumsum(2)[:, :, -1:]
    weights = raw / total.clamp(min=1e-12)  # outside, no weight is above 0: a sum of 0 must not be divided by
    return _Filter(windows.clamp(0, size - 1), weights, inside[:out])


def _resize(plane: Tensor, of: _Filter) -> Tensor:
    """Resize the third axis of `(batch, 1, size, last)` by a filter: `(batch, 1, out, last)`, float32."""
    blocks, length = of.windows.shape
    windows = plane.index_select(2, of.windows.flatten()).to(torch.float32)
    resized = of.weights @ windows.reshape(-1, 1, blocks, length, plane.shape[3])
    return resized.reshape(-1, 1, blocks * of.weights.shape[1], plane.shape[3])[:, :, : of.filled.shape[0]]
