"""What lies on top of the fan: scratches, stains, and the dust that every good fan has, too."""

import numpy as np

from fancnn.fans.defects import Scratch, Stain
from fancnn.fans.raster import Plane, View, coverage, lay_over, noise, ramp, stroke


def draw_dust(image: Plane, view: View, rng: np.random.Generator) -> None:
    """Scatter a few light specks over the image, in place: harmless."""
    count = int(rng.integers(2, 14))
    places = rng.uniform(-1.0, 1.0, (count, 2))
    sizes = rng.uniform(0.004, 0.011, count)
    for (x, y), size in zip(places, sizes, strict=True):
        near, patch = view.around((x, y), size, image)
        speck = np.float32(size) - np.hypot(near.x - np.float32(x), near.y - np.float32(y))
        lay_over(patch, np.minimum(coverage(speck, view.pixel), 0.35), (0.75, 0.74, 0.72))


def draw_scratch(image: Plane, view: View, solid: Plane, scratch: Scratch) -> None:
    """Scratch the fan where it is solid, in place: a light line, its ends thinning out."""
    points = view.to_pixels(np.array(scratch.points))
    width = scratch.width / view.pixel
    line = 0.5 * stroke(points, width, view.size) + 0.5 * stroke(points[2:-2], width, view.size)
    lay_over(image, line * solid * np.float32(scratch.strength), (0.93, 0.93, 0.91))


def draw_stain(image: Plane, view: View, solid: Plane, stain: Stain) -> None:
    """Stain the fan where it is solid, in place."""
    rng = np.random.default_rng(stain.seed)
    x, y = view.x - np.float32(stain.centre[0]), view.y - np.float32(stain.centre[1])
    # The outline is noise in the stain's own coordinates, so that it does not depend on the view.
    angle, r = np.arctan2(y, x), np.hypot(x, y)
    outline = np.ones_like(r)
    for waves in range(2, 7):
        outline += np.float32(rng.normal(0, 0.35 / waves)) * np.sin(waves * angle + rng.uniform(0, 6.3))
    inside = np.float32(stain.radius) * np.maximum(outline, 0.4) - r
    patchy = 0.85 + 0.12 * noise(rng, view.size, (24, 24))
    # A dried drop is darkest at its border.
    body = ramp(inside, -0.015, 0.03) * (0.8 + 0.2 * ramp(inside, 0.08, 0.02))
    alpha = np.clip(body * patchy, 0, 1) * solid * np.float32(stain.strength)
    lay_over(image, alpha, stain.colour)
