"""A whole set of fans on disk."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fancnn.fans.defects import DEFECTS
from fancnn.fans.rendered_fan import render_fan
from fancnn.rendering.rendered_set import RenderedImage, planned_kinds, write_set
from fancnn.settings.groups import FansSettings

VERSION = 1


def render_fans(
    root: str | os.PathLike[str],
    *,
    count: int = 600,
    seed: int = 0,
    ng_fraction: float = 0.5,
    size: int = 240,
    severity: float = 1.0,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Render a set of fans into a new folder, laid out as the docstring of `fancnn.rendering` says.

    The same arguments give the same bytes of every file, whatever `workers` is. Apart from its
    class, an image depends on `seed` and its number alone, so that a larger set begins with the
    same fans. The folder appears only when it is complete.

    Args:
        root: Folder to create; an empty one may exist.
        count: Number of images, at least 1.
        seed: Seed of everything random, 0 or more.
        ng_fraction: Share of defective fans, from 0 to 1; `round(count * ng_fraction)` of them.
        size: Width and height of the images in pixels, at least 48.
        severity: Size of the defects, above 0: 0.5 for half as large, 2 for twice.
        workers: Number of processes, at least 1; by default one per core. With 1, or for a few
            images only, this process does the work.
        progress: Called with the number of images finished since its last call.

    Returns:
        The folder.

    Raises:
        UserError: If an argument is out of range or the folder has something in it.
    """
    FansSettings(count, seed, ng_fraction, size, severity)  # whose checks they are
    kinds = planned_kinds(count, seed, ng_fraction, DEFECTS)
    return write_set(Path(root), "fan", VERSION, kinds, partial(_render, seed, size, severity), workers, progress)


def _render(seed: int, size: int, severity: float, index: int, kind: str | None) -> RenderedImage:
    return render_fan(seed, index, kind, size, severity)
