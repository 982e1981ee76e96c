"""What files say of a model: one record for checkpoints, `metrics.json` and exported files, and kinds of its keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Annotated, Any

from fancnn.decisions.backbone import BACKBONES
from fancnn.decisions.defect_boxes import CELL_THRESHOLD
from fancnn.errors import UserError
from fancnn.files.plain_data import (
    Kind,
    Mismatch,
    anything,
    kinds_of,
    list_of,
    mismatch,
    number,
    number_between,
    one_of,
    optional,
    record,
    settings_of,
    text,
    whole,
)
from fancnn.metrics.thresholds import Thresholds
from fancnn.settings.choices import PartLabels, to_dict
from fancnn.settings.groups import DecisionSettings, LineSettings, PreprocessSettings
from fancnn.settings.validation import LEAST_MM, MOST_MM, validate_pattern

CHECKPOINT_FORMAT, CHECKPOINT_VERSION = "fancnn-checkpoint", 6
MOST_CLASSES = 100_000

TEXTS = list_of(text)


def _thresholds(value: Any, key: str) -> None:
    """Take lower and upper threshold, from 0 to 1."""
    list_of(number_between(0, 1), 2, 2)(value, key)
    try:
        Thresholds(*value)
    except ValueError as error:
        raise Mismatch(f"{key}: {error}") from error


def _calibration(value: Any, key: str) -> None:
    """Take what `Calibration.to_dict` gives."""
    from fancnn.decisions.calibration import Calibration  # lazy: a line's computer has exported files and no scipy

    CALIBRATION_TYPES(value, key)
    try:
        Calibration.from_dict(value)
    except ValueError as error:
        raise Mismatch(f"{key}: {error}") from error


THRESHOLDS: Kind = _thresholds
CALIBRATION: Kind = _calibration


def _share(value: Any, key: str) -> None:
    number_between(0, 1)(value, key)
    if value in (0, 1):
        raise mismatch(key, "a share above 0 and below 1", value)


CALIBRATION_TYPES = record(
    {
        **dict.fromkeys(("logits", "calibrated"), list_of(number, 1)),
        **{"slope": number, "method": text, "ng_rate": optional(_share)},
    },
    ("logits", "calibrated", "slope", "method"),
)
"""The same, where it is already in the graph and only its mix of parts is read."""

LINE = settings_of(LineSettings)
DECISION_RULE = settings_of(DecisionSettings)
PREPROCESS = settings_of(PreprocessSettings)

NETWORK = record({"_target_": text}, ("_target_",))
INIT = record({"path": text, "epoch": optional(whole(0)), "task": text, "layers": TEXTS, "weights_sha256": text})
DATA = record({"part_labels": one_of(*PartLabels)})
TRAINED_WITH = record(
    {"seed": whole(0), "model": record({"network": NETWORK}, ("network",)), "data": DATA}, ("seed", "model")
)

CLASSES = list_of(text, 1, MOST_CLASSES)


def _outputs(value: Any, key: str) -> None:
    """Take what the outputs of a network are called: NG alone, or GO and at least one kind of NG."""
    list_of(text, 1, MOST_CLASSES)(value, key)
    if list(value) != ["NG"] and (value[0] != "GO" or len(value) < 2):
        raise mismatch(key, "[NG], or GO and then kinds of NG", value)


OUTPUTS: Kind = _outputs


def _pattern(value: Any, key: str) -> None:
    """Take a regular expression."""
    text(value, key)
    try:
        validate_pattern(value, key)
    except UserError as error:
        raise Mismatch(str(error)) from error


class Absent(Enum):
    """What a key is whose absence means something else than null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What a file says of a model: the same keys in checkpoints, exported files and `metrics.json`.

    Attributes:
        classes: Names of the class folders it was trained on.
        go_class: The one of them that holds good parts.
        outputs: What the network's outputs are called, in order.
        thresholds: Lower and upper.
        calibration: As `Calibration.to_dict` gives it.
        decision: What the thresholds were chosen for, in words; None before.
        decision_split: The split that they were chosen on.
        line: The line that they were chosen for, by the keys of `line`; None before.
        epoch: How many epochs the weights have seen; None in an ensemble.
        split_sha256: Which split it was trained on.
        weights_sha256: Of the weights.
        versions: Of the packages that decide numbers.
        backbones: Where weights come from that learnt elsewhere, by the keys of `Backbone`, those of all members of an
            ensemble; None where none did, and before that was recorded.
    """

    classes: Annotated[list[str], CLASSES] = field(default_factory=list)
    go_class: str = ""
    outputs: Annotated[list[str], OUTPUTS] = field(default_factory=lambda: ["NG"])
    thresholds: Annotated[Sequence[float], THRESHOLDS] = (0.5, 0.5)
    calibration: Annotated[Mapping[str, Any], CALIBRATION_TYPES] = field(default_factory=dict)
    decision: str | None = None
    decision_split: str | None = None  # `all` for a table without splits
    line: Annotated[Mapping[str, Any] | None, optional(LINE)] = None
    epoch: Annotated[int | None, optional(whole(0))] = None
    split_sha256: str | None = None
    weights_sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    backbones: Annotated[Sequence[Mapping[str, Any]] | None, optional(BACKBONES)] = None


def whole_preprocess(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preprocessing that a file keeps, with what was done where it is of before a key was there."""
    return to_dict(PreprocessSettings(**kept))


