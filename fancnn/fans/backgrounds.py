"""The table under the fan: wood, brushed metal, or a mat."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from fancnn.fans.raster import Colour, Plane, noise, tinted


def draw_table(rng: np.random.Generator, size: int) -> Plane:
    """Return a `(3, size, size)` image of a randomly chosen table."""
    texture, colour = _TABLES[rng.integers(len(_TABLES))]
    level = rng.uniform(0.85, 1.1)
    # Grain runs in any direction: the texture is drawn larger than the image and turned.
    wide = _turned(texture(rng, _padded(size)), rng.uniform(-90, 90), size)
    return tinted((1 + wide) * np.float32(level), colour)


def _wood(rng: np.random.Generator, size: int) -> Plane:
    figure = noise(rng, size, (14, 3)) * 2 + noise(rng, size, (40, 4))
    rings = np.sin(figure * 2.2, dtype=np.float32)
    pores = noise(rng, size, (150, 8)) + noise(rng, size, (5, 4))
    grain: Plane = 0.05 * rings + 0.03 * pores
    return grain


def _brushed(rng: np.random.Generator, size: int) -> Plane:
    lines = noise(rng, size, (300, 5)) + noise(rng, size, (80, 3))
    return 0.03 * lines + 0.04 * noise(rng, size, (3, 3))


def _mat(rng: np.random.Generator, size: int) -> Plane:
    weave = 0.03 * noise(rng, size, (200, 200)) + 0.02 * noise(rng, size, (60, 60))
    mottled: Plane = weave + 0.03 * noise(rng, size, (4, 4))
    return mottled


_TABLES: tuple[tuple[Callable[[np.random.Generator, int], Plane], Colour], ...] = (
    (_wood, (0.28, 0.23, 0.185)),
    (_wood, (0.21, 0.19, 0.175)),
    (_brushed, (0.26, 0.265, 0.275)),
    (_mat, (0.21, 0.215, 0.22)),
    (_mat, (0.165, 0.205, 0.235)),
)


def _padded(size: int) -> int:
    """Return the width that still covers a square of `size` when turned by any angle."""
    return int(np.ceil(size * 1.4143)) + 2


def _turned(texture: Plane, degrees: float, size: int) -> Plane:
    turned = Image.fromarray(texture).rotate(degrees, Image.Resampling.BILINEAR)
    start = (texture.shape[0] - size) // 2
    return np.asarray(turned)[start : start + size, start : start + size]
