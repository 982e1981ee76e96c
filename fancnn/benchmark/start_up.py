"""From the command line to an answer, to the first step, to the end of a run: whole processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from fancnn.errors import UserError
from fancnn.system.timing import Result, in_turn, seconds

PACKAGE_HOME = Path(__file__).resolve().parents[2]


class StepProbe(pl.Callback):
    """Writes when the first step was done, and how much memory the process then had to itself."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.first = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.first = self.first or time.time()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.path.write_text(json.dumps({"first_step": self.first, "megabytes": own_megabytes()}), encoding="utf-8")


def own_megabytes() -> float:
    """Return the memory of this process that is no file's: what it needs beyond the page cache."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


def start_results(scratch: Path, repeats: int) -> list[Result]:
    """Return the seconds until a command answers that has nothing to compute."""
    python, imports = [sys.executable, "-c", "pass"], [sys.executable, "-c", "import fancnn.train.train"]
    bare, help_, mistake, imported = in_turn(
        repeats,
        lambda: _process(python, scratch),
        lambda: _process(_train("--help"), scratch),
        lambda: _process(_train("monitor=val/los"), scratch, expected=1),
        lambda: _process(imports, scratch),
    )
    return [
        Result("python, doing nothing", "s", bare),
        Result("train --help", "s", help_),
        Result("a mistake in the configuration", "s", mistake),
        Result("import of all that training needs", "s", imported),
    ]


def run_results(
    root: Path, scratch: Path, options: Sequence[str], epochs: int, repeats: int, what: str
) -> list[Result]:
    """Return the seconds of whole runs, and from the command to the first step, with a cold and with a warm cache."""
    cold, warm, first = [], [], []
    for repeat in range(repeats):
        cache = scratch / f"cache-{what}-{repeat}".replace(" ", "-")
        arguments = [f"data.root={root}", f"trainer.max_epochs={epochs}", "callbacks.early_stopping=null", *options]
        cold.append(probed_run(scratch, cache, arguments)["seconds"])
        again = probed_run(scratch, cache, arguments)
        warm.append(again["seconds"])
        first.append(again["first_step"])
    return [
        Result(f"run of {epochs} epochs, cold cache, {what}", "s", cold),
        Result(f"run of {epochs} epochs, warm cache, {what}", "s", warm),
        Result(f"command to first step, warm cache, {what}", "s", first),
    ]


def probed_run(scratch: Path, cache: Path, arguments: Sequence[str]) -> dict[str, float]:
    """Return one training in a process of its own: seconds, seconds to the first step, megabytes."""
    report = scratch / "probe.json"
    probe = f"+callbacks.probe={{_target_: {__name__}.StepProbe, path: '{report}'}}"
    started = time.time()
    taken = _process(_train(f"data.cache={cache}", probe, *arguments), scratch)
    probed = json.loads(report.read_text(encoding="utf-8"))
    return {"seconds": taken, "first_step": probed["first_step"] - started, "megabytes": probed["megabytes"]}


def _train(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fancnn.train", *arguments]


def _process(command: Sequence[str], cwd: Path, expected: int = 0) -> float:
    path = os.pathsep.join([str(PACKAGE_HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
    finished: list[subprocess.CompletedProcess[str]] = []

    def work() -> None:
        environment = {**os.environ, "PYTHONPATH": path}
        finished.append(subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False))

    taken = seconds(work)
    if finished[0].returncode != expected:
        raise UserError(f"{' '.join(command)} ended with {finished[0].returncode}:\n{finished[0].stderr[-2000:]}")
    return taken
