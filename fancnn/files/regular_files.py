"""The content of a file that a user names: regular files alone, and no more bytes than are expected.

A name may lead to a pipe that nobody writes to, to `/dev/zero`, or to a file that grows while it is read. Whoever opens
those as files hangs, or fills the memory.
"""

import errno
import os
import stat

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read a regular file, links followed, if it has at most `max_bytes` bytes.

    Never waits for anybody, and never takes more memory than that.

    Raises:
        OSError: As `Path.read_bytes`, and besides with `errno.EINVAL` for what is no regular file and `errno.EFBIG` for
            more bytes; `strerror` says so in words.

    Example:
        >>> read_regular("/dev/zero", 1000)
        Traceback (most recent call last):
        OSError: [Errno 22] a device, not a regular file: '/dev/zero'
    """
    name = os.fspath(path)
    _check(os.stat(name), name, max_bytes)  # noqa: PTH116  # a Path takes time. First of all: to open a device may already do something
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        size = _check(os.fstat(descriptor), name, max_bytes)  # another file may have taken its place
        content = os.read(descriptor, min(size, 2**30) + 1)
        if len(content) != size:  # it is large, grows, or is one of /proc, whose size is not known before
            content += _read_up_to(descriptor, max_bytes + 1 - len(content))
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise _too_large(name, max_bytes)
    return content


def size_of_regular(path: str | os.PathLike[str], max_bytes: int) -> int:
    """Return the size of a regular file, in bytes.

    Raises:
        OSError: As `read_regular`.
    """
    name = os.fspath(path)
    return _check(os.stat(name), name, max_bytes)  # noqa: PTH116  # a Path takes time


def _check(status: os.stat_result, name: str, max_bytes: int) -> int:
    """Return the size of a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise _why_folder(name)
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, not a regular file", name)
    if status.st_size > max_bytes:
        raise _too_large(name, max_bytes)
    return status.st_size


def _why_folder(name: str) -> OSError:
    try:
        os.scandir(name).close()
    except OSError as error:
        return IsADirectoryError(errno.EISDIR, f"a folder that cannot be looked into: {error.strerror}", name)
    return IsADirectoryError(errno.EISDIR, "a folder, not a file", name)


def _too_large(name: str, max_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"more than {max_bytes:,} bytes", name)


def _read_up_to(descriptor: int, count: int) -> bytes:
    """Read `count` bytes, or what there is."""
    pieces, missing = [], count
    while missing > 0 and (piece := os.read(descriptor, min(missing, 2**30))):
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
