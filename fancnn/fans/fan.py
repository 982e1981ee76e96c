"""What one fan is like: its plastics, its blades, its label."""

from dataclasses import dataclass

import numpy as np

from fancnn.fans.label_print import DESIGNS, Print
from fancnn.fans.raster import Colour

# Shared proportions, in fan units (the frame reaches from -1 to 1).
OPENING = 0.93
TIP = 0.885
HOLE_OFFSET = 0.855
HOLE_RADIUS = 0.066
CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))

# Frame and blade plastics that are sold together.
_PLASTICS: tuple[tuple[Colour, Colour], ...] = (
    ((0.102, 0.102, 0.106), (0.145, 0.145, 0.15)),
    ((0.118, 0.118, 0.122), (0.160, 0.160, 0.165)),
    ((0.092, 0.098, 0.108), (0.145, 0.151, 0.161)),
)


@dataclass(frozen=True)
class Fan:
    """One fan, before anything is wrong with it. Lengths in fan units, angles in radians.

    Attributes:
        frame: Colour of the frame's plastic.
        plastic: Colour of the rotor's plastic.
        rim: Colour of the rims of the screw holes.
        blades: Number of blades.
        rotor: Angle at which the rotor came to rest.
        sweep: How far a blade bends round from hub to tip; the sign is its direction.
        width: Share of the pitch that a blade covers.
        hub: Radius of the hub.
        label: Radius of the printed label.
        struts: Number of struts behind the rotor.
        strut_angle: Angle of the first strut.
        gloss: Strength of the highlights on the blades.
        print: What the label says.
    """

    frame: Colour
    plastic: Colour
    rim: Colour
    blades: int
    rotor: float
    sweep: float
    width: float
    hub: float
    label: float
    struts: int
    strut_angle: float
    gloss: float
    print: Print


def draw_fan(rng: np.random.Generator) -> Fan:
    """Draw a good fan at random."""
    frame, plastic = _PLASTICS[rng.integers(len(_PLASTICS))]
    hub = rng.uniform(0.37, 0.41)
    return Fan(
        frame=_varied(frame, rng),
        plastic=_varied(plastic, rng),
        rim=((0.28, 0.275, 0.265), (0.18, 0.18, 0.185))[rng.integers(2)],
        blades=int(rng.choice((7, 7, 9))),
        rotor=rng.uniform(0, 2 * np.pi),
        sweep=rng.uniform(0.45, 0.75),
        width=rng.uniform(0.81, 0.86),
        hub=hub,
        label=hub * rng.uniform(0.80, 0.86),
        struts=int(rng.integers(3, 5)),
        strut_angle=rng.uniform(0, 2 * np.pi),
        gloss=rng.uniform(0.05, 0.25),
        print=Print(int(rng.integers(len(DESIGNS))), int(rng.integers(1000, 10000))),
    )


def _varied(colour: Colour, rng: np.random.Generator) -> Colour:
    """Return another batch of the same plastic: a little brighter or darker, a little tinted."""
    level = rng.uniform(0.92, 1.08)
    red, green, blue = (channel * level * rng.uniform(0.98, 1.02) for channel in colour)
    return red, green, blue
