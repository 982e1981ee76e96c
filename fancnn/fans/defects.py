"""What can be wrong with a fan: seven kinds of defect, each drawn at random for a given fan.

Sizes are in fan units at severity 1 and grow in proportion to the severity, up to the size of the
part itself: nothing can be more missing than a whole blade.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fancnn.fans.fan import CORNERS, OPENING, TIP, Fan
from fancnn.fans.raster import Colour

Point = tuple[float, float]

# The angles, in degrees, between which a label counts as turned.
LABEL_TURN = (8.0, 90.0)


@dataclass(frozen=True)
class TurnedLabel:
    """The label sits at `angle` radians to the frame."""

    angle: float


@dataclass(frozen=True)
class TornLabel:
    """The `share` of the label's diameter that is gone, torn off towards `direction` in radians."""

    share: float
    direction: float


@dataclass(frozen=True)
class LostBlade:
    """The blade is gone from its tip down to `share` of its length."""

    blade: int
    share: float


@dataclass(frozen=True)
class Chip:
    """A bite of `radius` out of a blade, centred on its outline at `(r, across)`.

    Attributes:
        blade: Which blade.
        r: Distance of the bite's middle from the axle.
        across: Its place across the blade, from 0 at the leading edge to 1 at the trailing one.
        radius: Size of the bite.
        ragged: Phase of its ragged outline, in radians.
    """

    blade: int
    r: float
    across: float
    radius: float
    ragged: float


@dataclass(frozen=True)
class Scratch:
    """A light line through `points`, `width` fan units wide, with `strength` from 0 to 1."""

    points: tuple[Point, ...]
    width: float
    strength: float


@dataclass(frozen=True)
class Stain:
    """A blotch of `colour` around `centre`, with the noise of `seed` as its outline."""

    centre: Point
    radius: float
    colour: Colour
    strength: float
    seed: int


@dataclass(frozen=True)
class BlockedScrew:
    """Plastic in the hole of a `corner`: `share` of the hole is closed, from `direction`."""

    corner: int
    share: float
    direction: float
    spill: float
    brightness: float


@dataclass(frozen=True)
class Defects:
    """What is wrong with one fan; all None for a good one."""

    turned_label: TurnedLabel | None = None
    torn_label: TornLabel | None = None
    lost_blade: LostBlade | None = None
    chip: Chip | None = None
    scratch: Scratch | None = None
    stain: Stain | None = None
    blocked_screw: BlockedScrew | None = None


def draw_defect(kind: str, fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    """Draw one defect of the named kind for a fan.

    Args:
        kind: One of `DEFECTS`.
        fan: The fan that is to have it.
        rng: Where the random numbers come from.
        severity: Size relative to the usual one, above 0.
    """
    return _DRAW[kind](fan, rng, severity)


def _label_rotated(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    smallest, largest = np.deg2rad(LABEL_TURN)
    # The power moves angles towards one end of the range; the range itself stays.
    angle = smallest + (largest - smallest) * rng.uniform() ** (1 / severity)
    return Defects(turned_label=TurnedLabel(float(angle * rng.choice((-1, 1)))))


def _label_missing(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    return Defects(torn_label=TornLabel(min(severity, 1.0), rng.uniform(0, 2 * np.pi)))


def _blade_missing(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    return Defects(lost_blade=LostBlade(int(rng.integers(fan.blades)), 0.92 * min(severity, 1.0)))


def _blade_chipped(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    radius = severity * rng.uniform(0.12, 0.19)
    at_tip = rng.uniform() < 0.5
    r = TIP if at_tip else rng.uniform(fan.hub + 0.55 * (TIP - fan.hub), TIP - 0.05)
    across = rng.uniform(0.2, 0.8) if at_tip else float(rng.integers(2))
    blade = int(rng.integers(fan.blades))
    return Defects(chip=Chip(blade, r, across, radius, rng.uniform(0, 2 * np.pi)))


def _scratch(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    middle = np.array(_spot(fan, rng))
    heading = rng.uniform(0, 2 * np.pi)
    half = severity * rng.uniform(0.34, 0.50)
    bend = rng.uniform(-0.25, 0.25)
    t = np.linspace(-1, 1, 13)
    along = np.array([np.cos(heading), np.sin(heading)])
    aside = np.array([-along[1], along[0]])
    line = middle + half * (t[:, None] * along + bend * (1 - t[:, None] ** 2) * aside)
    line += rng.normal(0, 0.004, line.shape)
    points = tuple((float(x), float(y)) for x, y in line)
    width = rng.uniform(0.032, 0.046) * min(severity, 1.5) ** 0.5
    return Defects(scratch=Scratch(points, width, min(1.0, rng.uniform(0.88, 1.0) * severity**0.25)))


def _stain(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    colour = _STAINS[rng.integers(len(_STAINS))]
    radius = severity * rng.uniform(0.19, 0.29)
    strength = min(0.9, rng.uniform(0.65, 0.88) * severity**0.25)
    return Defects(stain=Stain(_spot(fan, rng), radius, colour, strength, int(rng.integers(2**31))))


def _screw_blocked(fan: Fan, rng: np.random.Generator, severity: float) -> Defects:
    share = min(1.0, severity * rng.uniform(0.8, 1.0))
    return Defects(
        blocked_screw=BlockedScrew(
            corner=int(rng.integers(len(CORNERS))),
            share=share,
            direction=rng.uniform(0, 2 * np.pi),
            spill=max(1.0, severity) ** 0.5 * rng.uniform(1.1, 1.4),
            brightness=rng.uniform(4.8, 6.6),
        )
    )


# Dried coolant, rust, adhesive, grease.
_STAINS: tuple[Colour, ...] = ((0.90, 0.80, 0.55), (0.80, 0.40, 0.10), (0.92, 0.74, 0.25), (0.85, 0.55, 0.25))

_DRAW: dict[str, Callable[[Fan, np.random.Generator, float], Defects]] = {
    "label_rotated": _label_rotated,
    "label_missing": _label_missing,
    "blade_missing": _blade_missing,
    "blade_chipped": _blade_chipped,
    "scratch": _scratch,
    "stain": _stain,
    "screw_blocked": _screw_blocked,
}

DEFECTS: tuple[str, ...] = tuple(_DRAW)


def _spot(fan: Fan, rng: np.random.Generator) -> Point:
    """Return a place on the blades, the hub or a corner of the frame."""
    part = rng.integers(3)
    if part == 2:
        side_x, side_y = CORNERS[rng.integers(len(CORNERS))]
        return float(side_x * rng.uniform(0.68, 0.86)), float(side_y * rng.uniform(0.68, 0.86))
    inner, outer = ((0.0, fan.hub), (fan.hub + 0.08, OPENING - 0.1))[part]
    r, theta = rng.uniform(inner, outer), rng.uniform(0, 2 * np.pi)
    return float(r * np.cos(theta)), float(r * np.sin(theta))
