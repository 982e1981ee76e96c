"""Checkpoint files that are whole or absent, and the best and the last of a run."""

import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_file, atomic_folder, sync_folder
from fancnn.files.run import BEST, LAST
from fancnn.files.seals import seal_archive
from fancnn.networks.weights import weights_hash, weights_of
from fancnn.settings.choices import words_as_text
from fancnn.settings.earlier_names import training_state_by_present_names
from fancnn.settings.validation import is_count, validate_monitor
from fancnn.system.interruption import uncut
from fancnn.training.epoch_scores import direction


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes as `fancnn.files.atomic_files` does: a kill or a power cut leaves the old file or the new one.

    All checkpoints are written here. What one says of itself gets the SHA-256 of its weights, and the file a seal (see
    `fancnn.files.seals`), so that whoever loads it knows that they are what they were.

    Lightning stages in the system's temporary folder; from another file system the move is a copy.

    What is saved twice at one step, as best and as last, is one file with two names: writing takes longer than many an
    epoch. What is loaded to go on with, from an earlier version, has the present names.
    """

    def __init__(self) -> None:
        self._saved: tuple[Any, Path] | None = None  # epoch, step and keys of the latest checkpoint; its file

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        target, state = Path(path), (checkpoint.get("epoch"), checkpoint.get("global_step"), set(checkpoint))
        if self._saved is not None and self._saved[0] == state and _linked(self._saved[1], target):
            return
        if (described := checkpoint.get("fancnn")) is not None:
            now = weights_hash(weights_of(checkpoint["state_dict"]))
            checkpoint = {**checkpoint, "fancnn": {**words_as_text(described), "weights_sha256": now}}
        try:
            # a signal inside torch.save would become another exception
            with uncut(), atomic_file(target) as partial, partial.open("w+b") as file:
                _save(checkpoint, file)
                seal_archive(file)
            self._saved = (state, target)
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror or error}. The file of before, if any, is as it was. Make "
                "room, or work where you can write; a run that was stopped goes on with ckpt=RUN"
            ) from error

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return training_state_by_present_names(super().load_checkpoint(path, *args, **kwargs))


def _save(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    """Save by torch; where the disk refuses a write, raise that and not what torch makes of it."""
    written = _Written(file)
    try:
        torch.save(checkpoint, written)  # type: ignore[arg-type]  # it only writes
    except RuntimeError as error:
        raise written.error or error from None


class _Written:
    """A file to write into, which remembers what went wrong: torch writes from C++ and tells nothing but that."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def best_and_last(dirpath: str, monitor: str) -> list[ModelCheckpoint]:
    """Return what keeps `best.ckpt` by `monitor` and `last.ckpt`, both at the end of an epoch.

    Args:
        dirpath: Folder of the files.
        monitor: Name of the score; lower is better for a loss, higher for all others.
    """
    validate_monitor(monitor)
    options: dict[str, Any] = {
        "dirpath": dirpath,
        "save_on_train_epoch_end": True,  # after the scores of train and val
        "auto_insert_metric_name": False,  # `=` in a file name must be quoted in an override
        "enable_version_counter": False,
    }
    best = BestCheckpoint(filename=Path(BEST).stem, monitor=monitor, mode=direction(monitor), **options)
    # Lightning's own `save_last` writes the last epoch only where it is the best; without a monitor every epoch is kept
    return [best, ModelCheckpoint(filename=Path(LAST).stem, **options)]


class BestCheckpoint(ModelCheckpoint):
    """The best of a run and of what it goes on with: a resumed run has a new folder and takes the best so far along.

    Lightning's own forgets the best score where the folder is another.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = Path(self.dirpath or "") / BEST
        moved = {**state_dict, "dirpath": self.dirpath, "last_model_path": ""}
        if best.exists():
            score = state_dict["best_model_score"]
            moved |= {
                "best_model_path": str(best),
                "kth_best_model_path": str(best),
                "best_k_models": {str(best): score},
            }
        else:  # the best of the earlier run is gone: choose again from here on
            moved |= {
                "best_model_path": "",
                "kth_best_model_path": "",
                "best_k_models": {},
                "best_model_score": None,
            }
            moved["kth_value"] = self.kth_value
        super().load_state_dict(moved)


def _linked(source: Path, name: Path) -> bool:
    """Give a file a second name, in one step; False on file systems that know no such thing."""
    try:
        with atomic_folder(name) as folder:
            (folder / name.name).hardlink_to(source)
            (folder / name.name).replace(name)
            sync_folder(name.parent)
    except OSError:
        return False
    return True


def take_best_along(earlier: Path, dirpath: Path, *, ended: bool = False) -> None:
    """Copy the best checkpoint beside the file `earlier` into the folder of the run that resumes it.

    Args:
        earlier: The checkpoint to go on from.
        dirpath: The folder.
        ended: Whether no epoch follows, which would leave files of its own: then `earlier` comes along as the last one,
            and as the best where there is no other.
    """
    best = earlier.parent / BEST
    taken = {BEST: earlier if ended and not best.exists() else best, **({LAST: earlier} if ended else {})}
    for name, source in taken.items():
        target = dirpath / name
        if source.exists() and not (target.exists() and target.samefile(source)):
            with atomic_file(target) as partial:
                shutil.copy2(source, partial)


class NoMoreEpochs(pl.Callback):
    """Ends a resumed training before another epoch; what its checkpoint keeps is restored."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        progress: Any = trainer.fit_loop.epoch_progress.current
        progress.completed = progress.processed  # checkpoints are written just before Lightning counts the epoch


def early_stopping(monitor: str, patience: int, min_delta: float = 0.0) -> EarlyStopping:
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs."""
    validate_monitor(monitor)
    if not is_count(patience):
        raise ValueError(f"patience={patience} should be 1 or more epochs; null in place of the callback never stops")
    return EarlyStopping(monitor, min_delta=min_delta, patience=patience, mode=direction(monitor))
