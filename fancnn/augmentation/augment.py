"""All transforms of a training, on whole batches."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fancnn.augmentation.color import after, recoloured
from fancnn.augmentation.grid_sampling import Border, rearranged, sampled
from fancnn.errors import UserError
from fancnn.settings.validation import validate_border


@runtime_checkable
class Positions(Protocol):
    """Gives `(count, 3, 3)` maps of positions, see `sampling`; `exact` ones only flip and turn by quarters."""

    exact: ClassVar[bool]

    def matrices(self, count: int, size: tuple[int, int], device: torch.device) -> Tensor: ...


@runtime_checkable
class Colours(Protocol):
    """Gives `(count, 3, 4)` affine maps of colours for images of `(count, 3)` mean colours."""

    def colours(self, means: Tensor) -> Tensor: ...


@runtime_checkable
class Surface(Protocol):
    """Takes and gives contiguous `(batch, 3, height, width)` images, not clamped."""

    def retouched(self, images: Tensor) -> Tensor: ...


@runtime_checkable
class Mixing(Protocol):
    """Takes and gives contiguous images and their labels."""

    def mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]: ...


class Augment(nn.Module):
    r"""Each training image a little different each time it is seen; nothing at all while not training.

    Positions first, then colours, then surfaces, then mixing, and those of a kind in the order given. All maps of
    positions are one map, read once; all maps of colours are one, applied once; the result is clamped to [0, 1].
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
        UserError: If a transform is none, or `border` is none of those.

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
            if not isinstance(item, Positions | Colours | Surface | Mixing):
                found = type(item).__name__
                raise UserError(
                    f"augment.transforms: {found} is none. Expected those of fancnn.augmentation: Shift, ..."
                )
        self.border: Border = border
        self.positions = [item for item in transforms if isinstance(item, Positions)]
        self.colours = [item for item in transforms if isinstance(item, Colours)]
        self.surfaces = [item for item in transforms if isinstance(item, Surface)]
        self.mixing = [item for item in transforms if isinstance(item, Mixing)]

    @torch.no_grad()
    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return images, labels
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 has 256 positions between 128 and 256
            pixels = self._recoloured(self._moved(images))
            for surface in self.surfaces:
                pixels = surface.retouched(pixels)
            for mixing in self.mixing:
                pixels, labels = mixing.mixed(pixels, labels)
        # one pass clamps and brings them into the order that convolutions are fastest in
        result = torch.empty_like(pixels, memory_format=torch.channels_last)
        return torch.clamp(pixels, 0, 1, out=result), labels

    def _moved(self, images: Tensor) -> Tensor:
        if not self.positions:
            return images.contiguous()
        size = (images.shape[2], images.shape[3])
        made = [item.matrices(len(images), size, images.device) for item in self.positions]
        matrices = made[0]
        for later in made[1:]:  # maps lead back: what was done last is undone first
            matrices = matrices @ later
        if all(item.exact for item in self.positions):
            return rearranged(images, matrices)
        return sampled(images, matrices, self.border)

    def _recoloured(self, images: Tensor) -> Tensor:
        if not self.colours:
            return images
        means = images.mean((2, 3))
        maps = self.colours[0].colours(means)
        for item in self.colours[1:]:
            now = (maps[:, :, :3] @ means[:, :, None] + maps[:, :, 3:]).squeeze(2)
            maps = after(maps, item.colours(now))
        return recoloured(images, maps.to(images.dtype))
