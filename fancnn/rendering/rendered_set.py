"""A whole set of rendered images on disk, laid out as the package's docstring says."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_folder, sync_folder
from fancnn.rendering.workers import parallel_map

SETS = ("fans", "surfaces")  # what the sets of this package are called, and their tables
COLUMNS = ("file", "class", "defect_type", "severity", "x0", "y0", "x1", "y1", "mask", "version")
CLASSES = 0x60_0D  # keeps the shuffling of the classes apart from the images' own random numbers

Row = tuple[str | int, ...]


@dataclass(frozen=True)
class RenderedImage:
    """An image ready to be written.

    Attributes:
        pixels: `(height, width, 3)` bytes.
        quality: JPEG quality to write it with.
        mask: `(height, width)` booleans, where the defect is; None for a good part.
        severity: Square root of the number of pixels that the defect changes; None for a good part.
    """

    pixels: NDArray[np.uint8]
    quality: int
    mask: NDArray[np.bool_] | None
    severity: float | None


Render = Callable[[int, str | None], RenderedImage]


def planned_kinds(count: int, seed: int, ng_fraction: float, defects: Sequence[str]) -> list[str | None]:
    """Return the kind of each image's defect, None for the good ones.

    `round(count * ng_fraction)` images get one. Their places are shuffled by the seed, and the
    numbers of two kinds of defect differ by one at most.
    """
    shuffled = np.random.default_rng((seed, CLASSES)).permutation(count)
    kinds: list[str | None] = [None] * count
    for turn, index in enumerate(shuffled[: round(count * ng_fraction)]):
        kinds[index] = defects[turn % len(defects)]
    return kinds


def write_set(
    root: Path,
    name: str,
    version: int,
    kinds: Sequence[str | None],
    render: Render,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Render a set into a new folder, which appears only when it is complete, and return the folder.

    The same arguments give the same bytes of every file, whatever `workers` is.

    Args:
        root: Folder to create; an empty one may exist.
        name: Of one part; its plural is what the table is called, and messages say.
        version: Of the renderer.
        kinds: The kind of each image's defect, by number; None for a good part.
        render: Makes an image from its number and kind; a function that another process can import, or a partial of
            one.
        workers: Number of processes, at least 1; by default one per core. With 1, or for a few
            images only, this process does the work.
        progress: Called with the number of images finished since its last call.

    Raises:
        UserError: If `workers` is out of range, the folder has something in it, or it cannot be written.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers={workers} is out of range: expected at least 1. Omit it for one per core")
    with _appearing(root, f"rendered {name}s") as folder:
        _make_folders(folder, kinds)
        work = partial(_write_image, folder, name, version, render)
        rows = parallel_map(work, list(enumerate(kinds)), workers, progress or _ignore)
        _write_table(folder / f"{name}s.csv", rows)
    return root


def _ignore(finished: int) -> None:
    """Ignore progress that nobody asked for."""


@contextmanager
def _appearing(root: Path, what: str) -> Iterator[Path]:
    """Lend a folder beside `root` that becomes `root` if the block succeeds, and else vanishes."""
    root = root.resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(
            f"{root} exists and is not an empty folder; {what} need one of their own. "
            "Name a new folder, or delete this one first"
        )
    try:
        with atomic_folder(root) as partial:
            yield partial
            os.sync()  # one call for all: thousands of small files, one by one, take longer than rendering them
            _put_in_place(partial, root, what)
            sync_folder(root.parent)
    except OSError as error:
        raise UserError(
            f"Cannot write a folder in {root.parent} ({error.strerror}). Name a place that can be written"
        ) from error


def _put_in_place(partial: Path, root: Path, what: str) -> None:
    try:
        if root.exists():
            root.rmdir()  # empty; some systems rename onto nothing but a free name
        partial.rename(root)
    except OSError as error:
        raise UserError(
            f"The {what} could not be moved to {root} ({error.strerror}); something else may have "
            "written there in the meantime. Name a new folder"
        ) from error


def _make_folders(folder: Path, kinds: Sequence[str | None]) -> None:
    for kind in set(kinds):
        if kind is None:
            (folder / "GO").mkdir()
        else:
            (folder / "NG" / kind).mkdir(parents=True)
            (folder / ".masks" / kind).mkdir(parents=True)


def _write_image(folder: Path, name: str, version: int, render: Render, job: tuple[int, str | None]) -> Row:
    """Render and write one image with its mask; return its row."""
    index, kind = job
    image, stem = render(index, kind), f"{name}_{index:05d}"
    file = f"GO/{stem}.jpg" if kind is None else f"NG/{kind}/{stem}.jpg"
    Image.fromarray(image.pixels).save(folder / file, quality=image.quality)
    if image.mask is None:
        return (file, "GO", "", "", "", "", "", "", "", version)
    mask_file = f".masks/{kind}/{stem}.png"
    Image.fromarray(image.mask.astype(np.uint8) * 255).save(folder / mask_file)
    return (file, "NG", kind or "", f"{image.severity:.2f}", *_box(image.mask), mask_file, version)


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the smallest half-open box round the mask, as (x0, y0, x1, y1)."""
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
