"""Write files that are whole or absent, whatever ends the process or the power, with the old one there until then.

A new content is written beside its target, under a name that begins with a dot and has `.partial-` in it. It is brought
to the disk before it takes the target's name, and the folder is brought there after it: else a power cut could leave
the new name with no content, or the old one where a later file already counts on the new.

There is one way to do so, `atomic_file`; for text it has a stream (`atomic_text`), for bytes at hand a line
(`write_atomically`), and what comes as several files is made in a folder (`atomic_folder`).

Whoever writes holds a lock on what it writes (`flock`), which ends with its process, however that ends. So the next
writer of the same target knows what an earlier one left half-written, and removes it, from what another process is
writing at this moment. Where a file system knows no such lock, nothing is removed.
"""

import fcntl
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from fancnn.errors import UserError

MARK, REMOVED = ".partial-", ".removed"
LONGEST = 100  # bytes of the target's name in that of its partial file: names end at 255
_numbers = itertools.count(1)  # two threads may write the same file


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Lend an empty file beside `path` that takes its place at the end of the block; an error leaves the old file.

    Raises:
        OSError: If the folder cannot be written, or the disk is full.
    """
    make_folder(path.parent)
    with _partial(path, folder=False) as partial:
        yield partial
        sync_file(partial)
        partial.replace(path)
        sync_folder(path.parent)


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes the place of `path` only when all of it is on the disk.

    Text is UTF-8; the name of a file that is no UTF-8, which systems allow, comes out with the bytes that it has.

    Raises:
        UserError: If the folder cannot be written.
    """
    try:
        with (
            atomic_file(path) as partial,
            partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            yield file
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}. Name a place that can be written") from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Lend an empty folder beside `path` that vanishes at the end of the block, with what is still in it.

    Raises:
        OSError: If the folder cannot be made.
    """
    make_folder(path.parent)
    with _partial(path, folder=True) as partial:
        yield partial


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file, in the place of an earlier one."""
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def make_folder(folder: Path) -> None:
    """Make a folder that outlives a power cut, with those above it; one that is there is left as it is."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def remove(path: Path) -> None:
    """Remove a file so that a power cut does not bring it back; one that is not there is no error."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; a kill leaves it whole or gone, and the rest under a hidden name.

    That rest goes with the next folder of the same parent, or by `remove_rest`.
    """
    remove_rest(folder.parent)
    aside = folder.with_name(f".{folder.name}{REMOVED}")
    folder.rename(aside)
    sync_folder(folder.parent)
    shutil.rmtree(aside)


def remove_rest(parent: Path) -> None:
    """Remove what a kill has left in a folder of those that `remove_folder` was removing there."""
    for rest in parent.glob(f".*{REMOVED}"):
        shutil.rmtree(rest, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Wait until the content of a file would outlive a power cut."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder would outlive a power cut, where the file system can promise that."""
    with suppress(OSError):
        sync_file(folder)


def sync_with_parents(folder: Path) -> None:
    """Wait until a folder's files, the folder itself and all above it would outlive a power cut."""
    for file in folder.iterdir():
        if file.is_file():
            sync_file(file)
    for place in (folder, *folder.resolve().parents):
        sync_folder(place)


@contextmanager
def _partial(path: Path, *, folder: bool) -> Iterator[Path]:
    """Make and lock a file or folder for what is half-written; it is gone at the end unless it was renamed."""
    beginning = _beginning(path)
    _sweep(path.parent, beginning)
    partial, lock = _claimed(path.parent, beginning, folder)
    try:
        yield partial
    finally:
        with suppress(OSError):
            shutil.rmtree(partial) if folder else partial.unlink()
        os.close(lock)


def _beginning(path: Path) -> str:
    name = os.fsdecode(os.fsencode(path.name)[:LONGEST])
    return f".{name}{MARK}"


def _claimed(parent: Path, beginning: str, folder: bool) -> tuple[Path, int]:
    """Return a partial file or folder that no other process has, and the descriptor that locks it."""
    while True:
        partial = parent / f"{beginning}{os.getpid()}-{next(_numbers)}"
        try:
            if folder:
                partial.mkdir()
            lock = os.open(partial, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue  # of a process that had this number
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        if partial.exists():  # else one that was sweeping came between making and locking
            return partial, lock
        os.close(lock)


def _sweep(parent: Path, beginning: str) -> None:
    """Remove what processes that are gone left half-written for the same target."""
    with suppress(OSError):
        for place in [entry for entry in parent.iterdir() if entry.name.startswith(beginning)]:
            with suppress(OSError):
                _remove_unlocked(place)


def _remove_unlocked(place: Path) -> None:
    lock = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    finally:
        os.close(lock)
