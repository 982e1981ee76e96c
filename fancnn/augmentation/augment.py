"""All transforms of a training, on whole batches."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fancnn.augmentation.color import apply_color_matrices, compose_color_matrices
from fancnn.augmentation.grid_sampling import Border, grid_sample_affine, permute_pixels
from fancnn.settings.validation import validate_border

COVERED = 0.3  # a pixel that has been moved belongs to a mask that covers it by more


@runtime_checkable
class GeometricTransform(Protocol):
    """Gives `(count, 3, 3)` affine matrices, see `grid_sampling`; `exact` ones only flip and turn by quarters."""

    exact: ClassVar[bool]

    def matrices(self, count: int, size: tuple[int, int], device: torch.device) -> Tensor: ...


@runtime_checkable
class ColorTransform(Protocol):
    """Gives `(count, 3, 4)` affine matrices of (red, green, blue) for images of `(count, 3)` mean colors."""

    def color_matrices(self, means: Tensor) -> Tensor: ...


@runtime_checkable
class NoiseTransform(Protocol):
    """Takes and gives contiguous `(batch, 3, height, width)` images, not clamped."""

    def transform_pixels(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class MixingTransform(Protocol):
    """Takes and gives contiguous images and their labels."""

    def mix(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]: ...


class Augment(nn.Module):
    r"""Each training image a little different each time it is seen; nothing at all while not training.

    Geometric transforms first, then color, then noise, then mixing, and those of a kind in the order given. The
    affine matrices of all geometric transforms are one, and pixels are read once; those of all color transforms are
    one, applied once; the result is clamped to [0, 1].
    Everything is drawn for each image from torch's global generator of the images' device, so that the
    generator's state decides all. There are no weights.

    Args:
        transforms: Those of this package, or others with the methods of one of the protocols above.
        border: What is seen beyond the edges of images that are moved: `reflection`, `edge` (the outermost pixel
            goes on) or a grey level from 0 to 1.

    Shape:
        - Input: `(batch, 3, height, width)` floats in [0, 1], and `(batch,)` float labels or `(batch, k)` shares.
        - Output: the same, images channels last in memory. Labels are shares of NG where images were mixed.

    Raises:
        ValueError: If a transform is none, or `border` is none of those.

    Example:
        >>> from fancnn.augmentation import Brightness, HorizontalFlip
        >>> augment = Augment([HorizontalFlip(), Brightness(0.1)])
        >>> images, labels = augment(torch.rand(4, 3, 80, 80), torch.tensor([0.0, 1.0, 0.0, 1.0]))
        >>> images.shape, labels.tolist()
        (torch.Size([4, 3, 80, 80]), [0.0, 1.0, 0.0, 1.0])
    """

    def __init__(self, transforms: Sequence[Any], border: Border = "reflection") -> None:
        super().__init__()
        validate_border(border)
        for item in transforms:
            if not isinstance(item, GeometricTransform | ColorTransform | NoiseTransform | MixingTransform):
                kind = type(item).__name__
                raise ValueError(f"transforms: {kind} is none. Expected those of fancnn.augmentation: Translate, ...")
        self.border: Border = border
        self.geometric = [item for item in transforms if isinstance(item, GeometricTransform)]
        self.color = [item for item in transforms if isinstance(item, ColorTransform)]
        self.noise = [item for item in transforms if isinstance(item, NoiseTransform)]
        self.mixing = [item for item in transforms if isinstance(item, MixingTransform)]

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        pixels, labels, _ = self.with_masks(images, labels, None)
        return pixels, labels

    @torch.no_grad()
    def with_masks(self, images: Tensor, labels: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return, as `forward`, images and labels, and masks that were moved along with their images.

        Args:
            images: `(batch, 3, height, width)` floats in [0, 1].
            labels: `(batch,)`, or shares `(batch, k)`.
            masks: `(batch, height, width)` booleans, or None. Where images are mixed they are of the first of each.
        """
        if not self.training:
            return images, labels, masks
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 has 256 coordinates between 128 and 256
            if masks is None:
                moved = self._apply_geometric(images)
            else:
                both = self._apply_geometric(torch.cat([images, masks[:, None].to(images.dtype)], 1))
                moved, masks = both[:, :3].contiguous(), both[:, 3] > COVERED
            pixels = self._apply_color(moved)
            for noise in self.noise:
                pixels = noise.transform_pixels(pixels)
            for mixing in self.mixing:
                pixels, labels = mixing.mix(pixels, labels)
        # one pass clamps and brings them into the order that convolutions are fastest in
        result = torch.empty_like(pixels, memory_format=torch.channels_last)
        return torch.clamp(pixels, 0, 1, out=result), labels, masks

    def _apply_geometric(self, images: Tensor) -> Tensor:
        if not self.geometric:
            return images.contiguous()
        size = (images.shape[2], images.shape[3])
        made = [item.matrices(len(images), size, images.device) for item in self.geometric]
        matrices = made[0]
        for later in made[1:]:  # matrices lead back: what was done last is undone first
            matrices = matrices @ later
        if all(item.exact for item in self.geometric):
            return permute_pixels(images, matrices)
        return grid_sample_affine(images, matrices, self.border)

    def _apply_color(self, images: Tensor) -> Tensor:
        if not self.color:
            return images
        means = images.mean((2, 3))
        matrices = self.color[0].color_matrices(means)
        for item in self.color[1:]:
            now = (matrices[:, :, :3] @ means[:, :, None] + matrices[:, :, 3:]).squeeze(2)
            matrices = compose_color_matrices(matrices, item.color_matrices(now))
        return apply_color_matrices(images, matrices.to(images.dtype))
