"""How much memory there is; and what a step frees is kept for the next step."""

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# from malloc.h of glibc
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8


PIXELS_AT_ONCE = 2**21  # through a network that learns nothing: its layers keep some hundred bytes for each
LIMIT_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int | None:
    """Return how much memory the computer, or the container that this runs in, has; None where that is not known."""
    try:
        own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return None
    try:
        return min(own, int(LIMIT_OF_CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return own


def images_at_once(image_size: Sequence[int], most: int) -> int:
    """Return how many images go through a network at once where nothing is learnt: `most`, or fewer large ones.

    Args:
        image_size: Height and width, pixels.
        most: Images.

    Example:
        >>> images_at_once((80, 80), 64), images_at_once((2048, 2448), 64)
        (64, 1)
    """
    height, width = image_size
    return max(min(most, PIXELS_AT_ONCE // (height * width)), 1)


def share_one_arena() -> bool:
    """Tell glibc to let all threads take memory from one place, before any of them has begun.

    It gives each a place of its own, from which what is freed in pieces does not come back: after 4,300 hostile images
    a server had 104 MB, where it began with 75, and with one place 71.

    Returns:
        Whether the C library knows of it; elsewhere nothing is changed.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(M_ARENA_MAX, 1))


def give_back_freed_memory() -> bool:
    """Tell glibc to give freed memory back to the system, which it keeps where a block in use lies behind it.

    Returns:
        Whether the C library knows of it; elsewhere nothing is changed.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "malloc_trim"):
        return False
    library.malloc_trim(0)
    return True


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large blocks instead of giving each back to the system.

    It maps blocks above 32 MB afresh for every use, and the kernel fills each page with zeros again: with the basic
    network the activations of 64 images are larger than that, and scoring them took three times as long as 32 at a
    time. The price is that a process keeps the most it ever needed.

    Returns:
        Whether the C library knows these settings; elsewhere nothing is changed.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has a mallopt that does nothing
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_MMAP_THRESHOLD, 2**30))
    results = [library.mallopt(name, value) for name, value in settings]
    return all(result == 1 for result in results)


def peak_megabytes() -> float | None:
    """Return the most memory that this process has had so far; None where that is not known."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
