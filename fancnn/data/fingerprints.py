"""Descriptors of images by which copies of one photograph find one another, however they were edited.

Images are compared as small gray ones, `SIDE` x `SIDE` pixels whatever their shape. The magnitudes of a windowed
Fourier transform do not change with a shift; a turn by 90 degrees or a mirror image only lets those of the frequencies
(u, v), (v, u), (-u, v) and (-v, u) change places, so that the four, sorted, know of neither. Contrast and blur multiply
all frequencies of a ring alike: the mean of each ring is taken off the logarithms.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 64
RADIUS = 10  # of the frequencies that are looked at: finer ones change with every shift and compression
DIMENSIONS = 64
SCALES = (1.0, 0.95, 0.9, 0.86)  # sides of the middle that is cut out, so that a crop meets what it was cut from
AT_ONCE = 1024  # images


def center_crops(grays: Tensor, scale: float) -> Tensor:
    """Return the middle of small gray images, enlarged to their size.

    Args:
        grays: `(n, SIDE, SIDE)` float.
        scale: Share of height and width that is kept.
    """
    if scale == 1:
        return grays
    steps = torch.linspace(-1, 1, SIDE) * scale
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([columns, rows], -1).expand(len(grays), SIDE, SIDE, 2)
    return functional.grid_sample(grays[:, None], grid, align_corners=True)[:, 0]


def window() -> Tensor:
    """Return a Hann window, `(SIDE, SIDE)`: 1 in the middle, 0 beyond the edge."""
    line = torch.hann_window(SIDE + 2, periodic=False)[1:-1]
    return torch.outer(line, line)


def standardized(grays: Tensor) -> Tensor:
    """Return images of mean 0 and deviation 1; of even ones, zeros."""
    centered = grays - grays.mean((-2, -1), keepdim=True)
    return centered / centered.square().mean((-2, -1), keepdim=True).sqrt().clamp(min=1)


def spectra(grays: Tensor) -> Tensor:
    """Return what is invariant in small gray images.

    Args:
        grays: `(n, SIDE, SIDE)` float, 0 to 255.

    Returns:
        `(n, features)`; the same for an image, its turns and its mirror images, nearly the same for shifts, blur,
        contrast and compression.
    """
    magnitudes = torch.fft.rfft2(standardized(grays) * window()).abs().log1p()  # (n, SIDE, SIDE / 2 + 1)
    features, rings = [], []
    for ring, places in _orbits():
        rows, columns = zip(*places, strict=True)
        features.append(magnitudes[:, list(rows), list(columns)].sort(1).values)
        rings += [ring] * len(places)
    together, of_ring = torch.cat(features, 1), torch.tensor(rings)
    for ring in set(rings):
        together[:, of_ring == ring] -= together[:, of_ring == ring].mean(1, keepdim=True)
    return together


def descriptors(grays: Tensor) -> list[Tensor]:
    """Return what images are looked for by, at each of `SCALES`; the first is also what they are found by.

    The features are turned to the principal axes of this set and divided by the root of each deviation: what varies
    little in it, as the layout of a part in its fixture, counts more than its size, and noise not as much as all else.

    Args:
        grays: `(n, SIDE, SIDE)` uint8.

    Returns:
        Of each scale `(n, at most DIMENSIONS)` float32.
    """
    whole = _in_blocks(grays, 1.0)
    center = whole.mean(0)
    values, axes = torch.linalg.eigh(torch.cov((whole - center).T.double()))
    kept = (values > values[-1] * 1e-6).nonzero()[:, 0].flip(0)[:DIMENSIONS]
    project = (axes[:, kept] * values[kept].clamp(min=1e-12) ** -0.25).float()
    scaled = (whole if scale == 1 else _in_blocks(grays, scale) for scale in SCALES)
    return [(features - center) @ project for features in scaled]


def _in_blocks(grays: Tensor, scale: float) -> Tensor:
    return torch.cat([spectra(center_crops(block.float(), scale)) for block in torch.split(grays, AT_ONCE)])


def _orbits() -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield the ring and the places of frequencies that turns and mirrors exchange, in the half that `rfft2` has."""
    for high in range(1, RADIUS + 1):
        for low in range(high + 1):
            if (radius := (high * high + low * low) ** 0.5) > RADIUS:
                continue
            exchanged = {(high, low), (low, high), (-high, low), (-low, high)}
            # a real image has the same magnitude at (u, v) and (-u, -v)
            half = {(row % SIDE, column) for row, column in exchanged} - ({(SIDE - high, 0)} if low == 0 else set())
            yield round(radius), sorted(half)
