"""Many image files to 8-bit tensors, in order, on all processors, with memory that stays flat."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

from fancnn.images.image_gate import DEFAULT_GATE, ImageGate
from fancnn.images.parallel_map import AHEAD, parallel_map
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import UnreadableImage, decoded, pixel_hash

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Decoded:
    """One file after reading: `pixels` `(3, height, width)` uint8, or None and the reason in `error`.

    `pixel_sha256` is of the pixels as decoded, before the resize, and `size` their height and width; `too_large` says
    that the limits alone keep it out.
    """

    path: Path
    sha256: str
    pixels: Tensor | None
    error: str = ""
    pixel_sha256: str = ""
    too_large: bool = False
    size: tuple[int, int] = (0, 0)


def decode(
    paths: Iterable[Path], preprocess: Preprocess, workers: int | None = None, gate: ImageGate = DEFAULT_GATE
) -> Iterator[Decoded]:
    """Read, decode and resize each file once; results come in the order of `paths`.

    Args:
        paths: Files to read; an iterator is read only as far ahead as needed.
        preprocess: Gives the background of transparent pixels and the size.
        workers: Threads; one for each processor where None.
        gate: What is let in, and how much of it at once.
    """
    return torch_parallel_map(paths, lambda path: decode_file(path, preprocess, gate), workers)


def torch_parallel_map(
    items: Iterable[A], work: Callable[[A], B], workers: int | None = None, ahead: int = AHEAD
) -> Iterator[B]:
    """Do `work` on each item, on all processors, as `fancnn.images.parallel_map.parallel_map` does.

    Each thread computes alone, since torch's work that is spread over all processors again waits for the others'.
    """
    return parallel_map(items, work, workers, ahead, _keep_to_themselves)


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


def decode_file(path: Path, preprocess: Preprocess, gate: ImageGate = DEFAULT_GATE) -> Decoded:
    """Read one file; an unreadable one is a result with its reason, not an exception."""
    sha256 = ""
    try:
        with gate.content(path) as content:
            sha256 = hashlib.sha256(content).hexdigest()
            with decoded(content, preprocess.background, gate, work=preprocess.fitting_bytes) as image:
                images = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, height, width)
                pixels = preprocess.fit(images)[0].contiguous()
                size = (image.shape[0], image.shape[1])
                return Decoded(path, sha256, pixels, pixel_sha256=pixel_hash(image), size=size)
    except UnreadableImage as error:
        return Decoded(path, sha256, None, str(error), too_large=error.too_large)
