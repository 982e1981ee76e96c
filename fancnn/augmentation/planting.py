"""Defects that are planted on good images, so that a network sees what to look for, and where.

Image labels alone do not find a defect of a few pixels in few images; a planted one comes with its place (CutPaste,
Li et al. 2021; DRAEM, Zavrtanik et al. 2021). A planted defect need not look like a real one: it has to be something
that a good part does not have, of about the size that real ones have.

Sizes are pixels of the network's input; contrasts are deviations of the brightness around the place, with a floor, so
that a faint one is as faint on a dark and smooth part as on a bright and rough one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.augmentation.random_params import validate_ordered, validate_range

FLOOR = 6 / 255  # of the deviation around a place: less is lost in the noise of the camera
COVERED = 0.3  # a pixel belongs to a defect that covers it by more
LARGEST = 4096.0  # pixels of any size


class Planted(NamedTuple):
    """Images with planted defects.

    Attributes:
        images: `(batch, 3, height, width)` in [0, 1].
        labels: As given, and NG where something was planted.
        masks: `(batch, height, width)` booleans: where.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor


class Patch(NamedTuple):
    """A defect on a window of an image: `cover` in [0, 1] of `value` lies over what was there.

    Attributes:
        value: `(3, height, width)`.
        cover: `(height, width)`.
    """

    value: Tensor
    cover: Tensor


class Drawn(NamedTuple):
    """A defect whose size is drawn and whose place is not yet.

    Attributes:
        reach: Half the side of the window that it needs, pixels.
        patch: Takes a window `(3, height, width)` of the image, the deviation of its brightness, and a window of
            another good image at another place; gives the defect.
    """

    reach: int
    patch: Callable[[Tensor, Tensor, Tensor], Patch]


@runtime_checkable
class PlantedDefect(Protocol):
    """One kind of defect."""

    def draw(self) -> Drawn: ...


