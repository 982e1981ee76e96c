"""What a training says of itself at its end: what went wrong, what that means and which key to change."""

from typing import TypeVar

from pytorch_lightning import Trainer

from fancnn.system.console import say
from fancnn.training.diagnosis import Finding, diagnose
from fancnn.training.epoch_log import EpochCsvLogger
from fancnn.training.training_dynamics import TrainingDynamics

C = TypeVar("C")


def findings_of(trainer: Trainer) -> list[Finding]:
    """Return the findings of a training that has ended; none where callbacks.history=null has left no history."""
    history = [row for callback in _of_kind(trainer, EpochCsvLogger) for row in callback.rows]
    dynamics = [row for callback in _of_kind(trainer, TrainingDynamics) for row in callback.rows]
    return diagnose(history, dynamics)


def print_findings(trainer: Trainer) -> None:
    """Warn of what was not sure enough for a warning while training."""
    loggers, dynamics = _of_kind(trainer, EpochCsvLogger), _of_kind(trainer, TrainingDynamics)
    warned = set[str]().union(*(logger.warned for logger in loggers), *(callback.warned for callback in dynamics))
    for finding in findings_of(trainer):
        if finding.kind not in warned:
            say(f"warning: {finding}")


def _of_kind(trainer: Trainer, kind: type[C]) -> list[C]:
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]
