"""Decoded images kept on disk: each file of a folder is decoded once, ever, and then memory-mapped.

A cache folder belongs to one root, one preprocessing and the versions of what decodes:

| file | content |
| --- | --- |
| `about.json` | what the folder belongs to |
| `index.csv` | the name of the pixel file, then a `Line` for each file that was read; the last of a path counts |
| `pixels-<n>.u8` | rows of `3 * height * width` bytes, one for each content |
| `lock` | held by the one process that fills it |

Rows reach the disk before the lines that name them, and both are only ever added: a build that is killed goes on where
it stopped, and a process that trains on the rows is not disturbed by another that adds some. A line holds while the
file's size, times and inode stay; a file that was touched or moved is read again, and gets a row only if its content
is new. Once most rows belong to files that are gone, the others move to a new pixel file.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL
import simplejpeg
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from fancnn.data.cache_index import INDEX, Line, appending, commit, read_index, to_disk, write_index
from fancnn.errors import UserError
from fancnn.files.atomic_files import make_folder, write_atomically
from fancnn.files.json_files import read_json
from fancnn.files.plain_data import list_of, one_of, record, text, validate, whole
from fancnn.images.decoding import decode
from fancnn.images.image_gate import DEFAULT_GATE, ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.settings.choices import Background, Resize

FORMAT, VERSION = "fancnn-decoded", 2  # 1 had no hash of pixels
ABOUT, LOCK = "about.json", "lock"
FLUSH_EVERY = 256  # files between two points from which a killed build goes on
SPARE = 1000  # rows of files that are gone, kept without thought of the space


@dataclass(frozen=True)
class DecodedFiles:
    """Pixels `(rows, 3, height, width)` uint8 if they are kept, and for each file, in the order asked for, its line."""

    pixels: Tensor | None
    lines: list[Line]


def cache_name(root: Path, preprocess: Preprocess) -> str:
    """Return the name of the cache folder of `root`: readable, and another one for whatever may change a pixel."""
    about = json.dumps(_about(root, preprocess), sort_keys=True)
    return f"{root.resolve().name or 'root'}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def decoded_files(
    folder: Path,
    root: Path,
    names: Sequence[str],
    preprocess: Preprocess,
    *,
    gate: ImageGate = DEFAULT_GATE,
    track: Callable[[Iterable[Line], int], Iterable[Line]] = lambda lines, total: lines,
    waiting: Callable[[], None] = lambda: None,
) -> DecodedFiles:
    """Return the pixels of the files `names` under `root`, from the cache `folder`; what it lacks is decoded into it.

    Args:
        folder: Made if it is not there.
        root: Where the images are.
        names: Paths relative to `root`, with `/`.
        preprocess: Gives size, resize and background.
        gate: What is let in, and how much of it at once.
        track: Passes the new lines on, for a progress bar; gets how many there will be.
        waiting: Called once if another process is filling the folder at this moment.

    Raises:
        OSError: If the folder cannot be written: no permission, or the disk is full.
    """
    make_folder(folder)
    with _locked(folder, waiting):
        _begin(folder, root, preprocess)
        store = _Store(folder, preprocess, gate)
        stale = [name for name in names if not store.holds(name, root)]
        for line in track(store.add(root, stale), len(stale)) if stale else ():
            store.index[line.path] = line
        if store.rows() > 2 * len(names) + SPARE:
            store.compact(root)
        return DecodedFiles(store.mapped(), [store.index[name] for name in names])


def decoded_afresh(
    root: Path,
    names: Sequence[str],
    preprocess: Preprocess,
    *,
    gate: ImageGate = DEFAULT_GATE,
    keep: bool = True,
    track: Callable[[Iterable[Line], int], Iterable[Line]] = lambda lines, total: lines,
) -> DecodedFiles:
    """Yield the same without a cache: decoded now and kept in memory for this run alone, or only looked at."""
    pixels = torch.empty((len(names), 3, *preprocess.image_size), dtype=torch.uint8) if keep else None

    def lines() -> Iterator[Line]:
        decoded = decode((root / name for name in names), preprocess, gate=gate)
        for row, (name, item) in enumerate(zip(names, decoded, strict=True)):
            if pixels is not None and item.pixels is not None:
                pixels[row] = item.pixels
            row = -1 if item.pixels is None else row
            yield Line(name, 0, 0, 0, 0, item.sha256, row, item.error, item.pixel_sha256)

    return DecodedFiles(pixels, list(track(lines(), len(names))))


class _Store:
    """An open cache folder, its lock held."""

    def __init__(self, folder: Path, preprocess: Preprocess, gate: ImageGate) -> None:
        self.folder, self.preprocess, self.gate = folder, preprocess, gate
        self.shape = (3, *preprocess.image_size)
        self.row_bytes = 3 * preprocess.image_size[0] * preprocess.image_size[1]
        self.pixel_file, self.index = read_index(folder)

    def rows(self) -> int:
        return self.pixel_file.stat().st_size // self.row_bytes

    def holds(self, name: str, root: Path) -> bool:
        """Return whether the index still holds for a file; one that could not be read is tried again each time."""
        line = self.index.get(name)
        return line is not None and 0 <= line.row < self.rows() and line.stamp() == _stamp(root / name)

    def add(self, root: Path, names: Sequence[str]) -> Iterator[Line]:
        """Decode `names` into new rows; a content that has a row already gets no second one."""
        row_of = {line.sha256: line.row for line in self.index.values() if 0 <= line.row < self.rows()}
        free, pending = max(row_of.values(), default=-1) + 1, list[Line]()
        stamps = [_stamp(root / name) for name in names]  # before the content, so that a later change shows
        with self.pixel_file.open("r+b") as pixels, appending(self.folder / INDEX) as lines:
            pixels.seek(free * self.row_bytes)
            for name, stamp, item in zip(
                names, stamps, decode([root / name for name in names], self.preprocess, gate=self.gate), strict=True
            ):
                row = -1
                if item.pixels is not None:
                    row = row_of.setdefault(item.sha256, free)
                if row == free and item.pixels is not None:
                    pixels.write(item.pixels.numpy().tobytes())
                    free += 1
                line = Line(name, *stamp, item.sha256, row, item.error, item.pixel_sha256)
                pending.append(line)
                if len(pending) == FLUSH_EVERY:
                    commit(pixels, lines, pending)
                yield line
            commit(pixels, lines, pending)

    def compact(self, root: Path) -> None:
        """Move the rows of files that still exist to a new pixel file; the index changes over in one step."""
        kept = [line for name, line in self.index.items() if (root / name).exists()]
        rows = sorted({line.row for line in kept if line.row >= 0})
        new_row = {row: place for place, row in enumerate(rows)}
        target = self.folder / f"pixels-{int(self.pixel_file.stem.split('-')[1]) + 1}.u8"
        with self.pixel_file.open("rb") as old, target.open("wb") as new:
            for row in rows:
                old.seek(row * self.row_bytes)
                new.write(old.read(self.row_bytes))
            to_disk(new)
        lines = [replace(line, row=new_row.get(line.row, -1)) for line in kept]
        write_index(self.folder, target.name, lines)
        self.pixel_file.unlink()
        self.pixel_file, self.index = target, {line.path: line for line in lines}

    def mapped(self) -> Tensor:
        """Return the rows as a tensor on the file: pages come and go with the system's cache."""
        rows = self.rows()
        if rows == 0:
            return torch.empty((0, *self.shape), dtype=torch.uint8)
        flat = torch.from_file(str(self.pixel_file), shared=False, size=rows * self.row_bytes, dtype=torch.uint8)
        return flat.view(rows, *self.shape)


