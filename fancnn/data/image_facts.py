"""What each image file shows at a glance: its kind and size, light and sharpness, and a small gray copy of it.

They are kept in `facts-<hash>.sqlite` for the next time, an entry for each file, which holds while the file's size,
times and inode stay. Version 1:

| column | content |
| --- | --- |
| `path` | relative to the root, with `/`; UTF-8, or whatever bytes a name has |
| `stamp` | of the file when it was read |
| `facts` | JSON, the fields of `ImageFacts` by their names |
| `gray` | `SIDE` x `SIDE` bytes; empty where the file cannot be read |

A file that is no such database, or of another version, is made again: all of it can be read again.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fancnn.data.decoded_cache import file_stamp
from fancnn.data.fingerprints import SIDE
from fancnn.images.decoding import torch_parallel_map
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import decoded, opened, pixel_hash
from fancnn.images.unreadable import UnreadableImage

VERSION = 1
FLUSH_EVERY = 500  # files between two points from which an interrupted audit goes on
BORDER = SIDE // 16  # pixels of the small image
SHARP_SIDE = 1024  # pixels of the middle in which sharpness is measured
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageFacts:
    """What is known of one image file.

    Attributes:
        path: Relative to the root, with `/`.
        error: Why it cannot be read; then nothing else is known.
        megabytes: Of the file.
        format: As Pillow calls it, e.g. `JPEG`.
        mode: As stored, e.g. `RGB`, `L`, `I;16`.
        height: Pixels, of the upright image.
        width: Likewise.
        sha256: Of its bytes, in hexadecimal digits.
        pixel_sha256: Of its decoded pixels.
        brightness: Mean gray level, 0 to 255.
        contrast: Deviation of the gray levels of the image at `SIDE` x `SIDE`.
        sharpness: Deviation of the Laplacian over that of the gray levels, in the middle of the image as it is stored
            (after Pech-Pacheco et al. 2000).
        color: Mean red, green and blue.
        border: Likewise, of the outermost sixteenth.
    """

    path: str
    error: str = ""
    megabytes: float = 0.0
    format: str = ""
    mode: str = ""
    height: int = 0
    width: int = 0
    sha256: str = ""
    pixel_sha256: str = ""
    brightness: float = 0.0
    contrast: float = 0.0
    sharpness: float = 0.0
    color: tuple[float, ...] = ()
    border: tuple[float, ...] = ()
    gray: Gray = field(default_factory=lambda: np.zeros((SIDE, SIDE), np.uint8), compare=False, repr=False)


def read_facts(
    root: Path,
    names: Sequence[str],
    gate: ImageGate,
    cache: Path | None = None,
    progress: Callable[[Iterable[ImageFacts], int], Iterable[ImageFacts]] = lambda facts, total: facts,
) -> list[ImageFacts]:
    """Return the facts of image files, in the order of `names`; what was read before is not read again.

    Args:
        root: Where they are.
        names: Paths relative to it, with `/`.
        gate: What is let in, and how much of it at once.
        cache: Folder in which they are kept; None keeps nothing.
        progress: Passes on the facts of files that are read now; gets how many there will be.

    Raises:
        OSError: If the folder cannot be written.
    """
    if cache is None:
        return list(progress(_read(root, names, gate), len(names)))
    with closing(_opened(cache, root)) as database:
        known = dict(_known(database, root, names))
        stale = [name for name in names if name not in known]
        pending: list[tuple[bytes, str, str, bytes]] = []
        stamps = {name: file_stamp(root, name) for name in stale}
        for facts in progress(_read(root, stale, gate), len(stale)):
            known[facts.path] = facts
            if not facts.error:
                pending.append((os.fsencode(facts.path), stamps[facts.path], _to_json(facts), facts.gray.tobytes()))
            if len(pending) == FLUSH_EVERY:
                _write(database, pending)
        _write(database, pending)
    return [known[name] for name in names]


def _read(root: Path, names: Sequence[str], gate: ImageGate) -> Iterator[ImageFacts]:
    small = Preprocess((SIDE, SIDE))
    return torch_parallel_map(names, lambda name: _facts(root, name, gate, small))


def _facts(root: Path, name: str, gate: ImageGate, small: Preprocess) -> ImageFacts:
    known: dict[str, Any] = {"path": name}
    try:
        with gate.content(root / name) as content:
            header = opened(content, gate.limits)
            known |= {
                "megabytes": len(content) / 1e6,
                "format": header.format or "",
                "mode": header.mode,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            with decoded(content, gate=gate, work=small.fitting_bytes) as image:
                return ImageFacts(**known, **_of_pixels(image, small))
    except UnreadableImage as error:
        return ImageFacts(path=name, error=str(error))


def _of_pixels(image: NDArray[np.uint8], small: Preprocess) -> dict[str, Any]:
    fitted = small.fit(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()  # (3, SIDE, SIDE)
    gray = np.rint(np.tensordot(LUMA, fitted.astype(np.float32), 1))
    outer = np.ones((SIDE, SIDE), bool)
    outer[BORDER:-BORDER, BORDER:-BORDER] = False
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "pixel_sha256": pixel_hash(image),
        "brightness": float(gray.mean()),
        "contrast": float(gray.std()),
        "sharpness": _sharpness(image),
        "color": tuple(map(float, fitted.mean((1, 2)))),
        "border": tuple(map(float, fitted[:, outer].mean(1))),
        "gray": gray.astype(np.uint8),
    }


def _sharpness(image: NDArray[np.uint8]) -> float:
    height, width = (min(side, SHARP_SIDE) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    if min(height, width) < 3:
        return 0.0
    middle = image[top : top + height, left : left + width].astype(np.float32) @ np.array(LUMA, np.float32)
    around = middle[:-2, 1:-1] + middle[2:, 1:-1] + middle[1:-1, :-2] + middle[1:-1, 2:]
    deviation = float(middle.std())
    return float((around - 4 * middle[1:-1, 1:-1]).std()) / deviation if deviation > 0 else 0.0


def _opened(folder: Path, root: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"facts-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.sqlite"
    try:
        return _database(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise OSError(f"{path}: {error}") from error
        path.unlink()
        return _database(path)


def _database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            database.executescript(
                "BEGIN; DROP TABLE IF EXISTS facts; CREATE TABLE facts (path BLOB PRIMARY KEY, stamp TEXT, facts TEXT, "
                f"gray BLOB) WITHOUT ROWID; PRAGMA user_version = {VERSION}; COMMIT"
            )
        database.execute("SELECT path, stamp, facts, gray FROM facts LIMIT 1").fetchall()
    except BaseException:
        database.close()
        raise
    return database


def _known(database: sqlite3.Connection, root: Path, names: Sequence[str]) -> Iterator[tuple[str, ImageFacts]]:
    for name in names:
        row = database.execute("SELECT stamp, facts, gray FROM facts WHERE path = ?", [os.fsencode(name)]).fetchone()
        if row is not None and row[0] == file_stamp(root, name) and (facts := _from_json(name, row[1], row[2])):
            yield name, facts


def _write(database: sqlite3.Connection, pending: list[tuple[bytes, str, str, bytes]]) -> None:
    database.execute("BEGIN")
    database.executemany("REPLACE INTO facts VALUES (?, ?, ?, ?)", pending)
    database.execute("COMMIT")
    pending.clear()


def _to_json(facts: ImageFacts) -> str:
    return json.dumps(
        {item.name: getattr(facts, item.name) for item in fields(facts) if item.name not in ("path", "gray")}
    )


def _from_json(path: str, text: str, gray: bytes) -> ImageFacts | None:
    """Return the facts of an entry; None where it is not as this program writes them."""
    try:
        kept: Mapping[str, Any] = json.loads(text)
        pixels = np.frombuffer(gray, np.uint8).reshape(SIDE, SIDE).copy()
        lists = {name: tuple(map(float, kept[name])) for name in ("color", "border")}
        return ImageFacts(path, **{**kept, **lists}, gray=pixels)
    except (ValueError, TypeError, KeyError):
        return None
