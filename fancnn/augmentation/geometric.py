"""Geometric transforms: each gives an affine matrix for each image, see `grid_sampling`; `Augment` reads once by all.

`exact` transforms move whole pixels, so that no grey level changes.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fancnn.augmentation.grid_sampling import affine_matrices
from fancnn.augmentation.random_params import chosen, occasional, uniform, validate_ordered, validate_range

Size = tuple[int, int]  # height and width, pixels


@dataclass(frozen=True)
class HorizontalFlip:
    """Left becomes right.

    Assumes that a part and its mirror image have the same label: false for writing, for threads and blades with a
    sense of rotation, for chests (the heart lies left).

    Args:
        probability: Of each image to be flipped.
    """

    probability: float = 0.5
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validate_range(probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        return affine_matrices(count, device, xx=1 - 2 * chosen(count, self.probability, device).float())


@dataclass(frozen=True)
class VerticalFlip:
    """Top becomes bottom.

    Assumes what `HorizontalFlip` does, and that neither light nor gravity comes from one side.

    Args:
        probability: Of each image to be flipped.
    """

    probability: float = 0.5
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validate_range(probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        return affine_matrices(count, device, yy=1 - 2 * chosen(count, self.probability, device).float())


@dataclass(frozen=True)
class DihedralSymmetry:
    """One of the eight symmetries of a square (quarter turns, with and without a flip), each as likely.

    In images that are not square, one of the four that keep their shape.

    Assumes that the part has no up, no right and no handedness: true for crops of circuit boards and of surfaces,
    false wherever a part that lies the wrong way round is NG.

    Args:
        probability: Of each image to be moved; one in eight of these comes out as it was.
    """

    probability: float = 1.0
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validate_range(probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        flip_x, flip_y, swap = torch.rand(3, count, device=device) < 0.5
        taken = chosen(count, self.probability, device)
        return symmetries(flip_x & taken, flip_y & taken, swap & taken & (size[0] == size[1]))


@dataclass(frozen=True)
class Rotation:
    """Turn about the middle, by an angle between -degrees and degrees.

    Assumes that parts lie turned by so much, and that being turned by so much is no defect: a label turned by 15
    degrees may be one.

    Args:
        degrees: From 0 to 180.
        probability: Of each image to be turned.
    """

    degrees: float = 10.0
    probability: float = 1.0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_range(0, 180, degrees=self.degrees)
        validate_range(probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        degrees = uniform(count, -self.degrees, self.degrees, device)
        return rotations(occasional(degrees, 0.0, self.probability))


@dataclass(frozen=True)
class Translate:
    """Move to the side and up or down, each by up to a share of that side.

    Assumes that parts are not always at the same place, that being elsewhere is no defect, and that nothing which
    decides lies so near the edge that it moves out.

    Args:
        share: Of width and of height, from 0 to 1.
        probability: Of each image to be moved.
    """

    share: float = 0.05
    probability: float = 1.0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_range(share=self.share, probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        shares = uniform(2 * count, -self.share, self.share, device).view(count, 2)
        right, down = occasional(shares, 0.0, self.probability).unbind(1)
        return translations(right * size[1], down * size[0])


@dataclass(frozen=True)
class Zoom:
    """Make larger or smaller about the middle; half as large is as likely as twice as large.

    Assumes that the distance to the camera varies by so much, and that size is no defect: false where a dimension
    is what is inspected.

    Args:
        least_factor: Below 1 smaller, from 0.5.
        most_factor: Above 1 larger, to 4.
        probability: Of each image to be scaled.
    """

    least_factor: float = 0.9
    most_factor: float = 1.1
    probability: float = 1.0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_range(0.5, 4, least_factor=self.least_factor, most_factor=self.most_factor)
        validate_ordered("factor", self.least_factor, self.most_factor)
        validate_range(probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        logs = uniform(count, math.log(self.least_factor), math.log(self.most_factor), device)
        return zooms(occasional(logs, 0.0, self.probability).exp())


@dataclass(frozen=True)
class Shear:
    """Slant upright lines, by an angle between -degrees and degrees; level lines stay level.

    Assumes that the camera looks from aside by so much, and that being slanted is no defect. With rotations it
    slants in any direction.

    Args:
        degrees: From 0 to 45.
        probability: Of each image to be slanted.
    """

    degrees: float = 5.0
    probability: float = 1.0
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_range(0, 45, degrees=self.degrees)
        validate_range(probability=self.probability)

    def matrices(self, count: int, size: Size, device: torch.device) -> Tensor:
        degrees = uniform(count, -self.degrees, self.degrees, device)
        return shears(occasional(degrees, 0.0, self.probability))


def symmetries(flip_x: Tensor, flip_y: Tensor, swap: Tensor) -> Tensor:
    """Return `(n, 3, 3)` matrices: flips of x and y, then x for y where `swap` says so; all `(n,)` booleans."""
    sign_x, sign_y, straight = 1 - 2 * flip_x.float(), 1 - 2 * flip_y.float(), 1 - swap.float()
    crossed = swap.float()
    entries = {"xx": sign_x * straight, "xy": sign_x * crossed, "yx": sign_y * crossed, "yy": sign_y * straight}
    return affine_matrices(len(flip_x), flip_x.device, **entries)


def rotations(degrees: Tensor) -> Tensor:
    """Return `(n, 3, 3)` matrices of turns to the left by `(n,)` degrees, as `torch.rot90` turns."""
    angles = torch.deg2rad(degrees)
    cos, sin = angles.cos(), angles.sin()
    return affine_matrices(len(degrees), degrees.device, xx=cos, xy=-sin, yx=sin, yy=cos)


def translations(right: Tensor, down: Tensor) -> Tensor:
    """Return `(n, 3, 3)` matrices of moves by `(n,)` pixels."""
    return affine_matrices(len(right), right.device, x1=-right, y1=-down)


def zooms(factors: Tensor) -> Tensor:
    """Return `(n, 3, 3)` matrices: `(n,)` factors, 2 shows the middle twice as large."""
    return affine_matrices(len(factors), factors.device, xx=1 / factors, yy=1 / factors)


def shears(degrees: Tensor) -> Tensor:
    """Return `(n, 3, 3)` matrices that slant upright lines by `(n,)` degrees."""
    return affine_matrices(len(degrees), degrees.device, xy=torch.deg2rad(degrees).tan())
