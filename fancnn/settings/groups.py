"""The keys and types of each group of the configuration, and what their values may be; the YAML has the values.

Each command composes its own of them. An object checks its values when it is made, by keys relative to itself; whether
the files that it names are there is asked by `validate_paths`, which commands call: settings that a file kept may name
some that are gone.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.choices import (
    Background,
    ClaimUnit,
    DecisionRule,
    LabelMode,
    Normalization,
    OnBadFile,
    OutputBias,
    PartLabels,
    Resize,
    Sampler,
    SplitMethod,
    SplitName,
    validate_choices,
)
from fancnn.settings.validation import (
    MOST_EPOCHS,
    MOST_MEGAPIXELS,
    MOST_SIDE,
    is_count,
    is_number,
    is_there,
    place_of,
    validate_batch_sizes,
    validate_border,
    validate_cell_threshold,
    validate_cost,
    validate_file,
    validate_folder,
    validate_frozen,
    validate_grouping,
    validate_image_size,
    validate_largest_group,
    validate_layer_decay,
    validate_mm_per_pixel,
    validate_named,
    validate_normalisation,
    validate_parts_per_shift,
    validate_reduce,
    validate_share,
    validate_shifts_per_month,
    validate_thresholds,
    validate_within,
)

SPLIT_NAMES = tuple(split.value for split in SplitName)
ALL = "all"  # images that name no split
SMALLEST_FAN, SMALLEST_SURFACE, LARGEST_RENDERED, MOST_RENDERED = 48, 96, 4096, 1_000_000
LEAST_CONTRAST = 0.03  # of a rendered scratch: less is lost in the noise


@dataclass
class FansSettings:
    """Rendered fans; see `fancnn.fans.fan_dataset.render_fans`."""

    count: int
    seed: int
    ng_fraction: float
    size: int
    severity: float

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_within("count", self.count, 1, MOST_RENDERED, "images, e.g. 600"))
            check(lambda: validate_within("seed", self.seed, 0, 2**63 - 1, ""))
            check(lambda: validate_within("ng_fraction", self.ng_fraction, 0, 1, "e.g. 0.5"))
            check(lambda: validate_within("size", self.size, SMALLEST_FAN, LARGEST_RENDERED, "pixels, e.g. 240"))
            check(lambda: validate_within("severity", self.severity, 1e-9, 1000, "e.g. 1"))


@dataclass
class SurfacesSettings:
    """Rendered surfaces; see `fancnn.surfaces.surface_dataset.render_surfaces`."""

    count: int
    seed: int
    ng_fraction: float
    size: int
    length: list[float]
    width: list[float]
    contrast: list[float]

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_within("count", self.count, 1, MOST_RENDERED, "images, e.g. 400"))
            check(lambda: validate_within("seed", self.seed, 0, 2**63 - 1, ""))
            check(lambda: validate_within("ng_fraction", self.ng_fraction, 0, 1, "e.g. 0.5"))
            check(lambda: validate_within("size", self.size, SMALLEST_SURFACE, LARGEST_RENDERED, "pixels, e.g. 1024"))
            check(lambda: self._validate_span("length", 1, self.size / 2, "pixels, e.g. [7,14]"))
            check(lambda: self._validate_span("width", 1, self.size / 4, "pixels, e.g. [2,4]"))
            check(lambda: self._validate_span("contrast", LEAST_CONTRAST, 1, "of brightness, e.g. [0.12,0.3]"))

    def _validate_span(self, name: str, least: float, most: float, example: str) -> None:
        values = getattr(self, name)
        if len(values) != 2 or not all(map(is_number, values)) or not least <= values[0] <= values[1] <= most:
            raise UserError(f"{name}={values} should be a least and a most from {least:g} to {most:g} {example}")


@dataclass
class ImageSizeSettings:
    """How large the images are that a network gets, height and width."""

    image_size: list[int]

    def __post_init__(self) -> None:
        validate_image_size(self.image_size)


@dataclass(kw_only=True)
class PreprocessSettings(ImageSizeSettings):
    """What a network gets of an image; see `Preprocess`, whose arguments they are."""

    resize: Resize
    background: Background
    mean: list[float]
    std: list[float]
    normalize: Normalization = Normalization.none  # absent from models that were kept before, as what follows
    normalize_window: int = 51
    reduce: int | None = None

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(lambda: validate_choices(self))
            check(lambda: validate_reduce(self.reduce))
            check(lambda: validate_normalisation(self.mean, self.std, self.normalize, self.normalize_window))


@dataclass(kw_only=True)
class ImageSettings(PreprocessSettings):
    """Images, of whatever they are; see `ImageDataModule`."""

    val_fraction: float
    cache: str | None
    on_bad_file: OnBadFile
    batch_size: int
    eval_batch_size: int

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(lambda: validate_batch_sizes(self.batch_size, self.eval_batch_size))

    def validate_paths(self) -> None:
        if self.cache is not None and (not self.cache or is_there(place_of("cache", self.cache), Path.is_file)):
            raise UserError(f"cache={self.cache!r} is no folder. Expected auto, the path of a folder, or null for none")


@dataclass(kw_only=True)
class UnlabelledSettings(ImageSettings):
    """Images of any folder tree."""

    root: str

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(lambda: validate_share("val_fraction", self.val_fraction))

    def validate_paths(self) -> None:
        with collected() as check:
            check(super().validate_paths)
            check(lambda: validate_folder("root", self.root, "one with images in it or below it"))


@dataclass(kw_only=True)
class DataSettings(ImageSettings):
    """Images in class folders, and their splits; see `SplitPlan`."""

    root: str | None  # None renders the fans or the surfaces
    go_class: str
    split_method: SplitMethod
    test_fraction: float
    group: str | None
    split_file: str | None
    sampler: Sampler
    fans: FansSettings | None
    surfaces: SurfacesSettings | None = None
    masks: str | None = None
    mm_per_pixel: float | None = None  # absent from models that were kept before, as `masks`
    part: str | None = None  # likewise
    part_labels: PartLabels = PartLabels.same

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            check(lambda: self._validate_fraction("val_fraction", "0.2"))
            check(lambda: self._validate_fraction("test_fraction", "0.1"))
            check(lambda: validate_grouping(self.split_method, self.group, self.part))
            check(lambda: validate_mm_per_pixel(self.mm_per_pixel))
            if self.part is None and self.part_labels != PartLabels.same:
                raise UserError(
                    f"part_labels={self.part_labels} is for parts of several images, and data.part names none: leave "
                    r"it out, or say which part an image is of, e.g. data.part='part-\d+'"
                )

    def validate_paths(self) -> None:
        with collected() as check:
            check(super().validate_paths)
            check(lambda: validate_file("split_file", self.split_file, "the split.csv of an earlier run"))
            check(lambda: validate_folder("masks", self.masks, "one with masks of defects, named like their images"))
            check(
                lambda: validate_folder("root", self.root, f"a folder of class folders, e.g. {self.go_class}/ and NG/")
            )

    def _validate_fraction(self, name: str, example: str) -> None:
        """Validate a share of the images; it may be 0, where folders or a table state it instead."""
        fraction = getattr(self, name)
        if not is_number(fraction) or not 0 <= fraction < 1:
            raise UserError(f"{name}={fraction}: expected a share from 0 to below 1, e.g. {example}")


@dataclass
class ImageLimits:
    """How large a file and an image may be that is read; see `fancnn.images.image_gate.ImageGate`.

    Not taken from checkpoints, run folders or exported files, which may come from anywhere.
    """

    max_side: int = 65_535
    megapixels: float = 100.0
    megabytes: float = 200.0
    decoding_megabytes: float = 2000.0

    def __post_init__(self) -> None:
        with collected() as check:
            check(self._validate_side)
            for name in ("megapixels", "megabytes", "decoding_megabytes"):
                check(partial(self._validate_above_zero, name))
            if is_number(self.megapixels) and self.megapixels > MOST_MEGAPIXELS:
                raise UserError(
                    f"megapixels={self.megapixels:g} should be at most {MOST_MEGAPIXELS}, what Pillow decodes"
                )

    def _validate_side(self) -> None:
        if not is_count(self.max_side):
            raise UserError(f"max_side={self.max_side!r} should be a whole number of pixels, 1 or more, e.g. 65535")

    def _validate_above_zero(self, name: str) -> None:
        value = getattr(self, name)
        if not is_number(value) or value <= 0:
            raise UserError(f"{name}={value!r} should be a number above 0")


@dataclass
class AugmentSettings:
    """What training images go through, see `fancnn.augmentation`; transforms by `_target_`, null leaves one out."""

    border: Any  # reflection, edge, or a number
    transforms: dict[str, Any]

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_border(self.border))
            check(lambda: validate_named("transforms", self.transforms))


@dataclass
class PlantSettings:
    """What is planted on good training images, see `fancnn.augmentation.Plant`; defects by `_target_`, as above."""

    share: float
    most: int
    defects: dict[str, Any]

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_within("share", self.share, 0, 1, "of the good images, e.g. 0.6"))
            check(lambda: validate_within("most", self.most, 1, 100, "defects on an image, e.g. 3"))
            check(lambda: validate_named("defects", self.defects))


@dataclass
class WindowSettings:
    """Which windows of images a network that judges cell by cell learns from, see `fancnn.data.windows`."""

    side: int
    repeat: int
    warm_up: int
    every: int

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_within("side", self.side, 16, MOST_SIDE, "pixels of a window, e.g. 128"))
            check(lambda: validate_within("repeat", self.repeat, 1, 10_000, "windows of an image in an epoch, e.g. 10"))
            check(lambda: validate_within("warm_up", self.warm_up, 1, MOST_EPOCHS, "epochs on good images, e.g. 4"))
            check(lambda: validate_within("every", self.every, 1, MOST_EPOCHS, "epochs from one search on, e.g. 3"))


@dataclass
class ModelSettings:
    """Three objects by `_target_`: the network (group `model`), its loss and its optimizer (groups of their own)."""

    network: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    output_bias: OutputBias | None = None
    labels: LabelMode = LabelMode.binary

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            if (count := self.network.get("outputs")) is not None:
                raise UserError(
                    f"network.outputs={count}: say model.labels=binary, softmax or defect_types; the number follows"
                )
            check(lambda: validate_layer_decay(self.optimizer))


@dataclass
class FreezeSettings:
    """Layers that stay as they came; see `fancnn.training.layer_freezing`."""

    layers: Any = None  # how many, all_but_last, or None
    until_epoch: int | None = None

    def __post_init__(self) -> None:
        validate_frozen(self.layers, self.until_epoch)


@dataclass
class RegularizationSettings:
    """Penalties on kernels; see `fancnn.training.regularization`."""

    l1: float
    l2: float

    def __post_init__(self) -> None:
        with collected() as check:
            for name in ("l1", "l2"):
                check(partial(self._validate_strength, name))

    def _validate_strength(self, name: str) -> None:
        value = getattr(self, name)
        if not is_number(value) or value < 0:
            raise UserError(f"{name}={value} should be 0 (none) or above, e.g. 1e-4")


@dataclass
class DecisionSettings:
    """Where the thresholds come from; see `fancnn.decisions.threshold_choice`."""

    rule: DecisionRule
    split: SplitName
    threshold: float
    recheck: float | None
    most_rechecked: float
    escape_rate: float
    confidence: float
    unit: ClaimUnit | None = None  # absent from rules that were kept before, as what follows
    largest_group: int | None = None
    cell_threshold: float = 0.9
    overkill_rate: float = 0.01

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            check(lambda: validate_thresholds(self.threshold, self.recheck))
            check(lambda: validate_share("escape_rate", self.escape_rate))
            check(lambda: validate_share("overkill_rate", self.overkill_rate))
            check(lambda: validate_share("confidence", self.confidence))
            check(lambda: validate_largest_group(self.largest_group))
            check(lambda: validate_cell_threshold(self.cell_threshold))
            check(self._validate_of_rule)
            check(self._validate_most_rechecked)

    def _validate_of_rule(self) -> None:
        """Refuse a key of one rule with another, which would do without it."""
        if self.recheck is not None and self.rule != DecisionRule.fixed:
            raise UserError(
                f"recheck={self.recheck} is for decision.rule=fixed. With decision.rule=cost, line.costs.look=... lets "
                "the costs say where RECHECK begins"
            )
        if self.unit is not None and self.rule not in (DecisionRule.escape, DecisionRule.overkill):
            raise UserError(f"unit={self.unit} is for decision.rule=escape or overkill: leave it out")
        if self.largest_group is not None and self.rule != DecisionRule.escape:
            raise UserError(f"largest_group={self.largest_group} is for decision.rule=escape: leave it out")

    def _validate_most_rechecked(self) -> None:
        if not 0 <= self.most_rechecked <= 1:
            raise UserError(f"most_rechecked={self.most_rechecked} should be a share from 0 to 1")


@dataclass
class CostSettings:
    """What one part of each kind costs; see `fancnn.decisions.line_costs.Costs`."""

    escape: float | None
    overkill: float | None
    look: float | None

    def __post_init__(self) -> None:
        with collected() as check:
            for name in ("escape", "overkill", "look"):
                check(partial(self._validate_known, name))

    def _validate_known(self, name: str) -> None:
        if (cost := getattr(self, name)) is not None:
            validate_cost(name, cost)


@dataclass
class LineRateSettings:
    """How many of the line's parts are NG, for commands that need no more of the line."""

    ng_rate: float | None

    def __post_init__(self) -> None:
        if self.ng_rate is not None:
            validate_share("ng_rate", self.ng_rate)


