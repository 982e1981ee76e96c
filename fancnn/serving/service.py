"""What stands between the routes and the inspector: threads, places in the queue, time, and whether it may decide."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from fancnn.errors import NOT_FINITE, NotFiniteError
from fancnn.plurals import plural
from fancnn.serving.admission import Refused
from fancnn.serving.answers import PictureAnswer
from fancnn.serving.inspector import File, Inspector
from fancnn.serving.metrics import Metrics

T = TypeVar("T")
AGAIN_SECONDS = 60.0  # between looks at golden pictures that were not decided right
BROKEN = f"{NOT_FINITE}. The file is damaged: export it anew and restart the server"


class Service:
    """An inspector at work for many clients; but for the inspector's own work all is done on the event loop.

    Args:
        inspector: Decides, in threads.
        workers: Threads; None is one for each processor.
        queue: Requests under way at once: those that still send, wait or are worked on.
        seconds: A request may take.
        golden: Decides the golden pictures anew and gives their number, or raises with what was wrong;
            None if there are none. Nothing is decided before it has passed, or after it has not.
        golden_seconds: From one such look to the next.
        broken: Why nothing is decided until the server is restarted; empty if nothing is known against the file.

    Attributes:
        broken: As given, and from a request on for which the network's output was NaN or infinite, that.
    """

    def __init__(
        self,
        inspector: Inspector,
        workers: int | None,
        queue: int,
        seconds: float,
        golden: Callable[[], int] | None = None,
        golden_seconds: float = 86400.0,
        broken: str = "",
    ) -> None:
        self.inspector, self.queue, self.seconds = inspector, queue, seconds
        self.golden, self.golden_seconds = golden, golden_seconds
        self.metrics = Metrics(inspector.model.path.name, inspector.model.sha256)
        self.under_way = 0
        self.golden_fault = "the golden pictures are not decided yet" if golden else ""
        self.broken = broken
        self._threads = ThreadPoolExecutor(workers or processors(), thread_name_prefix="inspect")

    @property
    def fault(self) -> str:
        """Why nothing may be decided now; empty if it may."""
        return self.broken or self.golden_fault

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place among the requests under way.

        Raises:
            Refused: 503 if there is none, or nothing may be decided now.
        """
        if self.fault:
            raise Refused(503, f"nothing is decided: {self.fault}")
        if self.under_way >= self.queue:
            raise Refused(503, f"busy: {self.under_way} requests are under way, and no more are taken")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def inspect(self, files: Sequence[File], heatmap: bool, started: float) -> list[PictureAnswer]:
        """Decisions on the files of a request that began at `started` of `time.monotonic`.

        Raises:
            Refused: If they cannot be decided, or not in time; 500 if the network's output for one is NaN or infinite:
                from then on nothing is decided.
        """
        until = started + self.seconds
        work = self._in_thread(lambda: self.inspector.answer(files, heatmap, until))
        try:
            found = await asyncio.wait_for(asyncio.shield(work), max(until - time.monotonic(), 0))
        except TimeoutError:
            self.under_way += 1  # a thread cannot be stopped: until it ends, it has a place
            work.add_done_callback(self._late)
            raise Refused(503, f"not decided within {self.seconds:g} s; try again later") from None
        except NotFiniteError as error:
            self._break(error)
            raise Refused(500, f"{error}. Nothing is decided until the server is restarted") from None
        self.metrics.decided.update(one["decision"] for one in found)
        return found

    async def watch(self) -> None:
        """Look at the golden pictures again and again, for as long as the server runs."""
        while self.golden is not None:
            try:
                count = await self._in_thread(self.golden)
                self.golden_fault = ""
                print(f"golden: {plural(count, 'picture')} pass", flush=True)
            except Exception as error:  # whatever it is, nothing is known to be decided right
                self.golden_fault = str(error) or type(error).__name__
                print(f"nothing is decided: {self.golden_fault}", file=sys.stderr, flush=True)
            self.metrics.golden_runs["fail" if self.golden_fault else "pass"] += 1
            await asyncio.sleep(min(AGAIN_SECONDS, self.golden_seconds) if self.golden_fault else self.golden_seconds)

    def close(self) -> None:
        """Let go of the threads, once they have done their work."""
        self._threads.shutdown()

    def _in_thread(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _late(self, work: "asyncio.Future[list[PictureAnswer]]") -> None:
        self.under_way -= 1
        error = work.exception()  # told to nobody: the client has gone
        if isinstance(error, NotFiniteError):
            self._break(error)

    def _break(self, error: NotFiniteError) -> None:
        """Decide nothing more: weights that gave no number once say nothing of the next part either."""
        self.broken = BROKEN
        self.metrics.not_finite += 1
        print(f"nothing is decided any more: {error}", file=sys.stderr, flush=True)


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
