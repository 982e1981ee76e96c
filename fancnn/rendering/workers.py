"""The same function over many jobs, in this process or spread over several."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fancnn.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")

# Jobs handed to a process at a time: few enough for steady progress, enough to hide the handing over.
_CHUNK = 16


def parallel_map(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int | None,
    progress: Callable[[int], None],
) -> list[Result]:
    """Return `work(job)` of every job, in the order of the jobs.

    Args:
        work: A function of a module, so that another process can import it.
        jobs: What to call it with.
        workers: Number of processes; one per core by default.
        progress: Called with the number of jobs finished since its last call.

    Raises:
        UserError: If a process could not start or was killed. What `work` raises is passed on.
    """
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    processes = min(workers or os.cpu_count() or 1, len(chunks))
    if processes <= 1:
        return _one_by_one(work, jobs, progress)
    # Forking is unsafe once threads run, and whoever calls this may have loaded torch.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_leave_interrupts_to_parent)
    try:
        return _collect([pool.submit(_do, work, chunk) for chunk in chunks], progress)
    except BrokenProcessPool as error:
        raise UserError(
            f"One of {processes} rendering processes ended early: it was killed, ran out of memory, or could "
            "not import the script that called it (which needs `if __name__ == '__main__':` round the call). "
            "Render with workers=1 to do without them"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(work: Callable[[Job], Result], jobs: Sequence[Job], progress: Callable[[int], None]) -> list[Result]:
    results = []
    for job in jobs:
        results.append(work(job))
        progress(1)
    return results


def _collect(futures: list[Future[list[Result]]], progress: Callable[[int], None]) -> list[Result]:
    for future in as_completed(futures):
        progress(len(future.result()))
    return [result for future in futures for result in future.result()]


def _do(work: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    return [work(job) for job in jobs]


def _leave_interrupts_to_parent() -> None:
    # Ctrl-C reaches every process of the terminal; only the parent should answer, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
