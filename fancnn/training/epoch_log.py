"""The course of a run: `metrics.csv` and a line on the console for each epoch, a bar within it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from rich.progress import Progress, TaskID

from fancnn.files.tables import table_writer
from fancnn.system.console import console, say
from fancnn.training.diagnosis import constant_output

VERSION = 1


class EpochCsvLogger(Checkpoint):
    """One row an epoch in `metrics.csv` (version 1: epoch, seconds, lr, `train/...`, `val/...`), and one line.

    It is a `Checkpoint` to Lightning, which calls those after the scores of the epoch are logged. A resumed run
    has the rows of the epochs before. Where the network is sure to have stopped learning it warns at once; `warned` has
    the kinds of what it warned of.

    Args:
        path: Of the table.
        scores: Scores of validation that the line has beside the losses.
    """

    def __init__(self, path: str | Path, scores: Sequence[str] = ("f1", "auroc")) -> None:
        self.path, self.scores = Path(path), tuple(scores)
        self.rows: list[dict[str, float]] = []
        self.warned: set[str] = set()
        self._started = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows and trainer.is_global_zero:  # of an earlier training, which may have no epoch to come
            self._write()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name != "step"}
        seconds = round(time.perf_counter() - self._started, 3)
        self.rows.append({"epoch": trainer.current_epoch + 1, "seconds": seconds, **scores})
        if trainer.is_global_zero:
            self._write()
            say(epoch_line(self.rows[-1], trainer.max_epochs or 0, self.scores))
            self._warn()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "warned": sorted(self.warned)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.warned = list(state_dict["rows"]), set(state_dict.get("warned", ()))  # runs of before have none

    def _warn(self) -> None:
        finding = constant_output(self.rows)
        if finding and finding.kind not in self.warned:
            self.warned.add(finding.kind)
            say(f"warning: {finding}")

    def _write(self) -> None:
        first = ("epoch", "seconds", "lr")
        names = sorted({name for row in self.rows for name in row if name not in first})
        with table_writer(self.path, [*first, *names], VERSION) as add:
            for row in self.rows:
                add(row)


def epoch_line(row: dict[str, float], epochs: int, scores: Sequence[str] = ("f1", "auroc")) -> str:
    """Return what the console says of an epoch.

    Example:
        >>> epoch_line({"epoch": 3, "seconds": 2.04, "train/loss": 0.5, "val/loss": 0.61, "val/f1": 0.7}, 10)
        'epoch  3/10  train loss 0.5000  val loss 0.6100  f1 0.700  auroc      -  2.0 s'
    """

    def shown(name: str, digits: int) -> str:
        return f"{row[name]:.{digits}f}" if name in row else "-".rjust(digits + 2)

    losses = f"train loss {shown('train/loss', 4)}  val loss {shown('val/loss', 4)}"
    more = [f"{name} {shown(f'val/{name}', 4 if name == 'auroc' else 3)}" for name in scores]
    return "  ".join([f"epoch {row['epoch']:2.0f}/{epochs}", losses, *more, f"{row['seconds']:.1f} s"])


class EpochProgressBar(pl.Callback):
    """A bar over the steps of the epoch, on a terminal alone."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and console.is_terminal:
            self._bar = Progress(console=console, transient=True)
            self._bar.start()
            name = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._task = self._bar.add_task(name, total=float(trainer.num_training_batches))

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
