"""From an image of any size to the network's input: the same pixels in training, evaluation and on the line."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.images.letterbox import placed
from fancnn.settings.choices import Background, Normalization, Resize
from fancnn.settings.validation import validate_image_size, validate_normalisation, validate_reduce

STRIP = 2**20  # pixels of an image that are floats at once
FLOOR = 2 / 255  # of a deviation: less is noise of the camera
GREY_LEVELS: dict[str, int] = {"white": 255, "black": 0}


class Preprocess(nn.Module):
    r"""Resize to `image_size` in 8 bits, scale to [0, 1], and take off `mean` and `std`, or the lighting.

    The resize is defined once for the whole program: float32, triangle filter with antialias (what
    `torch.nn.functional.interpolate(mode="bilinear", antialias=True)` computes), then rounded to
    8 bits, half to even. An image that already has the size passes unchanged, so pixels that were
    resized before (a cache) and pixels that are resized now are the same.

    Args:
        image_size: Height and width that the network wants, pixels.
        resize: `squash` stretches the whole image to the size; `pad` keeps its shape and fills the
            rest with `background`. Neither ever crops.
        background: `white` or `black`: what `pad` fills with, and what transparent pixels show.
        mean: Subtracted from each channel after the scaling to [0, 1].
        std: Divides each channel after that.
        normalize: `none`, or in the place of `mean` and `std` those of the image itself: `image` takes each channel's
            mean from it and divides all of them by their common deviation; `local` does so in a window around each
            pixel, see `local_contrast`.
        normalize_window: Side of that window, pixels.
        reduce: With `pad`: every image is made that much smaller, 1 leaves it as it is, so that a pixel is as large on
            all of them; what is too large even so is made to fit. None makes each as large as fits.

    Shape:
        - Input: `(batch, 3, any height, any width)`, uint8, RGB.
        - Output: `(batch, 3, *image_size)`, float32, channels last in memory.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> Preprocess((80, 80))(torch.full((1, 3, 300, 200), 255, dtype=torch.uint8)).max()
        tensor(1.)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_size: Sequence[int],
        resize: str = "squash",
        background: str = "white",
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        normalize: str = "none",
        normalize_window: int = 51,
        reduce: int | None = None,
    ) -> None:
        super().__init__()
        validate_image_size(image_size)
        validate_reduce(reduce)
        self.normalize = Normalization.of("normalize", normalize).value
        validate_normalisation(mean, std, normalize, normalize_window)
        self.normalize_window = normalize_window
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.resize, self.reduce = Resize.of("resize", resize).value, reduce
        self.background = Background.of("background", background).value
        self.plain = all(value == 0 for value in mean) and all(value == 1 for value in std)
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.normalised(self.scaled(images))

    def scaled(self, images: Tensor) -> Tensor:
        """Fit 8-bit images and scale them to [0, 1]: `(batch, 3, *image_size)`, where augmentation works."""
        return in_unit_range(self.fit(images))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Subtract a mean from scaled pixels and divide by a deviation; `pixels` themselves where that changes nothing.

        Returns:
            A tensor of the shape of `pixels`. With `normalize=image` or `local` values are deviations: about -3 to 3,
            more where a small spot stands out.
        """
        if self.normalize == "image":
            apart = pixels - pixels.mean((2, 3), keepdim=True)
            return apart / apart.square().mean((1, 2, 3), keepdim=True).add(FLOOR**2).sqrt()
        if self.normalize == "local":
            return local_contrast(pixels, self.normalize_window)
        return pixels if self.plain else pixels.sub(self.mean).div_(self.std)

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments, as files keep them; see `PreprocessSettings`."""
        return {
            "image_size": list(self.image_size),
            "resize": self.resize,
            "background": self.background,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "normalize": self.normalize,
            "normalize_window": self.normalize_window,
            "reduce": self.reduce,
        }

    def fit(self, images: Tensor) -> Tensor:
        """Bring 8-bit images to `image_size`, in 8 bits: the part of the work that a cache may keep.

        Args:
            images: `(batch, 3, any height, any width)`, uint8.

        Returns:
            `(batch, 3, *image_size)`, uint8; `images` itself if it has that size.
        """
        if tuple(images.shape[-2:]) == self.image_size:
            return images
        if self.resize == "squash":
            return resized(images, self.image_size)
        top, left, height, width = self.place(*images.shape[-2:])
        canvas = images.new_full((*images.shape[:-2], *self.image_size), GREY_LEVELS[self.background])
        canvas[..., top : top + height, left : left + width] = resized(images, (height, width))
        return canvas

    def fitting_bytes(self, height: int, width: int) -> int:
        """Return how much memory `fit` takes for one image of that size, beside the image itself."""
        out_height, out_width = self.image_size
        return 12 * (min(height * width, STRIP + width) + out_width * (height + 2 * out_height))

    def place(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return where an image of that size lies in the network's input: top, left, height and width there, pixels.

        Example:
            >>> Preprocess((80, 80), resize="pad").place(200, 100)
            (0, 20, 80, 40)
        """
        if self.resize == "squash":
            return 0, 0, *self.image_size
        return placed((height, width), self.image_size, self.reduce)


def in_unit_range(images: Tensor) -> Tensor:
    """Return 8-bit images of any size as floats in [0, 1], channels last in memory."""
    # one pass makes floats in the order that convolutions are fastest in
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def local_contrast(pixels: Tensor, window: int) -> Tensor:
    """Return how far each pixel is from the mean around it, in deviations of that: lamps and exposures drop out.

    Mean and deviation are those of a box of about `window` pixels, taken of an image that is reduced eightfold or less
    and drawn out again between its values: at that size the difference is small, and the work does not grow with
    the window. The deviation is common to all channels, so that colors stay, and has a floor of two grey levels, below
    which nothing but noise is.

    Args:
        pixels: `(batch, channels, height, width)`, floats in [0, 1].
        window: Side of the box, pixels.

    Example:
        >>> lit = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64)  # a lamp on the right
        >>> bool(local_contrast(lit, 15)[..., 16:48, 16:48].abs().max() < 0.5)
        True
    """
    apart = pixels - _mean_around(pixels, window)
    spread = _mean_around(apart.square().mean(1, keepdim=True), window).add(FLOOR**2).sqrt()
    return apart / spread


def _mean_around(values: Tensor, window: int) -> Tensor:
    """Return the mean of a box around each pixel; beyond the edge the outermost pixels go on."""
    height, width = values.shape[-2:]
    step = min(8, max(window // 6, 1), height, width)
    reach = max(round(window / step) // 2, 1)
    below, right = -height % step, -width % step
    reduced = F.avg_pool2d(F.pad(values, (0, right, 0, below), mode="replicate"), step)
    around = F.avg_pool2d(F.pad(reduced, (reach,) * 4, mode="replicate"), 2 * reach + 1, stride=1)
    if step == 1:
        return around
    drawn_out = F.interpolate(around, scale_factor=float(step), mode="bilinear", align_corners=False)
    return drawn_out[..., :height, :width]


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize 8-bit images `(batch, 3, h, w)` to `size` with the one kernel of the program.

    Large ones go through it strip by strip, to the same bits: along the rows first, as the kernel itself does.
    """
    height, width = images.shape[-2:]
    step = max(STRIP // width, 1)
    if step >= height:
        exact = _interpolated(images, size)
    else:
        narrow = torch.empty((*images.shape[:-1], size[1]))
        for top in range(0, height, step):
            strip = images[..., top : top + step, :]
            narrow[..., top : top + step, :] = _interpolated(strip, (strip.shape[-2], size[1]))
        exact = _interpolated(narrow, size)
    return exact.round_().clamp_(0, 255).to(torch.uint8)


def _interpolated(images: Tensor, size: tuple[int, int]) -> Tensor:
    # torch 2.11 and 2.14 get a single column wrong on a CPU, by half the grey levels and more
    if size[1] == 1 < size[0]:
        return _interpolated(images.mT, (1, size[0])).mT
    # contiguous: memory order picks torch's kernel, and two kernels may round a tie differently
    planes = images.to(torch.float32, memory_format=torch.contiguous_format)
    return F.interpolate(planes, size=size, mode="bilinear", antialias=True, align_corners=False)