def read_about(folder: Path) -> dict[str, Any] | None:
    """Return what a cache folder belongs to; None if it is none."""
    try:
        about = read_json(folder / ABOUT, "what a folder of decoded images belongs to")
        validate(about, _ABOUT, str(folder / ABOUT))
    except UserError:
        return None
    return about


_ABOUT = record(
    {
        "format": one_of(FORMAT),
        "root": text,
        "image_size": list_of(whole(1), 2, 2),
        "resize": one_of(*Resize),
        "background": one_of(*Background),
    },
    ("format", "root", "image_size", "resize", "background"),
)


def wrong_rows(folder: Path, preprocess: Preprocess, gate: ImageGate = DEFAULT_GATE) -> list[str]:
    """Return the paths whose row is not what their file decodes to now.

    Files that are gone or have changed are no matter, nor are those that `gate` does not let in.
    """
    with _locked(folder, lambda: None):
        store, about = _Store(folder, preprocess, gate), read_about(folder)
        root = Path((about or {})["root"])
        names = [name for name in store.index if store.holds(name, root)]
        pixels, wrong = store.mapped(), []
        for name, item in zip(names, decode((root / name for name in names), preprocess, gate=gate), strict=True):
            row = pixels[store.index[name].row]
            if not item.too_large and (item.pixels is None or not torch.equal(item.pixels, row)):
                wrong.append(name)
        return wrong


def _begin(folder: Path, root: Path, preprocess: Preprocess) -> None:
    """Make what a fresh folder lacks, in an order that leaves no half of it after a kill."""
    if not (folder / ABOUT).is_file():
        write_atomically(folder / ABOUT, json.dumps(_about(root, preprocess)).encode())
    if not (folder / INDEX).is_file():
        (folder / "pixels-1.u8").touch()
        write_index(folder, "pixels-1.u8", [])


@contextmanager
def _locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _stamp(path: Path) -> tuple[int, int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0, 0
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _about(root: Path, preprocess: Preprocess) -> Mapping[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "root": str(root.resolve()),
        "image_size": list(preprocess.image_size),
        "resize": preprocess.resize,
        "background": preprocess.background,
        "decoders": {"pillow": PIL.__version__, "simplejpeg": simplejpeg.__version__, "torch": torch.__version__},
    }
