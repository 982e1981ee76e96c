"""One image of brushed metal: lit from somewhere, with holes and prints, and with or without a scratch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, uniform_filter1d

from fancnn.rendering.rendered_set import RenderedImage

SCRATCH = "scratch"
TOLERANCE = 4 / 255  # a pixel belongs to a scratch if it changes by more, in values from 0 to 1
QUALITY = 92  # of the JPEG
OVERSAMPLING = 4  # shapes drawn with Pillow have no antialiasing
EDGE = 24  # pixels from the border within which no scratch begins

# independent streams of random numbers for one image, so that a scratch does not change the rest
_METAL, _MARKS, _SENSOR, _SCRATCH = range(4)

Plane = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ScratchSize:
    """How large and how plain scratches are.

    Attributes:
        length: Least and most, pixels.
        width: Least and most, pixels.
        contrast: Least and most of the change of brightness, in values from 0 to 1; lighter or darker.
    """

    length: tuple[float, float]
    width: tuple[float, float]
    contrast: tuple[float, float]


def render_surface(seed: int, index: int, kind: str | None, size: int, scratch: ScratchSize) -> RenderedImage:
    """Render one image, which depends on the arguments alone.

    Args:
        seed: Seed of the set.
        index: Number of the image in the set.
        kind: `SCRATCH`, or None for a good surface, which is the same but for it.
        size: Width and height, pixels.
        scratch: Of the scratch.
    """
    surface, covered = _marked(_metal(_stream(seed, index, _METAL), size), _stream(seed, index, _MARKS))
    mask, changes = None, None
    if kind is not None:
        change = _scratch(_stream(seed, index, _SCRATCH), size, scratch, covered)
        mask = np.abs(change) > TOLERANCE
        changes = float(np.sqrt(np.count_nonzero(mask)))
        surface = surface + change
    return RenderedImage(_photographed(surface, _stream(seed, index, _SENSOR)), QUALITY, mask, changes)


def _stream(seed: int, index: int, part: int) -> np.random.Generator:
    return np.random.default_rng((seed, index, part))


def _metal(random: np.random.Generator, size: int) -> Plane:
    """Return brightness of brushed metal, `(size, size)`: streaks along the rows under a lamp that is nearer here."""
    noise = random.standard_normal((size, size), dtype=np.float32)
    long, short = (uniform_filter1d(noise, length, axis=1, mode="wrap") * np.sqrt(length) for length in (90, 14))
    grain = random.standard_normal((size, size), dtype=np.float32)
    rows, columns = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j].astype(np.float32)
    centre, fall = random.uniform(0.2, 0.8, 2), random.uniform(0.1, 0.45)
    lamp = 1 - fall * ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2)
    level = random.uniform(0.4, 0.65)
    plane: Plane = level * lamp * (1 + 0.045 * long + 0.025 * short) + 0.008 * grain
    return plane


def _marked(surface: Plane, random: np.random.Generator) -> tuple[Plane, NDArray[np.bool_]]:
    """Return the surface with holes and prints, and where these are with some pixels around."""
    size = len(surface)
    holes, rims, prints = (Image.new("L", (size, size)) for _ in range(3))
    for _ in range(random.integers(3, 8)):
        x, y, radius = *random.uniform(0, size, 2), random.uniform(5, 20)
        _disc(rims, x, y, radius + random.uniform(1, 3))
        _disc(holes, x, y, radius)
    for _ in range(random.integers(1, 4)):
        _print_line(prints, random)
    dark, rim, ink = (np.asarray(layer, dtype=np.float32) / 255 for layer in (holes, rims, prints))
    shade = random.uniform(0.35, 0.7)  # of the ink
    marked = surface * (1 + random.uniform(0.1, 0.5) * rim)
    marked = marked * (1 - shade * ink) * (1 - dark) + random.uniform(0.03, 0.12) * dark
    return marked, gaussian_filter(np.maximum(rim, ink), 4) > 0.02


def _disc(layer: Image.Image, x: float, y: float, radius: float) -> None:
    ImageDraw.Draw(layer).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _print_line(layer: Image.Image, random: np.random.Generator) -> None:
    """Draw a line of signs made of strokes, as a batch number has them, some as long and wide as a scratch."""
    pen, size = ImageDraw.Draw(layer), layer.width
    height, width = random.uniform(9, 22), int(random.integers(2, 4))
    count = int(random.integers(4, 12))
    left, top = random.uniform(0, max(size - count * height, 1)), random.uniform(0, max(size - height, 1))
    for sign in range(count):
        x = left + sign * 0.8 * height
        corners = [(x, top), (x + 0.5 * height, top), (x, top + height), (x + 0.5 * height, top + height)]
        corners += [(x, top + height / 2), (x + 0.5 * height, top + height / 2)]
        for _ in range(random.integers(2, 5)):
            first, last = random.choice(len(corners), 2, replace=False)
            pen.line((*corners[first], *corners[last]), fill=255, width=width)


def _scratch(random: np.random.Generator, size: int, of: ScratchSize, covered: NDArray[np.bool_]) -> Plane:
    """Return by how much a scratch changes each pixel, `(size, size)`; it begins where nothing else is."""
    length, width = random.uniform(*of.length), random.uniform(*of.width)
    strength = random.uniform(*of.contrast) * random.choice([-1, 1])
    edge = min(EDGE, size // 3)
    for _ in range(1000):
        x, y = random.uniform(edge, size - edge, 2)
        if not covered[int(y), int(x)]:
            break
    turn = random.uniform(0, np.pi)
    bend = random.uniform(-0.15, 0.15) * length
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    steps = np.linspace(-0.5, 0.5, 9)
    path = np.array([x, y]) + np.outer(steps * length, along) + np.outer(bend * (0.25 - steps**2), across)
    reach = int(length + width + 4)
    left, top = int(x) - reach, int(y) - reach
    patch = Image.new("L", (2 * reach * OVERSAMPLING,) * 2)
    corners = [((px - left) * OVERSAMPLING, (py - top) * OVERSAMPLING) for px, py in path]
    ImageDraw.Draw(patch).line(corners, fill=255, width=max(round(width * OVERSAMPLING), 1), joint="curve")
    small = np.asarray(patch.resize((2 * reach,) * 2, Image.Resampling.BOX), dtype=np.float32) / 255
    change: Plane = np.zeros((size, size), dtype=np.float32)
    rows, columns = (slice(max(start, 0), min(start + 2 * reach, size)) for start in (top, left))
    change[rows, columns] = small[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    change *= strength
    return change


def _photographed(surface: Plane, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return the image that a camera takes: a little blur, noise, and the tint of its white balance."""
    seen = gaussian_filter(surface.astype(np.float32), random.uniform(0.4, 0.7))
    tint = random.uniform(0.97, 1.03, 3).astype(np.float32)
    pixels = seen[:, :, None] * tint + random.normal(0, 0.006, (*seen.shape, 3)).astype(np.float32)
    levels: NDArray[np.uint8] = np.round(pixels.clip(0, 1) * 255).astype(np.uint8)
    return levels
