"""Many picture files to 8-bit tensors, in order, on all processors, with memory that stays flat."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import UnreadablePicture, read_content, read_picture

A = TypeVar("A")
B = TypeVar("B")
AHEAD = 64  # files in flight for each worker: enough to hide a slow one, little enough to keep memory flat


@dataclass(frozen=True)
class Decoded:
    """One file after reading: `pixels` `(3, height, width)` uint8, or None and the reason in `error`."""

    path: Path
    sha256: str
    pixels: Tensor | None
    error: str = ""


def decode(paths: Iterable[Path], preprocess: Preprocess, workers: int | None = None) -> Iterator[Decoded]:
    """Read, decode and resize each file once; results come in the order of `paths`.

    Args:
        paths: Files to read; an iterator is read only as far ahead as needed.
        preprocess: Gives the background of transparent pixels and the size.
        workers: Threads; one for each processor where None.
    """
    return spread(paths, lambda path: decode_file(path, preprocess), workers)


def spread(items: Iterable[A], work: Callable[[A], B], workers: int | None = None, ahead: int = AHEAD) -> Iterator[B]:
    """Do `work` on each item, on all processors; results come in the order of the items.

    Threads do it, since Pillow and torch release Python's lock while they work; each computes alone, since work that
    is spread over all processors again waits for the others'.

    Args:
        items: Taken only so far ahead that memory stays flat.
        work: Done in several threads at once.
        workers: Threads; one for each processor where None.
        ahead: Items under way for each of them.
    """
    count = workers or os.cpu_count() or 1
    remaining = iter(items)
    first = list(islice(remaining, count))
    if len(first) < count or count == 1:  # too few to start threads for
        yield from map(work, chain(first, remaining))
        return
    with ThreadPoolExecutor(count, thread_name_prefix="spread") as pool:
        try:
            _keep_to_themselves(pool, count)
            pending = deque(pool.submit(work, item) for item in first)
            for item in remaining:
                pending.append(pool.submit(work, item))
                if len(pending) >= count * ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # a caller who stops early must not wait for the items ahead
            pool.shutdown(wait=False, cancel_futures=True)


def _keep_to_themselves(pool: ThreadPoolExecutor, count: int) -> None:
    """Let each thread of the pool compute alone.

    OpenMP keeps the number for each thread, but torch passes the last one on to threads that start later, so the
    caller's is set again.
    """
    own, together = torch.get_num_threads(), Barrier(count)

    def alone() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # the first call in a thread takes over what was passed on
        together.wait()  # so that each task has a thread of its own

    wait([pool.submit(alone) for _ in range(count)])
    torch.set_num_threads(own)


def decode_file(path: Path, preprocess: Preprocess) -> Decoded:
    """Read one file; an unreadable one is a result with its reason, not an exception."""
    sha256 = ""
    try:
        content = read_content(path)
        sha256 = hashlib.sha256(content).hexdigest()
        picture = read_picture(content, preprocess.background)
    except UnreadablePicture as error:
        return Decoded(path, sha256, None, str(error))
    images = torch.from_numpy(picture).permute(2, 0, 1)[None]  # (1, 3, height, width)
    return Decoded(path, sha256, preprocess.fit(images)[0].contiguous())