@dataclass
class LineSettings(LineRateSettings):
    """The line that the inspector stands at; see `fancnn.decisions.line_costs.Line`. None is not known."""

    parts_per_shift: int | None
    shifts_per_month: float | None
    costs: CostSettings

    def __post_init__(self) -> None:
        with collected() as check:
            check(super().__post_init__)
            if self.parts_per_shift is not None:
                check(lambda: validate_parts_per_shift(self.parts_per_shift))
            if self.shifts_per_month is not None:
                check(lambda: validate_shifts_per_month(self.shifts_per_month))


def validate_costs(decision: DecisionSettings, line: LineSettings) -> None:
    """Refuse decision.rule=cost on a line that does not say what it needs."""
    if decision.rule != DecisionRule.cost:
        return
    named = {"ng_rate": line.ng_rate, "costs.escape": line.costs.escape, "costs.overkill": line.costs.overkill}
    if missing := [f"line.{name}" for name, value in named.items() if value is None]:
        raise UserError(
            f"decision.rule=cost needs {', '.join(missing)}: the share of the line's parts that are NG, and what "
            "one mistake of each kind costs, e.g. line.ng_rate=0.02 line.costs.escape=250 line.costs.overkill=2"
        )
    if not line.costs.escape or not line.costs.overkill:
        raise UserError(
            f"line.costs.escape={line.costs.escape} and line.costs.overkill={line.costs.overkill}: where one "
            "mistake costs nothing, it is best to reject all parts or none. Say what both cost"
        )


def validate_promise(decision: DecisionSettings) -> None:
    """Refuse a promise from test images: it would get round the ledger of looks."""
    if decision.rule == DecisionRule.escape and decision.split == SplitName.test:
        raise UserError(
            "decision.rule=escape decision.split=test: what test images promise is a certificate, which counts how "
            "often they were looked at. Choose on val; then python -m fancnn.certify run=..., where store=true keeps "
            "its threshold"
        )
