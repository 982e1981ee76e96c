"""Kinds of what files say of a model, one for checkpoints, `metrics.json` and exported files alike."""

from typing import Any

from fancnn.files.plain_data import (
    Mismatch,
    list_of,
    map_of,
    mismatch,
    number,
    number_between,
    one_of,
    optional,
    record,
    text,
    whole,
)
from fancnn.metrics.thresholds import Thresholds
from fancnn.settings.choices import Background, ClaimUnit, DecisionRule, Resize
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.settings.validation import MOST_SIDE

MOST_CLASSES = 100_000

TEXTS = list_of(text)
VERSIONS = map_of(text)


def thresholds(value: Any, key: str) -> None:
    """Take lower and upper threshold, from 0 to 1."""
    list_of(number_between(0, 1), 2, 2)(value, key)
    try:
        Thresholds(*value)
    except ValueError as error:
        raise Mismatch(f"{key}: {error}") from error


def calibration(value: Any, key: str) -> None:
    """Take what `Calibration.to_dict` gives."""
    from fancnn.decisions.calibration import Calibration  # lazy: a line's computer has exported files and no scipy

    CALIBRATION_TYPES(value, key)
    try:
        Calibration.from_dict(value)
    except ValueError as error:
        raise Mismatch(f"{key}: {error}") from error


def _share(value: Any, key: str) -> None:
    number_between(0, 1)(value, key)
    if value in (0, 1):
        raise mismatch(key, "a share above 0 and below 1", value)


def _above_0(value: Any, key: str) -> None:
    number(value, key)
    if value <= 0:
        raise mismatch(key, "a number above 0", value)


def _from_0(value: Any, key: str) -> None:
    number(value, key)
    if value < 0:
        raise mismatch(key, "a number from 0", value)


CALIBRATION_TYPES = record(
    {
        **dict.fromkeys(("logits", "calibrated"), list_of(number, 1)),
        **{"slope": number, "method": text, "ng_rate": optional(_share)},
    },
    ("logits", "calibrated", "slope", "method"),
)
"""The same, where it is already in the graph and only its mix of parts is read."""

_COSTS = dict.fromkeys(("escape", "overkill", "look"), optional(_from_0))
LINE = record(
    {
        "ng_rate": optional(_share),
        "parts_per_shift": optional(whole(1)),
        "shifts_per_month": optional(_above_0),
        "costs": record(_COSTS, tuple(_COSTS), closed=True),
    },
    ("ng_rate", "parts_per_shift", "shifts_per_month", "costs"),
    closed=True,
)
"""The keys of `line`; each null where it was not said."""

DECISION_RULE = record(
    {
        "rule": one_of(*DecisionRule),
        "split": one_of(*SPLIT_NAMES),
        "threshold": number_between(0, 1),
        "recheck": optional(number_between(0, 1)),
        "most_rechecked": number_between(0, 1),
        "escape_rate": _share,
        "confidence": _share,
        "unit": optional(one_of(*ClaimUnit)),
        "largest_group": optional(whole(1)),
    },
    ("rule", "split", "threshold", "recheck", "most_rechecked", "escape_rate", "confidence"),
    closed=True,
)
"""The keys of `decision`; before parts could be counted by groups the last two were absent."""

PREPROCESS = record(
    {
        "image_size": list_of(whole(1, MOST_SIDE), 2, 2),
        "resize": one_of(*Resize),
        "background": one_of(*Background),
        "mean": list_of(number, 3, 3),
        "std": list_of(_above_0, 3, 3),
    },
    ("image_size", "resize", "background", "mean", "std"),
    closed=True,
)

CLASSES = list_of(text, 1, MOST_CLASSES)
DECISION = {
    "decision": optional(text),
    "decision_split": optional(text),  # `all` for a table without splits
    "line": optional(LINE),
}
"""How the thresholds came about, under the same keys in every format."""


def outputs(value: Any, key: str) -> None:
    """Take what the outputs of a network are called: NG alone, or GO and at least one kind of NG."""
    list_of(text, 1, MOST_CLASSES)(value, key)
    if list(value) != ["NG"] and (value[0] != "GO" or len(value) < 2):
        raise mismatch(key, "[NG], or GO and then kinds of NG", value)
