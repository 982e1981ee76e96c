"""Decoded images kept on disk: each file of a folder is decoded once, ever, and then memory-mapped.

A cache folder belongs to one root, one preprocessing and the versions of what decodes:

| file | content |
| --- | --- |
| `about.json` | what the folder belongs to |
| `index.sqlite` | which pixel file counts, and an entry for each file that was read, see `fancnn.data.cache_index` |
| `pixels-<n>.u8` | rows of `3 * height * width` bytes, one for each content |
| `lock` | held by the one process that fills it |

Rows reach the disk before the entries that name them, and are only ever added: a build that is killed goes on where it
stopped, and a process that trains on the rows is not disturbed by another that adds some. An entry holds while the
file's size, times and inode stay; a file that was touched or moved is read again, and gets a row only if its content
is new. Once most rows belong to files that are gone, the others move to a new pixel file.

What is held in memory are columns: an object for each file of a million would take half a gigabyte.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
import simplejpeg
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from fancnn.data.cache_index import INDEX, CacheIndex, IndexEntry, make_index, open_index
from fancnn.errors import UserError
from fancnn.files.atomic_files import make_folder, write_atomically
from fancnn.files.json_files import read_json
from fancnn.files.plain_data import list_of, one_of, record, text, validate, whole
from fancnn.images.decoding import Decoded, decode
from fancnn.images.image_gate import DEFAULT_GATE, ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.settings.choices import Background, Resize

FORMAT, VERSION = "fancnn-decoded", 3  # 1 had no hash of pixels, 2 its index in a CSV file
ABOUT, LOCK = "about.json", "lock"
FLUSH_EVERY = 1000  # files between two points from which a killed build goes on
SPARE = 1000  # rows of files that are gone, kept without thought of the space


class DecodedFiles:
    """What became of each of some files, in the order asked for.

    Args:
        count: Of the files.

    Attributes:
        pixels: `(rows, 3, height, width)` uint8; None where they are not kept.
        rows: `(count,)` int64, the row of a file; -1 where it could not be read.
        hashes: `(count, 2, 32)` uint8, SHA-256 of a file's bytes and of its decoded pixels; zeros where not known.
        errors: By its place, why a file could not be read.
    """

    def __init__(self, count: int) -> None:
        self.pixels: Tensor | None = None
        self.rows = np.full(count, -1, np.int64)
        self.hashes = np.zeros((count, 2, 32), np.uint8)
        self.errors: dict[int, str] = {}

    def put(self, place: int, entry: IndexEntry) -> None:
        self.rows[place] = entry.row
        if entry.row < 0:
            self.errors[place] = entry.error
        else:
            self.hashes[place] = np.frombuffer(entry.sha256 + entry.pixel_sha256, np.uint8).reshape(2, 32)

    def hashes_of(self, place: int) -> tuple[str, str]:
        """Return SHA-256 of the bytes and of the pixels of a file that could be read, in hexadecimal."""
        sha256, pixel_sha256 = self.hashes[place]
        return sha256.tobytes().hex(), pixel_sha256.tobytes().hex()


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
    track: Callable[[Iterable[IndexEntry], int], Iterable[IndexEntry]] = lambda entries, total: entries,
    waiting: Callable[[], None] = lambda: None,
) -> DecodedFiles:
    """Return the pixels of the files `names` under `root`, from the cache `folder`; what it lacks is decoded into it.

    Args:
        folder: Made if it is not there.
        root: Where the images are.
        names: Paths relative to `root`, with `/`.
        preprocess: Gives size, resize and background.
        gate: What is let in, and how much of it at once.
        track: Passes the new entries on, for a progress bar; gets how many there will be.
        waiting: Called once if another process is filling the folder at this moment.

    Raises:
        OSError: If the folder cannot be written: no permission, or the disk is full.
    """
    make_folder(folder)
    with _locked(folder, waiting):
        _begin(folder, root, preprocess)
        with open_index(folder) as index:
            store, files = _Store(folder, index, preprocess, gate), DecodedFiles(len(names))
            if store.rows() > 2 * len(names) + SPARE:
                store.compact(root)
            rows, stale = store.rows(), []
            with index.transaction():
                for place, name in enumerate(names):
                    entry = index.find(name)
                    if entry is not None and _holds(entry, root, rows):
                        files.put(place, entry)
                    else:
                        stale.append(place)
            if stale:
                added = store.add(root, [names[place] for place in stale])
                for number, entry in enumerate(track(added, len(stale))):
                    files.put(stale[number], entry)
            files.pixels = store.mapped()
            return files


def decoded_afresh(
    root: Path,
    names: Sequence[str],
    preprocess: Preprocess,
    *,
    gate: ImageGate = DEFAULT_GATE,
    keep: bool = True,
    track: Callable[[Iterable[IndexEntry], int], Iterable[IndexEntry]] = lambda entries, total: entries,
) -> DecodedFiles:
    """Return the same without a cache: decoded now and kept in memory for this run alone, or only looked at."""
    pixels = torch.empty((len(names), 3, *preprocess.image_size), dtype=torch.uint8) if keep else None

    def entries() -> Iterator[IndexEntry]:
        decoded = decode((root / name for name in names), preprocess, gate=gate)
        for row, (name, item) in enumerate(zip(names, decoded, strict=True)):
            if pixels is not None and item.pixels is not None:
                pixels[row] = item.pixels
            yield _entry(name, "", item, -1 if item.pixels is None else row)

    files = DecodedFiles(len(names))
    for place, entry in enumerate(track(entries(), len(names))):
        files.put(place, entry)
    files.pixels = pixels
    return files


class _Store:
    """An open cache folder, its lock held."""

    def __init__(self, folder: Path, index: CacheIndex, preprocess: Preprocess, gate: ImageGate) -> None:
        self.folder, self.index, self.preprocess, self.gate = folder, index, preprocess, gate
        self.shape = (3, *preprocess.image_size)
        self.row_bytes = 3 * preprocess.image_size[0] * preprocess.image_size[1]
        self.pixel_file = index.pixel_file

    def rows(self) -> int:
        return self.pixel_file.stat().st_size // self.row_bytes

    def add(self, root: Path, names: Sequence[str]) -> Iterator[IndexEntry]:
        """Decode `names` into new rows; a content that has a row already gets no second one."""
        free, pending = self.index.prepare_writing(self.rows()), list[IndexEntry]()
        stamps = [file_stamp(root, name) for name in names]  # before the content, so that a later change shows
        items = decode((root / name for name in names), self.preprocess, gate=self.gate)
        with self.pixel_file.open("r+b") as pixels:
            pixels.seek(free * self.row_bytes)
            for name, stamp, item in zip(names, stamps, items, strict=True):
                row = -1
                if item.pixels is not None:
                    row = self.index.row_of_content(bytes.fromhex(item.sha256), free)
                    if row == free:
                        pixels.write(item.pixels.numpy().tobytes())
                        free += 1
                entry = _entry(name, stamp, item, row)
                pending.append(entry)
                if len(pending) == FLUSH_EVERY:
                    self.commit(pixels, pending)
                yield entry
            self.commit(pixels, pending)

    def commit(self, pixels: BinaryIO, pending: list[IndexEntry]) -> None:
        """Bring rows to the disk, and only then the entries that name them."""
        _to_disk(pixels)
        self.index.write(pending)
        pending.clear()

    def compact(self, root: Path) -> None:
        """Move the rows of files that still exist to a new pixel file; the index changes over in one step."""
        self.index.remove([entry.path for entry in self.index if not (root / entry.path).exists()])
        rows, target = self.index.rows(), self.index.next_pixel_file
        with self.pixel_file.open("rb") as old, target.open("wb") as new:
            for row in rows:
                old.seek(row * self.row_bytes)
                new.write(old.read(self.row_bytes))
            _to_disk(new)
        self.index.move_rows(rows)
        self.pixel_file.unlink()
        self.pixel_file = target

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


def is_current(about: Mapping[str, Any]) -> bool:
    """Return whether a cache folder that belongs to `about` is one of this version, and not an earlier one."""
    return about.get("version") == VERSION


def wrong_rows(folder: Path, preprocess: Preprocess, gate: ImageGate = DEFAULT_GATE) -> list[str]:
    """Return the paths whose row is not what their file decodes to now.

    Files that are gone or have changed are no matter, nor are those that `gate` does not let in.
    """
    with _locked(folder, lambda: None), open_index(folder) as index:
        store, about = _Store(folder, index, preprocess, gate), read_about(folder)
        root = Path((about or {})["root"])
        pixels, wrong = store.mapped(), []
        held = [(entry.path, entry.row) for entry in index if _holds(entry, root, len(pixels))]
        items = decode((root / name for name, _ in held), preprocess, gate=gate)
        for (name, row), item in zip(held, items, strict=True):
            if not item.too_large and (item.pixels is None or not torch.equal(item.pixels, pixels[row])):
                wrong.append(name)
        return wrong


def _begin(folder: Path, root: Path, preprocess: Preprocess) -> None:
    """Make what a fresh folder lacks, in an order that leaves no half of it after a kill."""
    if not (folder / ABOUT).is_file():
        write_atomically(folder / ABOUT, json.dumps(_about(root, preprocess)).encode())
    if not (folder / INDEX).is_file():
        make_index(folder)


def _to_disk(file: BinaryIO) -> None:
    """Wait until what was written would outlive a power failure."""
    file.flush()
    os.fsync(file.fileno())


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


def _holds(entry: IndexEntry, root: Path, rows: int) -> bool:
    """Return whether an entry still holds for its file; one that could not be read is tried again each time."""
    return 0 <= entry.row < rows and entry.stamp == file_stamp(root, entry.path)


def file_stamp(root: Path, name: str) -> str:
    """Return what changes when a file does, without its content; empty where it cannot be looked at."""
    try:
        stat = os.stat(os.path.join(root, name))  # noqa: PTH116, PTH118  # a third of the time, for each file of a run
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _entry(name: str, stamp: str, item: Decoded, row: int) -> IndexEntry:
    return IndexEntry(name, stamp, bytes.fromhex(item.sha256), bytes.fromhex(item.pixel_sha256), row, item.error)


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
