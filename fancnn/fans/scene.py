"""One image's world before the camera: a table, a fan on it, and perhaps something wrong with it."""

from dataclasses import dataclass

import numpy as np

from fancnn.fans.backgrounds import draw_table
from fancnn.fans.defects import Defects
from fancnn.fans.fan import Fan, draw_fan
from fancnn.fans.frame import cast_shadow, draw_frame
from fancnn.fans.marks import draw_dust, draw_scratch, draw_stain
from fancnn.fans.raster import Placement, Plane, View, look
from fancnn.fans.rotor import draw_blades, draw_depth, draw_hub, draw_label

# Largest rotation of the whole fan, in degrees. Smaller than the smallest turn of a label.
FAN_TURN = 5.0


@dataclass(frozen=True)
class Scene:
    """A good fan, where it lies, and the seed of every texture in the image."""

    fan: Fan
    placement: Placement
    textures: tuple[int, ...]


def draw_scene(rng: np.random.Generator, textures: tuple[int, ...]) -> Scene:
    """Draw a fan and its place in the image; `textures` seeds the grain, the table and the dust."""
    placement = Placement(
        scale=rng.uniform(0.80, 0.84),
        shift=(rng.uniform(-0.025, 0.025), rng.uniform(-0.025, 0.025)),
        turn=float(np.deg2rad(rng.uniform(-FAN_TURN, FAN_TURN))),
        light=float(np.deg2rad(rng.uniform(-170, -10))),  # from above the middle of the image
    )
    return Scene(draw_fan(rng), placement, textures)


def paint(scene: Scene, size: int, defects: Defects | None = None) -> Plane:
    """Paint a scene without noise or blur.

    Args:
        scene: What to paint.
        size: Width and height in pixels.
        defects: What is wrong with the fan; nothing by default.

    Returns:
        A `(3, size, size)` float32 image, about 0 to 1. Two calls that differ in `defects` alone
        differ only where the defect shows.
    """
    defects = defects or Defects()
    view = look(scene.placement, size)
    rng = np.random.default_rng(scene.textures)
    image = draw_table(rng, size)
    cast_shadow(image, view)
    draw_depth(image, view, scene.fan)
    solid = draw_blades(image, view, scene.fan, defects)
    solid = np.maximum(solid, draw_frame(image, view, scene.fan, rng, defects.blocked_screw))
    solid = np.maximum(solid, draw_hub(image, view, scene.fan))
    draw_label(image, view, scene.fan, defects)
    draw_dust(image, view, rng)
    _mark(image, view, solid, defects)
    return image


def _mark(image: Plane, view: View, solid: Plane, defects: Defects) -> None:
    if defects.scratch is not None:
        draw_scratch(image, view, solid, defects.scratch)
    if defects.stain is not None:
        draw_stain(image, view, solid, defects.stain)
