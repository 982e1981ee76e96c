"""A whole set of surfaces on disk."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fancnn.rendering.rendered_set import RenderedImage, planned_kinds, write_set
from fancnn.settings.groups import SurfacesSettings
from fancnn.surfaces.rendered_surface import SCRATCH, ScratchSize, render_surface

VERSION = 1


def render_surfaces(
    root: str | os.PathLike[str],
    *,
    count: int = 400,
    seed: int = 0,
    ng_fraction: float = 0.5,
    size: int = 1024,
    length: Sequence[float] = (7, 14),
    width: Sequence[float] = (2, 4),
    contrast: Sequence[float] = (0.12, 0.3),
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Render a set of surfaces into a new folder, laid out as the docstring of `fancnn.rendering` says.

    The same arguments give the same bytes of every file. Apart from its scratch, an image depends on `seed` and its
    number alone, so that a larger set begins with the same surfaces.

    Args:
        root: Folder to create; an empty one may exist.
        count: Number of images, at least 1.
        seed: Seed of everything random, 0 or more.
        ng_fraction: Share of scratched surfaces, from 0 to 1; `round(count * ng_fraction)` of them.
        size: Width and height of the images in pixels, at least 96.
        length: Least and most of a scratch, pixels.
        width: Least and most of a scratch, pixels.
        contrast: Least and most of the brightness that a scratch adds or takes, in values from 0 to 1.
        workers: Number of processes, at least 1; by default one per core.
        progress: Called with the number of images finished since its last call.

    Returns:
        The folder.

    Raises:
        UserError: If an argument is out of range or the folder has something in it.
    """
    SurfacesSettings(count, seed, ng_fraction, size, [*length], [*width], [*contrast])  # whose checks they are
    kinds = planned_kinds(count, seed, ng_fraction, [SCRATCH])
    scratch = ScratchSize((length[0], length[1]), (width[0], width[1]), (contrast[0], contrast[1]))
    return write_set(Path(root), "surface", VERSION, kinds, partial(_render, seed, size, scratch), workers, progress)


def _render(seed: int, size: int, scratch: ScratchSize, index: int, kind: str | None) -> RenderedImage:
    return render_surface(seed, index, kind, size, scratch)
