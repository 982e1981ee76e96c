"""What is seen through the opening: the depth behind, the struts, the blades, the hub and its label."""

import numpy as np
from scipy import ndimage

from fancnn.fans.defects import Chip, Defects, LostBlade, TornLabel
from fancnn.fans.fan import OPENING, TIP, Fan
from fancnn.fans.label_print import artwork
from fancnn.fans.raster import Plane, View, bump, coverage, lay_over, ramp, tinted

# A blade's edges run at a slant to the circle round the axle, which shortens distances to them.
_SLANT = 0.8
_TIP_ROUNDING = 0.05


def draw_depth(image: Plane, view: View, fan: Fan) -> None:
    """Darken the table seen through the opening and draw the duct's wall and the struts, in place."""
    opening = coverage(np.float32(OPENING) - view.r, view.pixel)
    towards = (view.x * view.light[0] + view.y * view.light[1]) / np.maximum(view.r, np.float32(0.1))
    dark = 0.30 - 0.08 * towards
    lay_over(image, opening, image * dark)
    # The wall of the duct away from the light is lit, the near one lies in its own shadow.
    wall = opening * ramp(view.r, TIP - 0.01, TIP + 0.03)
    lay_over(image, wall, tinted(0.45 - 0.5 * towards, fan.frame))
    for number in range(fan.struts):
        angle = fan.strut_angle + 2 * np.pi * number / fan.struts
        across = np.abs(view.y * np.float32(np.cos(angle)) - view.x * np.float32(np.sin(angle)))
        ahead = view.x * np.float32(np.cos(angle)) + view.y * np.float32(np.sin(angle)) > 0
        strut = coverage(np.float32(0.05) - across, view.pixel) * opening * ahead
        lay_over(image, strut, tinted(0.55 - 4.0 * across, fan.frame))


def draw_blades(image: Plane, view: View, fan: Fan, defects: Defects) -> Plane:
    """Draw the blades in place and return their coverage."""
    reach = (view.r - np.float32(fan.hub)) * np.float32(1 / (TIP - fan.hub))  # 0 at the hub, 1 at the tip
    pitch = 2 * np.pi / fan.blades
    width = np.float32(fan.width) + np.float32(0.10) * (0.5 - reach)
    turn = (view.theta - np.float32(fan.rotor)) / np.float32(pitch)
    turn -= np.float32(fan.sweep / pitch) * np.clip(reach, 0, 1.3) ** 1.3
    number = np.rint(turn)
    off = turn - number  # from the middle of the nearest blade, in pitches
    arc = view.r * np.float32(pitch * _SLANT)
    inside = _rounded((width / 2 - np.abs(off)) * arc, np.float32(TIP) - view.r)
    blades = coverage(inside, view.pixel)
    across = off / width + np.float32(0.5)
    edges = (across * width * arc, (1 - across) * width * arc)
    image_of_blades = tinted(_blade_shade(view, fan, reach, across, edges), fan.plastic)
    broken = defects.chip or defects.lost_blade
    if broken is not None:
        gone = _bite(view, fan, broken) if isinstance(broken, Chip) else _beyond_stub(view, fan, broken)
        here = (np.mod(number, fan.blades) == broken.blade).astype(np.float32)
        image_of_blades += here * bump(gone, 0.0, 0.04) * 0.8  # plastic turns white where it breaks
        blades = blades * (1 - coverage(gone, view.pixel) * here)
    lay_over(image, blades, image_of_blades)
    return blades


def _rounded(side: Plane, tip: Plane) -> Plane:
    """Return the distance inside both edges, with their corner rounded off."""
    rounding = np.float32(_TIP_ROUNDING)
    inside: Plane = rounding - np.hypot(np.maximum(rounding - side, 0), np.maximum(rounding - tip, 0))
    return inside


def _beyond_stub(view: View, fan: Fan, lost: LostBlade) -> Plane:
    """Return the distance inside what is gone of a blade that broke off."""
    stub = TIP - lost.share * (TIP - fan.hub)
    ragged = 0.012 * np.sin(view.theta * 23) + 0.008 * np.sin(view.theta * 41)
    gone: Plane = view.r - np.float32(stub) + ragged
    return gone


