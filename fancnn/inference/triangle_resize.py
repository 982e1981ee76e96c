"""The one resize as plain arithmetic that every runtime does alike: two matrix products and a rounding.

Runtimes disagree on their own resize (OpenVINO passes over `antialias`), and on nothing here. The weights come from the
size of the image while the file runs, so that any size can come.
"""

import torch
from torch import Tensor, nn

from fancnn.images.preprocess import GREY_LEVELS, Preprocess


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
        rows, filled_rows = _weights(height, self.size[0], inner_height)
        columns, filled_columns = _weights(width, self.size[1], inner_width)
        planes = images.permute(0, 3, 1, 2).to(torch.float32)  # (batch, 3, height, width)
        exact = rows @ (planes @ columns.T)  # along the rows first, as torch does
        levels = exact.round().clamp(0, 255)  # half to even
        if not self.pads:
            return levels
        filled = filled_rows[:, None] * filled_columns
        return levels * filled + self.level * (1 - filled)

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


def _half_to_even(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the whole number nearest to a ratio of positive ones, exactly."""
    whole = torch.div(numerator, denominator, rounding_mode="floor")
    twice = 2 * (numerator - whole * denominator)
    odd = whole - 2 * torch.div(whole, 2, rounding_mode="floor")
    up = (twice > denominator) | ((twice == denominator) & (odd == 1))
    return whole + up.to(torch.int64)


def _weights(size: int, out: int, inner: Tensor) -> tuple[Tensor, Tensor]:
    """Return the filter's weights `(out, size)` and a mask `(out,)` of which outputs it fills.

    It resizes from `size` to `inner` in the middle of `out`.
    """
    first = torch.div(out - inner, 2, rounding_mode="floor")
    places = torch.arange(out, dtype=torch.int64) - first
    inside = (places >= 0) & (places < inner)
    scale = torch.full((), size, dtype=torch.int64).to(torch.float32) / inner.to(torch.float32)
    sharpness = torch.where(scale >= 1, torch.ones(()) / scale, torch.ones(()))  # no reciprocal: some approximate it
    centres = scale * (places.to(torch.float32) + 0.5)
    distances = (torch.arange(size, dtype=torch.int64).to(torch.float32) - centres[:, None] + 0.5) * sharpness
    raw = (1 - distances.abs()).clamp(min=0)
    filled = inside.to(torch.float32)
    total = raw.cumsum(1)[:, -1:]  # one after the other, as torch adds them: a sum in another order has other last bits
    # outside, no weight is above 0: a sum of 0 must not be divided by
    return raw / total.clamp(min=1e-12) * filled[:, None], filled