@dataclass(frozen=True, kw_only=True)
class StoredModelMetadata(ModelMetadata):
    """What a file says that holds the model itself.

    Attributes:
        preprocess: By the keys of `PreprocessSettings`; those that an earlier version did not know have its values.
        runs: In an ensemble, the run folders of its members.
        seen: Which images the model has seen, as `SeenImages.to_dict` gives it; None before that was recorded.
        cell_threshold: Above it a cell is part of a region of the defect, where the network has cells.
        mm_per_pixel: Of the stored images; None where not known.
        part: Regular expression that names the part in an image's path, where thresholds are of parts of several
            images; None where they are of images, and before.
        part_images: How many images each part had in training; None where their numbers differed, and before.
    """

    preprocess: Annotated[Mapping[str, Any], PREPROCESS] = field(default_factory=dict)
    runs: list[str] | None = None
    seen: Annotated[Mapping[str, Any] | None, anything] = None  # read by `SeenImages.from_dict`
    cell_threshold: Annotated[float, number_between(0, 1)] = CELL_THRESHOLD
    mm_per_pixel: Annotated[float | None, optional(number_between(LEAST_MM, MOST_MM))] = None
    part: Annotated[str | None, optional(_pattern)] = None
    part_images: Annotated[int | None, optional(whole(1))] = None


@dataclass(frozen=True, kw_only=True)
class CheckpointMetadata(StoredModelMetadata):
    """What a checkpoint says of itself: the table in `fancnn.runs.checkpoints`, in this version's names.

    Attributes:
        format: Tells its files from others.
        version: Of the format.
        complete: Whether its command has ended for it; None before that was recorded.
        network: `_target_` and arguments of the network.
        calibration: As above.
        decision_rule: That chose the thresholds, by the keys of `decision`; None where none can choose again.
        init: Where its first weights came from.
        task: What was learnt, in a pretraining.
        learnt: The layers that it taught.
        root: Where the images were.
        settings: It was trained with.
    """

    format: str = CHECKPOINT_FORMAT
    version: Annotated[int, whole(1)] = CHECKPOINT_VERSION
    complete: bool | None = None
    network: Annotated[Mapping[str, Any], NETWORK] = field(default_factory=dict)
    calibration: Annotated[Mapping[str, Any], CALIBRATION] = field(default_factory=dict)
    decision_rule: Annotated[Mapping[str, Any] | Absent | None, optional(DECISION_RULE)] = ABSENT
    init: Annotated[Mapping[str, Any] | None, INIT] = None
    task: str | None = None
    learnt: list[str] | None = None
    root: str = ""
    settings: Annotated[Mapping[str, Any], TRAINED_WITH] = field(default_factory=dict)

    @property
    def is_pretraining(self) -> bool:
        return self.task is not None

    @property
    def part_labels(self) -> PartLabels:
        """Return how images of one part are labelled, as it was trained; in files of before there were no parts."""
        return PartLabels(self.settings.get("data", {}).get("part_labels", PartLabels.same))

    @property
    def known_line(self) -> Mapping[str, Any] | None:
        """Return the line that was decided for, else the one that was trained for; None where neither is known."""
        return self.line or self.settings.get("line")

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: keys that say nothing stay away, but for those whose null says something."""
        null_says_something = ("epoch", "decision_split", "decision_rule")
        of_an_inspector = (
            *("classes", "go_class", "outputs", "thresholds", "calibration", "decision_split"),
            *("cell_threshold", "mm_per_pixel", "part", "part_images"),
        )
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: value
            for name, value in values.items()
            if value is not ABSENT
            and (value is not None or name in null_says_something)
            and not (self.is_pretraining and name in of_an_inspector)
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "CheckpointMetadata":
        """Return what a checkpoint of any version says, once that was checked; unknown keys are passed over."""
        if plain.get("version") == 1:
            both = plain["threshold"]
            plain = {**plain, "thresholds": (both, both)}
        if plain.get("preprocess"):
            plain = {**plain, "preprocess": whole_preprocess(plain["preprocess"])}
        return CheckpointMetadata(**{name: value for name, value in plain.items() if name in CHECKPOINT_KINDS})


CHECKPOINT_KINDS = kinds_of(CheckpointMetadata)
