"""Run a command in a fork of this process, which has imported everything: a tenth of a second instead of ten.

Only for a process with one thread and without CUDA: call `prepare` first. Runtimes of exported files start threads as
they are imported, so the forks import them themselves.
"""

import importlib
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HEAVY = (
    *("torch", "pytorch_lightning", "torchmetrics", "matplotlib.figure", "captum.attr"),
    *("onnx", "onnxscript", "torch.utils.tensorboard", "scipy.stats", "sklearn.model_selection"),
    *(
        f"fancnn.{name}.{name}"
        for name in ("train", "pretrain", "crossval", "ensemble", "evaluate", "predict", "decide")
    ),
    *(f"fancnn.{name}.{name}" for name in ("certify", "report", "compare", "export", "explain", "prune", "filters")),
    *("fancnn.fans.fans", "fancnn.cache.cache"),
)


@dataclass(frozen=True)
class Ended:
    """How a fork ended.

    Attributes:
        code: Its exit code; negative is the signal that ended it.
        text: What it printed, standard error last.
        hung: Whether it was ended since it took too long.
        megabytes: The most memory that it had resident.
        seconds: How long it took.
    """

    code: int
    text: str
    hung: bool
    megabytes: float
    seconds: float

    @property
    def refused(self) -> bool:
        """Whether it ended in words."""
        return self.code == 1 and not self.traceback

    @property
    def traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.text


def prepare(names: Sequence[str] = HEAVY) -> None:
    """Import what commands import, on one thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "200"}
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:  # an extra that is not installed
            continue
    import torch

    torch.set_num_threads(1)
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        print(
            f"warning: {threads} threads run where tries are forked, and a fork may wait for one for ever", flush=True
        )


def run_command(
    command: str,
    arguments: Sequence[str],
    cwd: Path,
    *,
    first: Callable[[], None] = lambda: None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
    megabytes: int | None = None,
) -> Ended:
    """Run `python -m fancnn.<command>` in a fork.

    Args:
        command: Name of the command.
        arguments: Of its command line.
        cwd: Where.
        first: Called in the fork before the command begins.
        environment: Variables to be set.
        seconds: After which it is ended.
        megabytes: More address space than this beyond that of this process is refused by the system.
    """

    def story() -> int:
        os.chdir(cwd)
        os.environ |= environment or {}
        sys.argv = [f"fancnn-{command}", *arguments]
        first()
        try:
            importlib.import_module(f"fancnn.{command}.__main__").main()
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
                return 1
            return int(end.code or 0)
        return 0

    return forked(story, cwd, seconds=seconds, megabytes=megabytes)


def forked(story: Callable[[], int], scratch: Path, *, seconds: float = 120, megabytes: int | None = None) -> Ended:
    """Call `story` in a fork, with its output in files under `scratch`, and wait for its exit code."""
    out, started = scratch / ".printed", time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_child(story, out, megabytes)
    watch = select.poll()
    handle = os.pidfd_open(pid)
    watch.register(handle, select.POLLIN)
    hung = not watch.poll(seconds * 1000)
    os.close(handle)
    if hung:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # workers that it had started
    text = out.read_text(encoding="utf-8", errors="backslashreplace") if out.exists() else ""
    out.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, text, hung, usage.ru_maxrss / 1024, time.monotonic() - started)


def _be_the_child(story: Callable[[], int], out: Path, megabytes: int | None) -> None:
    """Never return: this is the fork."""
    code = 70
    try:
        os.setsid()
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, file), (2, file)):
            os.dup2(source, target)
        if megabytes is not None:
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            limit = now + megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = story()
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