def _blade_shade(view: View, fan: Fan, reach: Plane, across: Plane, edges: tuple[Plane, Plane]) -> Plane:
    """Return the brightness of the blades: tilted faces, highlights, and shadows that the parts cast."""
    light_x, light_y = view.light
    # A blade is tilted along its circle, so its brightness depends on where on the circle it stands.
    facing = (view.x * light_y - view.y * light_x) / np.maximum(view.r, np.float32(0.1))
    shade = 1.35 - 0.75 * across + facing * (0.30 - 0.2 * across)
    shade += fan.gloss * bump(across - 0.25 * reach, 0.22, 0.16) * (0.6 + 0.6 * facing)
    lead, trail = edges
    shade += 0.25 * bump(lead, 0.008, 0.012) + 0.10 * bump(trail, 0.006, 0.008)
    shade -= 0.35 * ramp(trail, 0.10, 0.0) * ramp(trail, 0.0, 0.012)
    shade *= 1 - 0.45 * ramp(reach, 0.16, 0.0)
    # The frame's lip stands above the blades and keeps light off their tips.
    lip = np.hypot(view.x + np.float32(0.07 * light_x), view.y + np.float32(0.07 * light_y))
    shade *= 1 - 0.5 * ramp(lip, OPENING - 0.08, OPENING)
    hub = np.hypot(view.x + np.float32(0.06 * light_x), view.y + np.float32(0.06 * light_y))
    return shade * (1 - 0.4 * ramp(hub, fan.hub + 0.06, fan.hub - 0.03))


def _bite(view: View, fan: Fan, chip: Chip) -> Plane:
    """Return the distance inside the bite."""
    pitch = 2 * np.pi / fan.blades
    reach = (chip.r - fan.hub) / (TIP - fan.hub)
    width = fan.width + 0.10 * (0.5 - reach)
    turn = chip.blade + (chip.across - 0.5) * width
    theta = fan.rotor + pitch * turn + fan.sweep * reach**1.3
    x = view.x - np.float32(chip.r * np.cos(theta))
    y = view.y - np.float32(chip.r * np.sin(theta))
    around = np.arctan2(y, x)
    ragged = 1 + 0.12 * np.sin(3 * around + chip.ragged) + 0.08 * np.sin(7 * around - 2 * chip.ragged)
    gone: Plane = np.float32(chip.radius) * ragged - np.hypot(x, y)
    return gone


def draw_hub(image: Plane, view: View, fan: Fan) -> Plane:
    """Draw the bare hub in place and return its coverage."""
    hub = coverage(np.float32(fan.hub) - view.r, view.pixel)
    towards = view.x * view.light[0] + view.y * view.light[1]
    radial = towards / np.maximum(view.r, np.float32(0.02))
    shade = 1.0 + 0.35 * towards + ramp(view.r, fan.hub - 0.045, fan.hub) * (0.55 * radial - 0.1)
    shade += bump(view.r, fan.hub - 0.045, 0.010) * (0.15 + 0.2 * radial)
    shade -= bump(view.r, fan.label + 0.006, 0.012) * (0.2 + 0.3 * radial)
    lay_over(image, hub, tinted(shade, fan.plastic))
    return hub


def draw_label(image: Plane, view: View, fan: Fan, defects: Defects) -> None:
    """Stick the label on the hub, in place."""
    view, image = view.around((0.0, 0.0), fan.label, image)
    angle = defects.turned_label.angle if defects.turned_label else 0.0
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    alpha = label_cover(view, fan, defects.torn_label)
    diameter = max(8, round(2 * fan.label / view.pixel))
    art = artwork(fan.print, diameter)
    scale = np.float32(diameter / (2 * fan.label))
    columns = (cos * view.x + sin * view.y + np.float32(fan.label)) * scale - 0.5
    rows = (cos * view.y - sin * view.x + np.float32(fan.label)) * scale - 0.5
    sheen = 0.92 + 0.25 * (view.x * view.light[0] + view.y * view.light[1])
    for under, ink in zip(image, art, strict=True):
        over = ndimage.map_coordinates(ink, (rows, columns), order=1, mode="nearest")
        under += (over * sheen - under) * alpha


def label_cover(view: View, fan: Fan, torn: TornLabel | None) -> Plane:
    """Return where the label, or what is left of it, covers the hub."""
    whole = coverage(np.float32(fan.label) - view.r, view.pixel)
    return whole if torn is None else whole * coverage(_kept(view, fan, torn), view.pixel)


def _kept(view: View, fan: Fan, torn: TornLabel) -> Plane:
    """Return the distance inside the part of the label that still sticks."""
    cos, sin = np.float32(np.cos(torn.direction)), np.float32(np.sin(torn.direction))
    along, aside = view.x * cos + view.y * sin, view.y * cos - view.x * sin
    edge = fan.label * (1 - 2 * torn.share) - view.pixel
    ragged = 0.02 * fan.label * np.sin(aside * np.float32(12 / fan.label))
    kept: Plane = np.float32(edge) - along + ragged
    return kept
