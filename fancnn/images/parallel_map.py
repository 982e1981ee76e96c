"""The same work on many images, in threads, in order, with memory that stays flat; no torch."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
AHEAD = 64  # items in flight for each worker: enough to hide a slow one, little enough to keep memory flat


def parallel_map(
    items: Iterable[A],
    work: Callable[[A], B],
    workers: int | None = None,
    ahead: int = AHEAD,
    prepare: Callable[[ThreadPoolExecutor, int], None] | None = None,
) -> Iterator[B]:
    """Do `work` on each item, on all processors; results come in the order of the items.

    Threads do it, since Pillow, torch and ONNX Runtime release Python's lock while they work.

    Args:
        items: Taken only so far ahead that memory stays flat.
        work: Done in several threads at once.
        workers: Threads; one for each processor where None.
        ahead: Items under way for each of them.
        prepare: What is done once with the threads before they work, if they are started.

    Example:
        >>> list(parallel_map(range(5), lambda number: number * number, workers=2))
        [0, 1, 4, 9, 16]
    """
    count = workers or os.cpu_count() or 1
    remaining = iter(items)
    first = list(islice(remaining, count))
    if len(first) < count or count == 1:  # too few to start threads for
        yield from map(work, chain(first, remaining))
        return
    with ThreadPoolExecutor(count, thread_name_prefix="parallel_map") as pool:
        try:
            if prepare is not None:
                prepare(pool, count)
            pending = deque(pool.submit(work, item) for item in first)
            for item in remaining:
                pending.append(pool.submit(work, item))
                if len(pending) >= count * ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # a caller who stops early must not wait for the items ahead
            pool.shutdown(wait=False, cancel_futures=True)
