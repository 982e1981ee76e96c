"""The image plane: where each pixel lies on the fan, and how shapes and noise are laid over it.

Lengths are in fan units: the frame reaches from -1 to 1, x to the right and y down, before the fan
is turned and moved in the image. Images are `(3, size, size)` float32 from 0 to 1, masks and
coverages `(size, size)` float32 from 0 to 1: with the channels first, laying a shape over an image
runs along whole rows and takes a third of the time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Plane = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

# Shapes drawn with Pillow have no antialiasing: they are drawn this much larger and reduced.
OVERSAMPLING = 4


@dataclass(frozen=True)
class Placement:
    """Where the fan lies in the image.

    Attributes:
        scale: Half the frame's width, as a share of half the image's width.
        shift: The fan's centre, in halves of the image's width from its middle.
        turn: Rotation of the whole fan in radians, clockwise as seen.
        light: Direction the light comes from in the image, in radians.
    """

    scale: float
    shift: tuple[float, float]
    turn: float
    light: float


@dataclass(frozen=True)
class View:
    """The fan's coordinates at the centre of every pixel.

    Attributes:
        x: To the right along the frame, in fan units.
        y: Down along the frame.
        r: Distance from the axle.
        theta: Angle about the axle in radians.
        light: Unit vector towards the light, along the frame's axes.
        pixel: Width of one pixel in fan units.
        size: Width and height of the whole image in pixels.
        placement: Where the fan lies.
    """

    x: Plane
    y: Plane
    r: Plane
    theta: Plane
    light: tuple[float, float]
    pixel: float
    size: int
    placement: Placement

    def to_pixels(self, points: NDArray[Any]) -> NDArray[Any]:
        """Turn `(n, 2)` points of the fan into image pixels, (0, 0) being the top left corner."""
        cos, sin = np.cos(self.placement.turn), np.sin(self.placement.turn)
        turned = points @ np.array([[cos, sin], [-sin, cos]])
        placed: NDArray[Any] = turned * self.placement.scale + self.placement.shift
        return (placed + 1) * (self.size / 2)

    def around(self, centre: tuple[float, float], radius: float, image: Plane) -> tuple["View", Plane]:
        """Cut out the view and the image near a point of the fan; drawing there draws on `image`."""
        column, row = self.to_pixels(np.array([centre]))[0]
        reach = radius / self.pixel + 2
        rows = slice(max(0, int(row - reach)), max(0, int(row + reach) + 1))
        columns = slice(max(0, int(column - reach)), max(0, int(column + reach) + 1))
        x, y, r, theta = (plane[rows, columns] for plane in (self.x, self.y, self.r, self.theta))
        near = View(x, y, r, theta, self.light, self.pixel, self.size, self.placement)
        return near, image[:, rows, columns]


def look(placement: Placement, size: int) -> View:
    """Return the fan's coordinates for a square image of `size` pixels."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    right = (centres[None, :] - placement.shift[0]) / placement.scale
    down = (centres[:, None] - placement.shift[1]) / placement.scale
    cos, sin = np.float32(np.cos(placement.turn)), np.float32(np.sin(placement.turn))
    x = (cos * right + sin * down).astype(np.float32)
    y = (cos * down - sin * right).astype(np.float32)
    azimuth = placement.light - placement.turn
    light = (float(np.cos(azimuth)), float(np.sin(azimuth)))
    pixel = 2 / (size * placement.scale)
    return View(x, y, np.hypot(x, y), np.arctan2(y, x), light, pixel, size, placement)


def coverage(inside: Plane, pixel: float) -> Plane:
    """Return each pixel's covered share from its distance to the outline, positive inside."""
    share: Plane = np.clip(inside * np.float32(1 / pixel) + np.float32(0.5), 0, 1)
    return share


def ramp(values: Plane, start: float, stop: float) -> Plane:
    """Rise smoothly from 0 at `start` to 1 at `stop`; `stop` may be the smaller one."""
    t: Plane = np.clip((values - np.float32(start)) * np.float32(1 / (stop - start)), 0, 1)
    risen: Plane = t * t * (3 - 2 * t)
    return risen


def bump(values: Plane, middle: float, width: float) -> Plane:
    """Return a bell of height 1 around `middle`, 0 beyond twice `width` from it."""
    t: Plane = np.clip(1 - ((values - np.float32(middle)) * np.float32(0.5 / width)) ** 2, 0, 1)
    bell: Plane = t * t * t
    return bell


def lay_over(image: Plane, alpha: Plane, colour: Plane | Colour) -> None:
    """Lay a colour, or an image of the same size, over `image` in place with the opacity `alpha`."""
    over = _channels(colour) if isinstance(colour, tuple) else colour
    image += (over - image) * alpha


def tinted(shade: Plane, colour: Colour) -> Plane:
    """Return an image of one colour whose brightness follows `shade`."""
    return shade * _channels(colour)


def _channels(colour: Colour) -> Plane:
    return np.asarray(colour, dtype=np.float32)[:, None, None]


def noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> Plane:
    """Return smooth noise of mean 0 and deviation about 1 with `cells` bumps down and across.

    The numbers drawn do not depend on `size`, so an image looks the same at every size.
    """
    coarse = Image.fromarray(rng.standard_normal(cells, dtype=np.float32))
    # Interpolation averages neighbours and so takes away about a third of the deviation.
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)) * np.float32(1.5)


def stroke(points: NDArray[Any], width: float, size: int) -> Plane:
    """Return the coverage of a line through `(n, 2)` image points, `width` pixels wide."""
    return strokes([(points, width)], size)


def strokes(lines: list[tuple[NDArray[Any], float]], size: int) -> Plane:
    """Return the joint coverage of several lines, each given by its points and width in pixels."""
    canvas = Image.new("L", (size * OVERSAMPLING, size * OVERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    for points, width in lines:
        corners = [(float(px), float(py)) for px, py in points * OVERSAMPLING]
        pen.line(corners, fill=255, width=max(1, round(width * OVERSAMPLING)), joint="curve")
    return np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32) / 255
