"""Settings of a training: the keys of `conf/train.yaml`; the YAML has the values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fancnn.errors import UserError, collected, under
from fancnn.settings.choices import CalibrationMethod, validate_choices
from fancnn.settings.groups import (
    AugmentSettings,
    DataSettings,
    DecisionSettings,
    FreezeSettings,
    ImageLimits,
    LineSettings,
    ModelSettings,
    PlantSettings,
    RegularizationSettings,
    WindowSettings,
    validate_costs,
    validate_promise,
)
from fancnn.settings.validation import (
    is_count,
    validate_earlier,
    validate_named,
    validate_scores,
    validate_seed,
    validate_trainer,
)


@dataclass(kw_only=True)
class TrainSettings:
    """All settings of `python -m fancnn.train`."""

    seed: int
    monitor: str
    objective: str
    calibration: CalibrationMethod
    report: bool
    score_test: bool | None  # None: at the end of a single training, not in a sweep
    ckpt: str | None
    init: str | None = None  # absent from checkpoints of before, as `freeze`
    augment_preview: bool
    output_dir: str
    overrides: list[str]
    data: DataSettings
    augment: AugmentSettings | None
    plant: PlantSettings | None = None
    windows: WindowSettings | None = None
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

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            check(lambda: validate_scores(self.monitor, self.objective))
            check(lambda: validate_trainer(self.trainer))
            check(lambda: validate_costs(self.decision, self.line))
            check(lambda: validate_promise(self.decision))
            check(lambda: validate_seed(self.seed))
            check(self._validate_preview)
            check(self._validate_windows)
            check(self._validate_one_size)
            check(self._validate_until_epoch)
            check(lambda: validate_named("callbacks", self.callbacks))
            check(lambda: validate_named("logger", self.logger))

    def validate_paths(self) -> None:
        """Refuse names of files and folders that are not there."""
        with collected() as check:
            check(lambda: validate_earlier("ckpt", self.ckpt))
            check(lambda: validate_earlier("init", self.init))
            with under("data"):
                self.data.validate_paths()

    def _validate_preview(self) -> None:
        if self.augment is None and self.plant is None and self.augment_preview:
            raise UserError("augment_preview=true has nothing to show: say an augmentation, too, e.g. augment=light")

    def _validate_windows(self) -> None:
        if self.windows is not None and self.plant is None:
            raise UserError(
                "windows: as long as it does not know where defects are, a network learns from windows of good images "
                "with planted ones. Say plant=default, too, or windows=none"
            )

    def _validate_one_size(self) -> None:
        sizes = [item for item in self.overrides if item.startswith("data.image_size=")]
        if sizes and self.data.reduce is not None and self.ckpt is None:
            raise UserError(
                f"{sizes[-1]} and data.reduce={self.data.reduce} both say how large images are. Say "
                "data.reduce=null, too, and it is the first"
            )

    def _validate_until_epoch(self) -> None:
        until, last = self.freeze.until_epoch, self.trainer.get("max_epochs")
        if until is None or not is_count(last):  # which `validate_trainer` refuses
            return
        if not 1 <= until < last:
            raise UserError(
                f"freeze.until_epoch={until} should be from 1 to below trainer.max_epochs={last}, the epochs before "
                "all layers learn; null keeps them frozen to the end"
            )


def in_folder(settings: TrainSettings, folder: Path) -> TrainSettings:
    """Return the settings of one training of a command that makes several, all it writes in a folder of its own."""
    training = TrainSettings(**{name: getattr(settings, name) for name in TrainSettings.__dataclass_fields__})
    before, after = settings.output_dir, str(folder)
    callbacks, logger = _moved(settings.callbacks, before, after), _moved(settings.logger, before, after)
    return replace(training, callbacks=callbacks, logger=logger, output_dir=after)


def _moved(config: Any, before: str, after: str) -> Any:
    """Return a configuration with what lies in the folder `before` in the folder `after`."""
    if isinstance(config, Mapping):
        return {key: _moved(value, before, after) for key, value in config.items()}
    return after + config[len(before) :] if isinstance(config, str) and config.startswith(before) else config
