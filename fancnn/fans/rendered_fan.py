"""One image of the set: painted, photographed, and, for a defect, compared with its good twin."""

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import UserError
from fancnn.fans.camera import draw_camera, expose
from fancnn.fans.defects import Defects, draw_defect
from fancnn.fans.raster import Plane, look
from fancnn.fans.rotor import label_cover
from fancnn.fans.scene import Scene, draw_scene, paint
from fancnn.rendering.rendered_set import RenderedImage

# A pixel belongs to a defect if it changes a channel by more than this, in values from 0 to 1.
TOLERANCE = 4 / 255

# A pixel that changes by more than this can be distinguished from the sensor's noise by eye.
PLAIN = 24 / 255

# Independent streams of random numbers for one image, so that a defect does not change the rest.
_SCENE, _TEXTURES, _CAMERA, _SENSOR, _FLAW = range(5)

# A defect that hides (a scratch over a gap between blades) is drawn again, at most this often.
_ATTEMPTS = 20


def render_fan(seed: int, index: int, kind: str | None, size: int, severity: float = 1.0) -> RenderedImage:
    """Render one image, which depends on the arguments alone.

    Args:
        seed: Seed of the set.
        index: Number of the image in the set.
        kind: One of `DEFECTS`, or None for a good fan. The fan, its place and the camera are the
            same for every kind.
        size: Width and height in pixels.
        severity: Size of the defect relative to the usual one.

    Raises:
        UserError: If the defect is too small to change a pixel.
    """
    scene = draw_scene(_stream(seed, index, _SCENE), (seed, index, _TEXTURES))
    image = paint(scene, size)
    mask, changes = None, None
    if kind is not None:
        image, mask, changes = _spoiled(scene, image, kind, _stream(seed, index, _FLAW), severity)
    camera = draw_camera(_stream(seed, index, _CAMERA))
    pixels = expose(image, camera, _stream(seed, index, _SENSOR))
    return RenderedImage(pixels, camera.quality, mask, changes)


def _stream(seed: int, index: int, part: int) -> np.random.Generator:
    return np.random.default_rng((seed, index, part))


def _spoiled(
    scene: Scene, good: Plane, kind: str, rng: np.random.Generator, severity: float
) -> tuple[Plane, NDArray[np.bool_], float]:
    """Return the same scene with a defect that can be seen, its mask, and the root of its changed pixels."""
    size = good.shape[1]
    for _ in range(_ATTEMPTS):
        defects = draw_defect(kind, scene.fan, rng, severity)
        image = paint(scene, size, defects)
        change = np.abs(image - good).max(axis=0)
        if np.count_nonzero(change > PLAIN) >= _least(size, severity):
            break
    changed = change > TOLERANCE
    if not changed.any():
        raise UserError(
            f"severity={severity} makes a {kind} too small to show in {size} x {size} pixels: "
            "expected at least one changed pixel. Raise severity or size"
        )
    return image, changed | _label_area(scene, defects, size), float(np.sqrt(np.count_nonzero(changed)))


def _least(size: int, severity: float) -> float:
    """Return the number of plainly changed pixels below which a defect counts as hidden."""
    return max(1.0, 60 * (size / 240) ** 2 * min(severity, 1.0) ** 2)


def _label_area(scene: Scene, defects: Defects, size: int) -> NDArray[np.bool_]:
    """Return where a label is or should be, although black print on a black hub changes no pixel there."""
    if defects.turned_label is None and defects.torn_label is None:
        return np.zeros((size, size), dtype=np.bool_)
    view = look(scene.placement, size)
    missing = label_cover(view, scene.fan, None)
    if defects.torn_label is not None:
        missing = missing - label_cover(view, scene.fan, defects.torn_label)
    return missing > TOLERANCE
