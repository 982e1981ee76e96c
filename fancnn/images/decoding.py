"""Many picture files to 8-bit tensors, in order, on all processors, with memory that stays flat."""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Barrier

import torch
from torch import Tensor

from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import UnreadablePicture, read_content, read_picture

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

    Threads do, since Pillow and torch release Python's lock while they decode and resize.

    Args:
        paths: Files to read; an iterator is read only as far ahead as needed.
        preprocess: Gives the background of transparent pixels and the size.
        workers: Threads; one for each processor where None.
    """
    count = workers or os.cpu_count() or 1
    pending: deque[Future[Decoded]] = deque()
    paths = iter(paths)
    first = list(islice(paths, count))
    if len(first) < count or count == 1:  # too few to start threads for
        yield from (decode_file(path, preprocess) for path in chain(first, paths))
        return
    with ThreadPoolExecutor(count, thread_name_prefix="decode") as pool:
        try:
            _keep_to_themselves(pool, count)
            pending.extend(pool.submit(decode_file, path, preprocess) for path in first)
            for path in paths:
                pending.append(pool.submit(decode_file, path, preprocess))
                if len(pending) >= count * AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # a caller who stops early must not wait for the files ahead
            pool.shutdown(wait=False, cancel_futures=True)


def _keep_to_themselves(pool: ThreadPoolExecutor, count: int) -> None:
    """Let each thread of the pool resize alone; a resize that is spread over all processors waits for the others'.

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
