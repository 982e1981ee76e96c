"""The square frame: its moulded face, the screw holes, its shadow on the table."""

import numpy as np

from fancnn.fans.defects import BlockedScrew
from fancnn.fans.fan import CORNERS, HOLE_OFFSET, HOLE_RADIUS, OPENING, Fan
from fancnn.fans.raster import Plane, View, bump, coverage, lay_over, noise, ramp, tinted

_ROUNDING = 0.12
_CHAMFER = 0.05


def cast_shadow(image: Plane, view: View) -> None:
    """Darken the table where the frame keeps the light off, in place."""
    away_x, away_y = (-0.07 * component for component in view.light)
    inside, _, _ = _outline(view.x - np.float32(away_x), view.y - np.float32(away_y))
    contact, _, _ = _outline(view.x, view.y)
    shade = 1 - 0.5 * ramp(inside, -0.10, 0.06) - 0.3 * ramp(contact, -0.05, 0.0)
    image *= shade


def draw_frame(image: Plane, view: View, fan: Fan, rng: np.random.Generator, blocked: BlockedScrew | None) -> Plane:
    """Draw the frame's face with its screw holes in place and return its coverage."""
    inside, slope_x, slope_y = _outline(view.x, view.y)
    face = np.minimum(coverage(inside, view.pixel), coverage(view.r - np.float32(OPENING), view.pixel))
    grain = 1 + 0.02 * noise(rng, view.size, (170, 170)) + 0.02 * noise(rng, view.size, (4, 4))
    lay_over(image, face, tinted(_moulding(view, inside, slope_x, slope_y) * grain, fan.frame))
    for number, corner in enumerate(CORNERS):
        _draw_hole(image, view, fan, corner, blocked if blocked and blocked.corner == number else None)
    return face


def _outline(x: Plane, y: Plane) -> tuple[Plane, Plane, Plane]:
    """Return the distance inside the rounded square, and the direction of the nearest side."""
    right = np.abs(x) - np.float32(1 - _ROUNDING)
    down = np.abs(y) - np.float32(1 - _ROUNDING)
    out_x, out_y = np.maximum(right, 0), np.maximum(down, 0)
    length = np.hypot(out_x, out_y)
    distance = length + np.minimum(np.maximum(right, down), 0) - np.float32(_ROUNDING)
    scale = 1 / np.maximum(length, np.float32(1e-6))
    return -distance, np.copysign(out_x, x) * scale, np.copysign(out_y, y) * scale


def _moulding(view: View, inside: Plane, slope_x: Plane, slope_y: Plane) -> Plane:
    """Return the brightness of the face: chamfered sides, the lip round the opening, grooves at the corners."""
    light_x, light_y = view.light
    facing = slope_x * light_x + slope_y * light_y  # 1 where a side faces the light
    radial = (view.x * light_x + view.y * light_y) / np.maximum(view.r, np.float32(0.1))
    shade = 1 + 0.07 * (view.x * light_x + view.y * light_y)
    shade += ramp(inside, _CHAMFER, 0.0) * (0.45 * facing - 0.05)
    shade += bump(inside, _CHAMFER, 0.012) * (0.12 + 0.15 * facing)
    shade -= bump(view.r, OPENING + 0.012, 0.022) * (0.45 * radial)
    # A step runs round the opening; its flank faces outwards.
    shade += bump(view.r, OPENING + 0.065, 0.012) * (0.28 * radial - 0.10)
    return shade


def _draw_hole(image: Plane, view: View, fan: Fan, corner: tuple[int, int], blocked: BlockedScrew | None) -> None:
    centre = (corner[0] * HOLE_OFFSET, corner[1] * HOLE_OFFSET)
    view, image = view.around(centre, HOLE_RADIUS * 2, image)
    x = view.x - np.float32(centre[0])
    y = view.y - np.float32(centre[1])
    r = np.hypot(x, y)
    towards = x * view.light[0] + y * view.light[1]
    boss = coverage(np.float32(HOLE_RADIUS * 1.75) - r, view.pixel)
    lay_over(image, boss * 0.8, tinted(1.12 + 1.2 * towards, fan.frame))
    rim = coverage(np.float32(HOLE_RADIUS * 1.32) - r, view.pixel)
    lay_over(image, rim, tinted(0.95 - 3.5 * towards, fan.rim))
    hole = coverage(np.float32(HOLE_RADIUS) - r, view.pixel)
    # The far wall of the hole catches a little light.
    lay_over(image, hole, tinted(np.clip(0.05 - 1.0 * towards, 0.02, 0.12), (1.0, 1.0, 1.0)))
    if blocked is not None:
        _draw_flash(image, view, fan, x, y, blocked)


def _draw_flash(image: Plane, view: View, fan: Fan, x: Plane, y: Plane, blocked: BlockedScrew) -> None:
    """Draw plastic that ran into the hole from one side of it."""
    r, theta = np.hypot(x, y), np.arctan2(y, x)
    ragged = 1 + 0.07 * np.sin(3 * theta + blocked.direction) + 0.04 * np.sin(7 * theta - blocked.direction)
    along = x * np.float32(np.cos(blocked.direction)) + y * np.float32(np.sin(blocked.direction))
    plug = np.float32(HOLE_RADIUS * 1.2 * blocked.spill) * ragged - r
    front = np.float32(HOLE_RADIUS * (2 * blocked.share - 1) * 1.2) - along
    alpha = np.minimum(coverage(plug, view.pixel), coverage(front, view.pixel))
    shade = blocked.brightness + 1.6 * (x * view.light[0] + y * view.light[1])
    lay_over(image, alpha, tinted(shade - 0.25 * bump(r, HOLE_RADIUS * 0.7, 0.012), fan.frame))
