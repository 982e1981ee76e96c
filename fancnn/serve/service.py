"""What stands between the routes and the inspector: threads, places, time, and whether it may decide."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from fancnn.errors import NOT_FINITE, NotFiniteError
from fancnn.plurals import plural
from fancnn.serve.inspector import File, Inspector
from fancnn.serve.places import Place, Places
from fancnn.serve.request_validation import Refused
from fancnn.serve.schemas import ImageAnswer
from fancnn.serve.server_metrics import Metrics
from fancnn.system.console import printable

T = TypeVar("T")
HEATMAP_PLACES = 8  # that a request with heat maps takes: each of its images is decided some 200 times
AGAIN_SECONDS = 60.0  # between looks at golden images that were not decided right
BROKEN = f"{NOT_FINITE}. The file is damaged: export it again and restart the server"


class Service:
    """An inspector at work for many clients; but for the inspector's own work all is done on the event loop.

    Args:
        inspector: Decides, in threads.
        workers: Threads; None is one for each processor.
        queue: Requests under way at once: those that still send, wait or are worked on. Where they are so many, those
            that still send give way to a newcomer.
        seconds: A request may take.
        per_client: How many of `queue` one client may have; None is all.
        golden: Decides the golden images again and gives their number, or raises with what was wrong;
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
        per_client: int | None = None,
        golden: Callable[[], int] | None = None,
        golden_seconds: float = 86400.0,
        broken: str = "",
    ) -> None:
        self.inspector, self.seconds = inspector, seconds
        self.places = Places(queue, per_client or queue)
        self.golden, self.golden_seconds = golden, golden_seconds
        self.metrics = Metrics(inspector.model.path.name, inspector.model.sha256)
        self.golden_fault = "the golden images are not decided yet" if golden else ""
        self.broken = broken
        workers = workers or processors()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="inspect")
        # heat maps are slow: in threads of their own they never hold all that decide
        self._heatmap_threads = ThreadPoolExecutor(max(1, workers // 2), thread_name_prefix="heatmap")

    @property
    def fault(self) -> str:
        """Return why nothing may be decided now; empty if it may."""
        return self.broken or self.golden_fault

    @asynccontextmanager
    async def place(self, client: str, heatmap: bool) -> AsyncIterator[Place]:
        """Take a place among the requests under way, and free it at the end unless it is kept.

        Raises:
            Refused: 503 if there is none, or nothing may be decided now.
        """
        if self.fault:
            raise Refused(503, f"nothing is decided: {self.fault}")
        place = self.places.take(client, HEATMAP_PLACES if heatmap else 1)
        try:
            yield place
        finally:
            if not place.is_kept:
                self.places.free(place)

    async def inspect(
        self, place: Place, files_of: Callable[[], Sequence[File]], heatmap: bool, started: float
    ) -> list[ImageAnswer]:
        """Return the decisions on the files of a request that began at `started` of `time.monotonic`.

        Args:
            place: Of the request.
            files_of: Takes the files out of the body; it is called in the thread that decides.
            heatmap: Whether to look where each image speaks for NG.
            started: When the request began.

        Raises:
            Refused: If they cannot be decided, or not in time; 500 if the network's output for one is NaN or infinite:
                from then on nothing is decided.
        """
        until = started + self.seconds
        threads = self._heatmap_threads if heatmap else self._threads
        work = self._in_thread(lambda: self.inspector.answer(files_of(), heatmap, until), threads)
        try:
            answers = await asyncio.wait_for(asyncio.shield(work), max(until - time.monotonic(), 0))
        except TimeoutError:
            place.is_kept = True  # a thread cannot be stopped: until it ends, it has its place
            work.add_done_callback(partial(self._late, place))
            raise Refused(503, f"not decided within {self.seconds:g} s; try again later") from None
        except NotFiniteError as error:
            self._break(error)
            raise Refused(500, f"{error}. Nothing is decided until the server is restarted") from None
        for one in answers:
            self.metrics.images.labels(one["decision"]).inc()
        return answers

    async def watch(self) -> None:
        """Look at the golden images again and again, for as long as the server runs."""
        while self.golden is not None:
            try:
                count = await self._in_thread(self.golden, self._threads)
                self.golden_fault = ""
                print(f"golden: {plural(count, 'image')} pass", flush=True)
            except Exception as error:  # whatever it is, nothing is known to be decided right
                self.golden_fault = str(error) or type(error).__name__
                print(f"nothing is decided: {printable(self.golden_fault)}", file=sys.stderr, flush=True)
            self.metrics.golden_runs.labels("fail" if self.golden_fault else "pass").inc()
            await asyncio.sleep(min(AGAIN_SECONDS, self.golden_seconds) if self.golden_fault else self.golden_seconds)

    def close(self) -> None:
        """Let go of the threads, once they have done their work."""
        self._threads.shutdown()
        self._heatmap_threads.shutdown()

    def _in_thread(self, work: Callable[[], T], threads: ThreadPoolExecutor) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(threads, work)

    def _late(self, place: Place, work: "asyncio.Future[list[ImageAnswer]]") -> None:
        self.places.free(place)
        error = work.exception()  # sent to nobody: the client has gone
        if isinstance(error, NotFiniteError):
            self._break(error)

    def _break(self, error: NotFiniteError) -> None:
        """Decide nothing more: weights that gave no number once say nothing of the next part either."""
        self.broken = BROKEN
        self.metrics.not_finite.inc()
        print(f"nothing is decided any more: {printable(str(error))}", file=sys.stderr, flush=True)


def processors() -> int:
    """Return those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
