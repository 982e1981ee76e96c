"""How many images may be in memory at once: each waits until there is room for it; no torch."""

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_longlong
from errno import EFBIG
from os import PathLike
from typing import Any

from fancnn.files.regular_files import read_regular, size_of_regular
from fancnn.images.unreadable import UnreadableImage
from fancnn.settings.groups import ImageLimits
from fancnn.system.memory import give_back_freed_memory

LARGE = 10**8  # bytes of an image whose memory goes back to the system: what looking for it takes is little beside it


class Room:
    """Bytes that several threads share; one that wants more than are free waits, in the order of asking.

    Whoever has some must not ask the same room again: two that wait for each other would wait for ever.

    Args:
        size: Bytes.
        processes: Whether processes share them that this one forks, and not its own threads alone.
    """

    def __init__(self, size: int, *, processes: bool = False) -> None:
        self.size = size
        makers: Any = multiprocessing if processes else threading
        self._first, self._freed = makers.Lock(), makers.Condition()
        self._taken: Any = multiprocessing.RawValue(c_longlong, 0) if processes else c_longlong(0)

    def take(self, count: int) -> int:
        """Wait until `count` bytes are free, or all there are if these are fewer; return how many to give back."""
        wanted = min(count, self.size)
        with self._first, self._freed:  # one after the other, so that small ones do not keep a large one out
            self._freed.wait_for(lambda: self._taken.value + wanted <= self.size)
            self._taken.value += wanted
        return wanted

    def give_back(self, count: int) -> None:
        with self._freed:
            self._taken.value -= count
            self._freed.notify_all()


class ImageGate:
    """Lets images in that are within limits, and no more at once than there is room for; for several threads.

    Args:
        limits: Of each file and image, and of all that are being decoded at once.
    """

    def __init__(self, limits: ImageLimits) -> None:
        self.limits = limits
        self.max_bytes = int(limits.megabytes * 1e6)
        self._make_room(processes=False)

    def _make_room(self, *, processes: bool) -> None:
        self._files = Room(self.max_bytes, processes=processes)
        self._pixels = Room(int(self.limits.decoding_megabytes * 1e6), processes=processes)

    def for_processes(self) -> "ImageGate":
        """Return one with the same limits that processes share which this one forks."""
        other = ImageGate(self.limits)
        other._make_room(processes=True)
        return other

    def __reduce__(self) -> tuple[type["ImageGate"], tuple[ImageLimits]]:
        """Let copies, also those that are sent to other processes, have a room of their own."""
        return ImageGate, (self.limits,)

    @contextmanager
    def content(self, path: str | PathLike[str]) -> Iterator[bytes]:
        """Yield the bytes of a file, once there is room: all files together take no more memory than one file may.

        Raises:
            UnreadableImage: If they cannot be had, with the reason in short words.
        """
        taken = 0
        try:
            taken = self._files.take(size_of_regular(path, self.max_bytes))
            content = read_regular(path, self.max_bytes)
        except (OSError, ValueError) as error:
            self._files.give_back(taken)
            raise self._in_words(error) from error
        try:
            yield content
        finally:
            self._files.give_back(taken)

    @contextmanager
    def decoding(self, count: int) -> Iterator[None]:
        """Reserve memory for an image whose decoding takes `count` bytes.

        Raises:
            UnreadableImage: If that is more than all images together may take.
        """
        if count > self._pixels.size:
            raise UnreadableImage(
                f"takes {count / 1e6:,.0f} MB of memory to decode, more than {self.limits.decoding_megabytes:g}; "
                f"image_limits.decoding_megabytes={-(-count // 10**6)} allows it",
                too_large=True,
            )
        taken = self._pixels.take(count)
        try:
            yield
        finally:
            if count > LARGE:
                give_back_freed_memory()
            self._pixels.give_back(taken)

    def _in_words(self, error: OSError | ValueError) -> UnreadableImage:
        if isinstance(error, FileNotFoundError):
            return UnreadableImage("no such file: was it moved or deleted?")
        if isinstance(error, PermissionError):
            return UnreadableImage("no permission to read it")
        if isinstance(error, IsADirectoryError):
            return UnreadableImage(str(error.strerror))
        if isinstance(error, OSError) and error.errno == EFBIG:
            reason = f"more than {self.limits.megabytes:g} megabytes; a larger image_limits.megabytes allows it"
            return UnreadableImage(reason, too_large=True)
        return UnreadableImage(f"cannot be read: {getattr(error, 'strerror', None) or error}")  # or a NUL in its name


DEFAULT_GATE = ImageGate(ImageLimits())
"""What is read where nobody names limits: with those that the configuration begins with."""
