"""A whole set of fans on disk: images, masks and the table that tells the truth about them."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fancnn.errors import UserError
from fancnn.fans.dataset_plan import Order, kinds
from fancnn.fans.rendered_image import render_image
from fancnn.fans.workers import parallel_map
from fancnn.files.atomic_files import atomic_folder, sync_folder

VERSION = 1
COLUMNS = ("file", "class", "defect_type", "severity", "x0", "y0", "x1", "y1", "mask", "version")

Row = tuple[str | int, ...]


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
    """Render a set of fans into a new folder, laid out as the package's docstring tells.

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
    order = Order(count, seed, ng_fraction, size, severity)
    order.check()
    if workers is not None and workers < 1:
        raise UserError(f"workers={workers} is out of range: expected at least 1. Omit it for one per core")
    with _appearing(Path(root)) as folder:
        defects = kinds(order)
        _make_folders(folder, defects)
        jobs = [(folder, order, index, kind) for index, kind in enumerate(defects)]
        _write_table(folder / "fans.csv", parallel_map(_write_image, jobs, workers, progress or _ignore))
    return Path(root)


def _ignore(finished: int) -> None:
    """Ignore progress that nobody asked for."""


@contextmanager
def _appearing(root: Path) -> Iterator[Path]:
    """Lend a folder beside `root` that becomes `root` if the block succeeds, and else vanishes."""
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(
            f"{root} exists and is not an empty folder; rendered fans need one of their own. "
            "Name a new folder, or delete this one first"
        )
    try:
        with atomic_folder(root) as partial:
            yield partial
            os.sync()  # one call for all: thousands of small files, one by one, take longer than rendering them
            _put_in_place(partial, root)
            sync_folder(root.parent)
    except OSError as error:
        raise UserError(
            f"Cannot write a folder in {root.parent} ({error.strerror}). Name a place that can be written"
        ) from error


def _put_in_place(partial: Path, root: Path) -> None:
    try:
        if root.exists():
            root.rmdir()  # empty; some systems rename onto nothing but a free name
        partial.rename(root)
    except OSError as error:
        raise UserError(
            f"The rendered fans could not be moved to {root} ({error.strerror}); something else may have "
            "written there in the meantime. Name a new folder"
        ) from error


def _make_folders(folder: Path, defects: Sequence[str | None]) -> None:
    for kind in set(defects):
        if kind is None:
            (folder / "GO").mkdir()
        else:
            (folder / "NG" / kind).mkdir(parents=True)
            (folder / ".masks" / kind).mkdir(parents=True)


def _write_image(job: tuple[Path, Order, int, str | None]) -> Row:
    """Render and write one image with its mask; return its row."""
    folder, order, index, kind = job
    image = render_image(order.seed, index, kind, order.size, order.severity)
    file = f"GO/fan_{index:05d}.jpg" if kind is None else f"NG/{kind}/fan_{index:05d}.jpg"
    Image.fromarray(image.pixels).save(folder / file, quality=image.quality)
    if image.mask is None:
        return (file, "GO", "", "", "", "", "", "", "", VERSION)
    mask_file = f".masks/{kind}/fan_{index:05d}.png"
    Image.fromarray(image.mask.astype(np.uint8) * 255).save(folder / mask_file)
    return (file, "NG", kind or "", f"{image.severity:.2f}", *_box(image.mask), mask_file, VERSION)


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the smallest half-open box round the mask, as (x0, y0, x1, y1)."""
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