def _draw(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _draw_log(low: float, high: float) -> float:
    """Draw between two sizes so that each factor is as likely: most are small."""
    return float(low * (high / low) ** float(torch.rand(())))


def _grid(window: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns of a window from its middle, `(height, width)` each."""
    height, width = window.shape[-2:]
    rows = torch.arange(height, device=window.device) - (height - 1) / 2
    columns = torch.arange(width, device=window.device) - (width - 1) / 2
    return rows[:, None].expand(height, width), columns.expand(height, width)


def _ellipse(window: Tensor, half: float, sharpness: float) -> Tensor:
    """Return the cover of an ellipse of that half axis and a shorter one, turned anyhow, with a soft edge."""
    turn, shorter = _draw(0, math.pi), _draw(0.5, 1.0)
    rows, columns = _grid(window)
    along = rows * math.cos(turn) + columns * math.sin(turn)
    across = columns * math.cos(turn) - rows * math.sin(turn)
    distance = ((along / half) ** 2 + (across / (half * shorter)) ** 2).sqrt()
    return torch.sigmoid((1 - distance) * sharpness * max(half, 1.0))


def _brighter(window: Tensor, deviation: Tensor, least: float, most: float) -> Tensor:
    """Return a window that is lighter or darker by some deviations, now and then of another color."""
    sign = 1.0 if torch.rand(()) < 0.5 else -1.0
    tint = torch.ones(3, 1, 1) if torch.rand(()) < 0.7 else torch.rand(3, 1, 1) * 1.5
    return window + sign * _draw(least, most) * deviation * tint.to(window.device)


@dataclass(frozen=True)
class Blob:
    """A spot, lighter or darker: a pit, a splash, a hole.

    Args:
        least_width: Across, pixels.
        most_width: Likewise.
        least_contrast: Deviations.
        most_contrast: Likewise.
    """

    least_width: float = 1.5
    most_width: float = 9.0
    least_contrast: float = 1.5
    most_contrast: float = 6.0

    def __post_init__(self) -> None:
        _validate_span("width", self.least_width, self.most_width, 0.5)
        _validate_span("contrast", self.least_contrast, self.most_contrast, 0.1)

    def draw(self) -> Drawn:
        width = _draw_log(self.least_width, self.most_width)
        return Drawn(math.ceil(width) + 2, partial(self._patch, width))

    def _patch(self, width: float, window: Tensor, deviation: Tensor, other: Tensor) -> Patch:
        cover = _ellipse(window, width / 2, _draw(1, 4))
        return Patch(_brighter(window, deviation, self.least_contrast, self.most_contrast), cover)


@dataclass(frozen=True)
class Scratch:
    """A bent line, lighter or darker: a scratch, a crack, a hair.

    Args:
        least_length: Pixels.
        most_length: Likewise.
        least_width: Pixels.
        most_width: Likewise.
        least_contrast: Deviations.
        most_contrast: Likewise.
    """

    least_length: float = 3.0
    most_length: float = 60.0
    least_width: float = 1.0
    most_width: float = 3.0
    least_contrast: float = 1.5
    most_contrast: float = 6.0

    def __post_init__(self) -> None:
        _validate_span("length", self.least_length, self.most_length, 1)
        _validate_span("width", self.least_width, self.most_width, 0.5)
        _validate_span("contrast", self.least_contrast, self.most_contrast, 0.1)

    def draw(self) -> Drawn:
        length, width = _draw_log(self.least_length, self.most_length), _draw(self.least_width, self.most_width)
        return Drawn(math.ceil(length / 2 + width) + 2, partial(self._patch, length, width))

    def _patch(self, length: float, width: float, window: Tensor, deviation: Tensor, other: Tensor) -> Patch:
        turn, bend = _draw(0, math.pi), _draw(-0.4, 0.4) * length
        steps = torch.linspace(-0.5, 0.5, max(math.ceil(length / 2), 4), device=window.device)
        along, across = steps * length, bend * (0.25 - steps**2)
        path_rows = along * math.cos(turn) - across * math.sin(turn)
        path_columns = along * math.sin(turn) + across * math.cos(turn)
        rows, columns = _grid(window)
        distance = torch.hypot(rows[..., None] - path_rows, columns[..., None] - path_columns).amin(-1)
        cover = torch.sigmoid((width / 2 - distance + 0.25) * 4)
        return Patch(_brighter(window, deviation, self.least_contrast, self.most_contrast), cover)


@dataclass(frozen=True)
class CutPaste:
    """A piece of another good image, turned by quarters (Li et al. 2021): a thing that is where it does not belong.

    Args:
        least_side: Pixels.
        most_side: Likewise.
    """

    least_side: float = 5.0
    most_side: float = 40.0

    def __post_init__(self) -> None:
        _validate_span("side", self.least_side, self.most_side, 2)

    def draw(self) -> Drawn:
        side = _draw_log(self.least_side, self.most_side)
        return Drawn(math.ceil(side / 2) + 2, partial(self._patch, side))

    def _patch(self, side: float, window: Tensor, deviation: Tensor, other: Tensor) -> Patch:
        if window.shape[1] == window.shape[2]:
            other = other.rot90(int(torch.randint(4, ())), (1, 2))
        cover = _ellipse(window, side / 2, _draw(1, 4))
        change = float((cover * (other - window).abs().mean(0)).sum() / cover.sum().clamp(min=1e-6))
        if change < float(deviation):  # it looks like what is there: another light makes it strange
            other = _brighter(other, deviation, 1.5, 4.0)
        return Patch(other, cover)


@dataclass(frozen=True)
class Texture:
    """A spot of another roughness: noise of some grain over what is there.

    Args:
        least_side: Pixels.
        most_side: Likewise.
        least_contrast: Deviations.
        most_contrast: Likewise.
    """

    least_side: float = 6.0
    most_side: float = 40.0
    least_contrast: float = 1.5
    most_contrast: float = 4.0

    def __post_init__(self) -> None:
        _validate_span("side", self.least_side, self.most_side, 2)
        _validate_span("contrast", self.least_contrast, self.most_contrast, 0.1)

    def draw(self) -> Drawn:
        side = _draw_log(self.least_side, self.most_side)
        return Drawn(math.ceil(side / 2) + 2, partial(self._patch, side))

    def _patch(self, side: float, window: Tensor, deviation: Tensor, other: Tensor) -> Patch:
        height, width = window.shape[-2:]
        grain = int(torch.randint(1, 5, ()))
        noise = torch.randn(1, 1, height // grain + 2, width // grain + 2).to(window.device)
        rough = F.interpolate(noise, scale_factor=float(grain), mode="bilinear", align_corners=False)[
            0, :, :height, :width
        ]
        strength = _draw(self.least_contrast, self.most_contrast) * deviation
        return Patch(window + strength * rough, _ellipse(window, side / 2, _draw(1, 4)))


class Plant(nn.Module):
    r"""Good images with some defects planted on them, which makes them NG; nothing at all while not training.

    What is drawn depends on torch's global generator alone.

    Args:
        defects: Kinds, as likely each.
        share: Of the good images of a batch that get some.
        most: Defects on one image; each number from 1 on is as likely.

    Shape:
        - Input: `(batch, 3, height, width)` floats in [0, 1], and `(batch,)` labels or `(batch, k)` shares.
        - Output: `Planted`. An image that is not wholly GO stays as it is.

    Raises:
        ValueError: If an argument is out of range or a defect is none.
    """

    def __init__(self, defects: Sequence[Any], share: float = 0.6, most: int = 3) -> None:
        super().__init__()
        validate_range(share=share)
        validate_range(1, 100, most=most)
        for item in defects:
            if not isinstance(item, PlantedDefect):
                raise ValueError(
                    f"defects: {type(item).__name__} is none. Expected those of fancnn.augmentation: Blob, ..."
                )
        if not defects:
            raise ValueError("defects: there is none to plant. Give one, e.g. fancnn.augmentation.Scratch")
        self.defects, self.share, self.most = list(defects), share, most

    @torch.no_grad()
    def forward(self, images: Tensor, labels: Tensor) -> Planted:
        masks = torch.zeros((len(images), *images.shape[2:]), dtype=torch.bool, device=images.device)
        if not self.training:
            return Planted(images, labels, masks)
        good = labels == 0 if labels.ndim == 1 else labels[:, 0] == 1
        places = good.nonzero().flatten().tolist()
        chosen = [place for place in places if torch.rand(()) < self.share]
        result, marked = images.clone(), labels.clone()
        for place in chosen:
            for _ in range(int(torch.randint(1, self.most + 1, ()))):
                other = images[places[int(torch.randint(len(places), ()))]]
                self._plant(result[place], masks[place], other)
            marked[place] = _ng(labels[place])
        return Planted(result, marked, masks)

    def _plant(self, image: Tensor, mask: Tensor, other: Tensor) -> None:
        """Plant one defect, in place."""
        drawn = self.defects[int(torch.randint(len(self.defects), ()))].draw()
        here, there = (_window(image.shape[1:], drawn.reach) for _ in range(2))
        window = image[:, *here]
        deviation = window.mean(0).std().nan_to_num().clamp(min=FLOOR)
        value, cover = drawn.patch(window, deviation, other[:, *there])
        window.lerp_(value.clamp(0, 1), cover)
        mask[here] |= cover > COVERED


def _window(size: Sequence[int], reach: int) -> tuple[slice, slice]:
    """Return rows and columns of a window that lies anywhere in an image, or is all of it where that is smaller."""
    sides = [min(2 * reach + 1, side) for side in size]
    starts = [int(torch.randint(side - part + 1, ())) for side, part in zip(size, sides, strict=True)]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns


def _ng(label: Tensor) -> Tensor:
    """Return the label of NG; of several kinds of NG each has the same share, since nobody knows which it is."""
    if label.ndim == 0:
        return torch.ones_like(label)
    share = torch.full_like(label, 1 / (len(label) - 1))
    share[0] = 0
    return share


def _validate_span(name: str, low: float, high: float, least: float) -> None:
    validate_range(least, LARGEST, **{f"least_{name}": low, f"most_{name}": high})
    validate_ordered(name, low, high)
