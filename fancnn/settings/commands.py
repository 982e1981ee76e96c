"""What each command may be told: the keys and types of its configuration; `conf/` has the values.

A value of another type, an unknown key or a missing one is refused with the key's name before anything runs.
"""

from dataclasses import dataclass, field
from typing import Any

from fancnn.settings.groups import (
    AugmentSettings,
    DataSettings,
    DecisionSettings,
    FansSettings,
    FreezeSettings,
    ImageLimits,
    LineRateSettings,
    LineSettings,
    ModelSettings,
    NetworkSettings,
    PixelSettings,
    RegularizationSettings,
)


@dataclass(kw_only=True)
class TrainSettings:
    """Everything `python -m fancnn.train` can be told."""

    seed: int
    monitor: str
    objective: str
    calibration: str
    report: bool
    score_test: bool | None  # None: at the end of a single training, not in a sweep
    ckpt: str | None
    init: str | None = None  # absent from checkpoints of before, as `freeze`
    augment_preview: bool
    output_dir: str
    overrides: list[str]
    data: DataSettings
    augment: AugmentSettings | None
    model: ModelSettings
    freeze: FreezeSettings = field(default_factory=FreezeSettings)
    regularization: RegularizationSettings
    schedule: dict[str, Any] | None
    decision: DecisionSettings
    line: LineSettings
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    logger: dict[str, Any]
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(kw_only=True)
class CrossvalSettings(TrainSettings):
    """Everything `python -m fancnn.crossval` can be told."""

    folds: int


@dataclass
class EnsembleSettings:
    """Everything `python -m fancnn.ensemble` can be told."""

    runs: list[str]
    calibration: str
    decision: DecisionSettings
    line: LineSettings
    output_dir: str


@dataclass(kw_only=True)
class LrFindSettings(TrainSettings):
    """Everything `python -m fancnn.lr_find` can be told; the training whose rate it finds is one as any."""

    min_lr: float
    max_lr: float
    steps: int


@dataclass
class FilterSettings:
    """Everything `python -m fancnn.filters` can be told."""

    run: str
    layer: str | None
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class PruneSettings:
    """Everything `python -m fancnn.prune` can be told."""

    run: str
    keep: Any  # a share, or a list of them
    by: str
    epochs: int
    lr_factor: float
    escape: float
    confidence: float
    device: str
    ckpt: str | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class DecideSettings:
    """Everything `python -m fancnn.decide` can be told."""

    run: str
    decision: DecisionSettings
    line: LineSettings


@dataclass
class CertifySettings:
    """Everything `python -m fancnn.certify` can be told."""

    run: str | None
    table: str | None
    part: str | None
    escape: float
    confidence: float
    threshold: Any  # a number, `run`, or None
    unit: str | None
    largest_group: int | None
    exclude_seen: bool
    store: bool
    looks: int | None
    output: str
    output_dir: str
    sequential: bool = False  # a pruning certifies too, and asks for none of these
    plan: bool = False
    accept: list[int] = field(default_factory=list)
    lot: int | None = None
    good: float | None = None
    producer: float = 0.05


@dataclass
class OtherData:
    """Pictures to evaluate on: another folder than the run's own, and what its folders are called here."""

    root: str | None
    class_names: dict[Any, str] | None  # a folder may be called 100, which Hydra reads as a number


@dataclass
class EvaluateSettings:
    """Everything `python -m fancnn.evaluate` can be told."""

    run: str | None
    table: str | None
    split: str | None
    data: OtherData
    threshold: float | None
    recheck: float | None
    line: LineSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class PredictSettings:
    """Everything `python -m fancnn.predict` can be told; either `run` or `model_file`, said as `model=`."""

    run: str | None
    model_file: str | None
    input: str
    output: str
    line: LineRateSettings
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class ReportSettings:
    """Everything `python -m fancnn.report` can be told."""

    run: str | None
    table: str | None
    threshold: float | None
    recheck: float | None
    root: str | None
    line: LineSettings
    output: str | None
    output_dir: str


@dataclass
class ExplainSettings:
    """Everything `python -m fancnn.explain` can be told."""

    run: str
    input: str | None
    split: str | None
    pictures: int
    layer: str | None
    methods: list[str]
    baseline: str
    channels: int
    filters: int
    check: bool | None
    check_pictures: int
    seed: int
    device: str
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class CompareSettings:
    """Everything `python -m fancnn.compare` can be told; `runs` are its arguments without a key."""

    runs: list[str]
    part: str | None
    threshold: float
    new_escape_rate: float | None
    new_overkill_rate: float | None
    confidence: float
    root: str | None
    output: str
    output_dir: str


@dataclass
class RenderSettings(FansSettings):
    """Everything `python -m fancnn.fans` can be told."""

    root: str


@dataclass
class CacheSettings:
    """Everything `python -m fancnn.cache` can be told."""

    do: str
    folder: str | None
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass
class DescribeSettings:
    """Everything `python -m fancnn.describe` can be told."""

    seed: int
    data: PixelSettings
    model: NetworkSettings


@dataclass(kw_only=True)
class BenchmarkSettings(TrainSettings):
    """Everything `python -m fancnn.benchmark` can be told; the training it measures is one as any."""

    parts: list[str]
    repeats: int
    count: int
    size: list[int]
    large: int
    scale: list[int]
    epochs: int
    exported: str | None
    requests: int
    keras: str | None
    output: str
