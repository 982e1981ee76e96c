"""Commands in processes of their own that need not import the libraries first, which is most of what a command takes.

One process imports the libraries, and nothing of `fancnn`; a command is a fork of it that goes on as `python -m` does:
with its own arguments, folder, environment, streams, modules of `fancnn` and end.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

# not pytorch_lightning, which changes loggers, nor a runtime, which starts threads
LIBRARIES = (
    *("hydra", "jinja2", "numpy", "PIL.Image", "rich.console", "scipy.stats", "sklearn.model_selection"),
    *("torch", "torch.utils.tensorboard", "torchmetrics"),
)
READ_AT_IMPORT = ("tqdm",)  # what the environment says is for a command to decide, before it imports these
LONGEST = 300  # seconds; no assertion on speed: a process that hangs should fail, not stop the whole test run


def run_forked(command: Sequence[str], cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m *command` in a fork, with what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdout", "stderr")]
        order = {"command": command, "cwd": str(cwd), "environment": environment, "streams": list(map(str, streams))}
        server = _server(environment["PYTHONPATH"])
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, *(path.read_text() for path in streams))


@cache
def _server(python_path: str) -> "subprocess.Popen[str]":
    """Started when it is first needed; it ends with its standard input."""
    start = [sys.executable, "-c", "import fork_server; fork_server.serve()"]
    path = os.pathsep.join([python_path, str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    server = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    atexit.register(server.communicate)
    return server


def serve() -> None:
    """Fork for each line of standard input, and answer with the exit code."""
    for library in LIBRARIES:
        __import__(library)
    for name in [name for name in sys.modules if name.partition(".")[0] in READ_AT_IMPORT]:
        del sys.modules[name]
    gc.freeze()  # or a collection in a fork copies all pages
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            _become(**json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(command: Sequence[str], cwd: str, environment: dict[str, str], streams: Sequence[str]) -> None:
    """Go on as the command; its end is that of the process."""
    signal.alarm(LONGEST)
    for number, name in enumerate([os.devnull, *streams]):
        opened = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.remove(str(Path(__file__).parent))
    sys.path[0] = cwd
    sys.argv = ["-m", *command[1:]]
    runpy._run_module_as_main(command[0])  # type: ignore[attr-defined]  # what `python -m` itself calls
