"""The index of a cache folder: which file has which row of pixels; lines are added, and never torn.

The first line names the pixel file; each line after it is a `Line` and the word `end`.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_file

INDEX = "index.csv"
PIXEL_FILE = re.compile(r"pixels-\d{1,9}\.u8", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """What the index knows of a file; `row` is -1 and `error` says why where it could not be read."""

    path: str
    size: int
    mtime: int  # nanoseconds
    ctime: int  # nanoseconds; unlike mtime, no program sets it back
    inode: int
    sha256: str
    row: int
    error: str
    pixel_sha256: str = ""

    def cells(self) -> list[str | int]:
        return [self.path, *self.stamp(), self.sha256, self.row, self.error, self.pixel_sha256, "end"]

    def stamp(self) -> tuple[int, int, int, int]:
        return self.size, self.mtime, self.ctime, self.inode


def read_index(folder: Path) -> tuple[Path, dict[str, Line]]:
    """Return the pixel file and the last whole line of each path; a line that a kill cut short is passed over.

    Raises:
        UserError: If it is damaged; the folder can be made again.
    """
    index: dict[str, Line] = {}
    try:
        with (folder / INDEX).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            lines = csv.reader(file)
            pixel_file = next(lines)[0]
            if not PIXEL_FILE.fullmatch(pixel_file) or not (folder / pixel_file).is_file():
                raise ValueError("its first line names no pixel file in it")
            for cells in lines:
                if len(cells) == 10 and cells[-1] == "end":
                    path, size, mtime, ctime, inode, sha256, row, error, pixels, _ = cells
                    stamp = (int(size), int(mtime), int(ctime), int(inode))
                    if int(row) < -1:
                        raise ValueError(f"row {row} of {path}")
                    index[path] = Line(path, *stamp, sha256, int(row), error, pixels)
    except (ValueError, StopIteration, IndexError, csv.Error, FileNotFoundError) as error:
        raise UserError(
            f"{folder} is damaged: its {INDEX} is no index of decoded images ({str(error) or 'it is empty'}). Remove "
            "the folder; it is made again"
        ) from error
    return folder / pixel_file, index


def write_index(folder: Path, pixel_file: str, lines: Iterable[Line]) -> None:
    """Write a whole index that takes the place of an earlier one in one step."""
    with (
        atomic_file(folder / INDEX) as partial,
        partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow([pixel_file])
        table.writerows(line.cells() for line in lines)


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """Open the index to add lines, a line cut short by a kill taken off first."""
    content = path.read_bytes()
    os.truncate(path, content.rfind(b"\n") + 1)
    with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield file


def commit(pixels: BinaryIO, lines: TextIO, pending: list[Line]) -> None:
    """Bring rows to the disk, and only then the lines that name them."""
    to_disk(pixels)
    csv.writer(lines).writerows(line.cells() for line in pending)
    to_disk(lines)
    pending.clear()


def to_disk(file: BinaryIO | TextIO) -> None:
    """Wait until what was written would outlive a power failure."""
    file.flush()
    os.fsync(file.fileno())
