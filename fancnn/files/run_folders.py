"""Run folders: whether one holds a run, whether that run is complete, and who is at work in it.

| file | meaning |
| --- | --- |
| `.unfinished` | the run is not complete: its command is at work, or was stopped. One line: the command, and the folder
that it goes on with, this one or that above (`train .`, or `crossval ..` in a fold) |
| `.deciding` | checkpoint, `predictions.csv` and `metrics.json` are about to change together |
| `.lock` | locked by the process that writes here, for as long as it lives; a killed one leaves no lock behind |

A run begins with the first file and is complete when that is gone: whatever else lies there may be half of it. A run of
before this had none: with `predictions.csv` and checkpoints, and without `metrics.json`, it is not complete.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fancnn.errors import UserError, argument
from fancnn.files.atomic_files import remove, write_atomically
from fancnn.files.run import Run

UNFINISHED, DECIDING, LOCK = ".unfinished", ".deciding", ".lock"
RESUMED = ("train", "pretrain", "crossval", "prune", "size")  # commands that take ckpt=RUN
IN_ANOTHER = ("train", "pretrain")  # these go on in another folder, unless it is named
_RUN = Run(Path())
LEFT = (  # what commands leave in a folder, whichever ran there
    *(UNFINISHED, DECIDING),
    *(path.name for path in (_RUN.checkpoints, _RUN.metrics, _RUN.epochs, _RUN.predictions, _RUN.split, _RUN.report)),
    *("compare.html", "compare.json", "certificate.json", "explain.html", "explain.json"),
    *("filters.json", "pruning.json", "lr_find.csv", "benchmark.json", "multirun.yaml"),
)
BARE = "which was stopped in its first epoch, before there was anything to go on with"
_own: set[Path] = set()  # unfinished, and read by the command that makes them
_locked: dict[Path, int] = {}  # descriptors by folder: closing one, as the end of the process does, unlocks


def begin(run: Path, command: str, *, part: bool = False) -> None:
    """Say in a run folder that a run begins there, which is not complete until `finish`.

    Args:
        run: The folder, made if it is not there.
        command: That makes the run.
        part: Whether the run is a part of what the command makes in the folder above.
    """
    write_atomically(run / UNFINISHED, f"{command} {'..' if part else '.'}\n".encode())


def finish(run: Path) -> None:
    """Say that everything of the run is there."""
    if (run / UNFINISHED).exists():
        remove(run / UNFINISHED)


@contextmanager
def reading_unfinished(run: Path) -> Iterator[None]:
    """Let the command that makes a run read what it has written there, as if the run were complete."""
    _own.add(run.resolve())
    try:
        yield
    finally:
        _own.discard(run.resolve())


def why_incomplete(run: Path, *, deciding: bool = False) -> str:
    """Return why a run folder may not be taken for a run, and the way out; empty where nothing speaks against it.

    Args:
        run: The folder.
        deciding: Whether it is to be decided again, which mends a decision that was cut short.
    """
    if run.resolve() in _own:
        return ""
    if (run / DECIDING).exists() and not deciding:
        return f"{run} was being decided again when that was stopped: run python -m fancnn.decide again"
    if (run / UNFINISHED).exists():
        return in_words(run, *_begun(run))
    judged = Run(run).predictions.exists() and Run(run).checkpoints.is_dir()
    if judged and not Run(run).metrics.exists():
        return in_words(run, "train", run)
    return ""


def in_words(run: Path, command: str, top: Path) -> str:
    """Return the sentence on a run that its command has not completed.

    Args:
        run: Its folder.
        command: That was making it.
        top: The folder that the command goes on with.
    """
    if _is_locked(run) or _is_locked(top):
        return f"{run} is not complete: python -m fancnn.{command} is at work there. Wait for its end"
    stopped = f"{run} is not complete: python -m fancnn.{command} was stopped there before its end"
    if _is_bare(run):
        return f"{stopped}, {BARE}. Remove it, and run the command again"
    if command not in RESUMED:
        return f"{stopped}. Make it again: python -m fancnn.{command} --help"
    here = f" {argument('hydra.run.dir', top)}" if command in IN_ANOTHER else ""
    completes = f"{stopped}. This completes it: python -m fancnn.{command} {argument('ckpt', top)}{here}"
    if command != "train" or run != top:
        return completes
    return f"{completes}; as it is, without another epoch: the same with trainer.max_epochs=<epochs so far>"


def validate_complete(run: Path, *, deciding: bool = False) -> None:
    """Refuse a run folder whose files may be half of a run, or speak of different thresholds.

    Raises:
        UserError: With the way out.
    """
    if why := why_incomplete(run, deciding=deciding):
        raise UserError(why)


def holds_run(folder: Path) -> bool:
    """Return whether a command has left something in a folder, beside its settings."""
    if not folder.is_dir():
        return False
    return any((folder / name).exists() for name in LEFT) or any(folder.glob("fold-*/")) or any(folder.glob("keep-*/"))


def claim(folder: Path, *, goes_on: bool = False) -> None:
    """Take a folder for a run, for the life of this process, before anything is written there.

    Args:
        folder: Made if it is not there.
        goes_on: Whether the run that it holds goes on in it.

    Raises:
        UserError: If it holds another run, or another process is at work in it.
    """
    if _is_locked(folder):
        raise UserError(_at_work(folder))
    if not goes_on and _is_bare(folder):
        raise UserError(f"{folder} holds the beginning of a run, {BARE}: remove it, or name another folder")
    if holds_run(folder) and not goes_on:
        raise UserError(
            f"{folder} holds a run already, and two in one folder would be mixed. Name another folder, or leave it out "
            f"and each run has its own; to go on with that run: {argument('ckpt', folder)}; or remove it first"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _lock(folder)


@contextmanager
def at_work(run: Path) -> Iterator[None]:
    """Hold the lock of a finished run, so that no other process changes it at the same time.

    Raises:
        UserError: If another process is at work in it.
    """
    held = run.resolve() in _locked
    _lock(run)
    try:
        yield
    finally:
        if not held:
            os.close(_locked.pop(run.resolve()))


def _lock(folder: Path) -> None:
    if folder.resolve() in _locked:
        return
    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}") from error
    try:
        # of the process, and not of the file: what it starts by fork does not hold it on
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise UserError(_at_work(folder)) from error
    _locked[folder.resolve()] = file


def _is_locked(folder: Path) -> bool:
    """Return whether another process is at work in a folder."""
    if folder.resolve() in _locked:
        return False
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _is_bare(run: Path) -> bool:
    """Return whether a training was stopped before its first checkpoint."""
    return (run / UNFINISHED).exists() and _begun(run)[0] in ("train", "pretrain") and not any(run.rglob("*.ckpt"))


def _at_work(folder: Path) -> str:
    return f"another process is at work in {folder}: wait for its end, or name another folder"


def _begun(run: Path) -> tuple[str, Path]:
    """Return the command that began a run, and the folder that it goes on with."""
    try:
        command, _, where = (run / UNFINISHED).read_text(encoding="utf-8").partition(" ")
    except (OSError, UnicodeError):
        return "train", run
    command = command if command in (*RESUMED, "ensemble") else "train"
    return command, run.parent if where.strip() == ".." else run
