"""The keys and types of each group of the configuration; each command composes its own of them."""

from dataclasses import dataclass
from typing import Any

SPLIT_NAMES = ("train", "val", "test")
ALL = "all"  # images that name no split


@dataclass
class FansSettings:
    """Rendered fans; see `fancnn.fans.fan_dataset.render_fans`."""

    count: int
    seed: int
    ng_fraction: float
    size: int
    severity: float


@dataclass
class DataSettings:
    """Images, their splits and their pixels; see `ImageDataModule`, `SplitPlan` and `Preprocess`."""

    root: str | None
    go_class: str
    split_method: str
    val_fraction: float
    test_fraction: float
    group: str | None
    split_file: str | None
    image_size: list[int]
    resize: str
    background: str
    mean: list[float]
    std: list[float]
    cache: str | None
    on_bad_file: str
    sampler: str
    batch_size: int
    eval_batch_size: int
    fans: FansSettings | None


@dataclass
class ImageLimits:
    """How large a file and an image may be that is read; see `fancnn.images.image_gate.ImageGate`.

    Not taken from checkpoints, run folders or exported files, which may come from anywhere.
    """

    max_side: int = 65_535
    megapixels: float = 100.0
    megabytes: float = 200.0
    decoding_megabytes: float = 2000.0


@dataclass
class AugmentSettings:
    """What training images go through, see `fancnn.augmentation`; transforms by `_target_`, null leaves one out."""

    border: Any  # reflection, edge, or a number
    transforms: dict[str, Any]


@dataclass
class ModelSettings:
    """Three objects by `_target_`: the network (group `model`), its loss and its optimizer (groups of their own)."""

    network: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    output_bias: str | None = None
    labels: str = "binary"


@dataclass
class FreezeSettings:
    """Layers that stay as they came; see `fancnn.training.layer_freezing`."""

    layers: Any = None  # how many, all_but_last, or None
    until_epoch: int | None = None


@dataclass
class RegularizationSettings:
    """Penalties on kernels; see `fancnn.training.regularization`."""

    l1: float
    l2: float


@dataclass
class DecisionSettings:
    """Where the thresholds come from; see `fancnn.decisions.threshold_choice`."""

    rule: str
    split: str
    threshold: float
    recheck: float | None
    most_rechecked: float
    escape_rate: float
    confidence: float
    unit: str | None = None  # absent from rules that were kept before, as `largest_group`
    largest_group: int | None = None


@dataclass
class CostSettings:
    """What one part of each kind costs; see `fancnn.decisions.line_costs.Costs`."""

    escape: float | None
    overkill: float | None
    look: float | None


@dataclass
class LineSettings:
    """The line that the inspector stands at; see `fancnn.decisions.line_costs.Line`."""

    ng_rate: float | None
    parts_per_shift: int | None
    shifts_per_month: float | None
    costs: CostSettings


@dataclass
class LineRateSettings:
    """How many of the line's parts are NG, for commands that need no more of the line."""

    ng_rate: float | None


@dataclass
class PixelSettings:
    """How large the images are that a network gets, height and width."""

    image_size: list[int]


@dataclass
class NetworkSettings:
    """A network by `_target_`, without what trains it, and how many outputs it has."""

    network: dict[str, Any]
    num_outputs: int
