"""Names that files of earlier versions have for classes, keys and choices, and what these are called now."""

import re
from collections.abc import Mapping
from typing import Any

from fancnn.settings.validation import OWN_TRAINER

MODULES = {  # where what was in them is now
    "fancnn.learning.history": "fancnn.training.epoch_log",
    "fancnn.learning.dynamics": "fancnn.training.training_dynamics",
    "fancnn.learning.pretext": "fancnn.pretrain.pretext_tasks",
    "fancnn.learning.samples": "fancnn.train.augmented_samples",
    "fancnn.learning": "fancnn.training",
}
CLASSES = {  # and functions that make their objects, by the modules of now
    "fancnn.augmentation.ColourCast": "fancnn.augmentation.ChannelGain",
    "fancnn.augmentation.Erasing": "fancnn.augmentation.RandomErasing",
    "fancnn.augmentation.Shift": "fancnn.augmentation.Translate",
    "fancnn.augmentation.SquareSymmetry": "fancnn.augmentation.DihedralSymmetry",
    "fancnn.training.averaging.ema": "fancnn.training.averaging.ExponentialMovingAverage",
    "fancnn.training.averaging.swa": "fancnn.training.averaging.StochasticWeightAverage",
    "fancnn.train.augmented_samples.ShowSamples": "fancnn.train.augmented_samples.LogSampleImages",
    "fancnn.training.checkpointing.BestAndLast": "fancnn.training.checkpointing.best_and_last",
    "fancnn.training.epoch_log.EpochBar": "fancnn.training.epoch_log.EpochProgressBar",
    "fancnn.training.epoch_log.History": "fancnn.training.epoch_log.EpochCsvLogger",
    "fancnn.training.training_dynamics.Dynamics": "fancnn.training.training_dynamics.TrainingDynamics",
}
CALLBACKS = {  # classes by which Lightning keeps the states of callbacks in a checkpoint
    "BestAndLast": "BestCheckpoint",
    "Dynamics": "TrainingDynamics",
    "History": "EpochCsvLogger",
}
KEYS = {  # of the configuration
    "data.split": "data.split_method",
    "decision.part": "decision.split",
    "model.outputs": "model.labels",
    "callbacks.dynamics.pictures": "callbacks.dynamics.images",
}
CHOICES = {"model.labels": {"one": "binary", "two": "softmax", "types": "defect_types"}}
_MODULES, _CLASSES, _CALLBACKS = (
    re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b") for names in (MODULES, CLASSES, CALLBACKS)
)


def settings_by_present_names(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a file kept, a tree of plain data, by the present names.

    Example:
        >>> settings_by_present_names({"data": {"split": "ordered"}, "decision": {"rule": "f1", "part": "val"}})
        {'data': {'split_method': 'ordered'}, 'decision': {'rule': 'f1', 'split': 'val'}}
    """
    renamed: dict[str, Any] = _renamed(kept, "")
    if isinstance(trainer := renamed.get("trainer"), Mapping):  # earlier versions took these, and they changed nothing
        renamed["trainer"] = {name: value for name, value in trainer.items() if name not in OWN_TRAINER}
    return renamed


def override_by_present_names(override: str) -> str:
    """Return an argument of the command line that a file kept, by the present names.

    Example:
        >>> override_by_present_names("model.outputs=two")
        'model.labels=softmax'
        >>> override_by_present_names("model.loss._target_=fancnn.learning.losses.FocalLoss")
        'model.loss._target_=fancnn.training.losses.FocalLoss'
    """
    key, equals, value = _class_now(override).partition("=")
    name = key.lstrip("+~")
    key = key.removesuffix(name) + KEYS.get(name, name)
    return f"{key}{equals}{CHOICES.get(KEYS.get(name, name), {}).get(value, value)}"


def metadata_by_present_names(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint, an exported file or a `metrics.json` says of a model, by the present names.

    Example:
        >>> metadata_by_present_names({"decision_part": "val", "parts": {"val": {"pictures": 8, "auroc": 0.9}}})
        {'decision_split': 'val', 'splits': {'val': {'images': 8, 'auroc': 0.9}}}
    """
    renamed = {_METADATA.get(key, key): value for key, value in about.items()}
    if isinstance(rule := renamed.get("decision_rule"), Mapping):
        renamed["decision_rule"] = {"split" if key == "part" else key: value for key, value in rule.items()}
    if isinstance(splits := renamed.get("splits"), Mapping):
        renamed["splits"] = {name: _scores_by_present_names(scores) for name, scores in splits.items()}
    if isinstance(folds := renamed.get("folds"), list):
        renamed["folds"] = [_scores_by_present_names(scores) for scores in folds]
    return renamed


def training_state_by_present_names(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint that Lightning goes on with, the states of its callbacks by the present names of these.

    Example:
        >>> training_state_by_present_names({"callbacks": {"BestAndLast{'mode': 'min'}": {"monitor": "val/loss"}}})
        {'callbacks': {"BestCheckpoint{'mode': 'min'}": {'monitor': 'val/loss'}}}
    """
    states = {
        _CALLBACKS.sub(lambda match: CALLBACKS[match[0]], key, count=1): {
            _STATE.get(name, name): value for name, value in state.items()
        }
        for key, state in checkpoint.get("callbacks", {}).items()
    }
    return {**checkpoint, "callbacks": states} if states else dict(checkpoint)


_STATE = {"told": "warned"}
_METADATA = {"decision_part": "decision_split", "parts": "splits"}


def _scores_by_present_names(scores: Any) -> Any:
    if not isinstance(scores, Mapping):
        return scores
    return {"images" if key == "pictures" else key: value for key, value in scores.items()}


def _renamed(kept: Any, place: str) -> Any:
    if isinstance(kept, Mapping):
        renamed = {}
        for key, value in kept.items():
            path = f"{place}.{key}".lstrip(".")
            now = KEYS.get(path, path)
            renamed[now.rpartition(".")[2]] = _renamed(value, now)
        return renamed
    if isinstance(kept, list):
        return [_renamed(value, f"{place}[]") for value in kept]
    if isinstance(kept, str):
        return CHOICES.get(place, {}).get(kept, _class_now(kept))
    return kept


def _class_now(text: str) -> str:
    text = _MODULES.sub(lambda match: MODULES[match[0]], text)
    return _CLASSES.sub(lambda match: CLASSES[match[0]], text)
