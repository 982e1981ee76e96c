"""What values a configuration may have, in words: standard library alone, so that a mistake is told at once.

Each check raises `UserError` with the key, what it says and what it may say. The classes that the values are for
call the same checks, so that Python users are told the same.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fancnn.errors import UserError
from fancnn.group_settings import DecisionSettings, LineSettings
from fancnn.pictures import PARTS
from fancnn.settings import LrFindSettings, TrainSettings

RESIZES = ("squash", "pad")
BACKGROUNDS = ("white", "black")
SPLITS = ("stratified", "ordered", "grouped")
ON_BAD_FILE = ("error", "skip")
SAMPLERS = ("shuffled", "balanced", "undersampled")
OUTPUTS = ("one", "two", "types")
UNITS = ("part", "group")
RULES = ("fixed", "f1", "cost", "escape")
BORDERS = ("reflection", "edge")
CALIBRATIONS = ("auto", "none", "temperature", "platt", "isotonic")
PRECISIONS = ("auto", "32", "32-true", "bf16-mixed", "16-mixed")

# precision is left out: nothing called NG, as in many a first epoch, leaves it undefined
MONITORABLE = ("loss", "accuracy", "recall", "f1", "specificity", "auroc", "average_precision")


def check_training(settings: TrainSettings) -> None:
    """Whatever of a training's configuration can be checked without building anything."""
    data = settings.data
    check_scores(settings.monitor, settings.objective)
    check_trainer(settings.trainer)
    check_decision(settings.decision, settings.line)
    check_promise(settings.decision)
    check_calibration(settings.calibration)
    check_preprocess(data.image_size, data.resize, data.background, data.mean, data.std)
    check_split(data.split, data.group)
    check_batches(data.on_bad_file, data.batch_size, data.eval_batch_size)
    check_sampler(data.sampler)
    check_regularization(settings.regularization.l1, settings.regularization.l2)
    if settings.model.output_bias is not None:
        check_choice("model.output_bias", settings.model.output_bias, ("balanced",))
    check_choice("model.outputs", settings.model.outputs, OUTPUTS)
    if (count := settings.model.network.get("outputs")) is not None:
        raise UserError(f"model.network.outputs={count}: say model.outputs=one, two or types; the number follows")
    check_seed(settings.seed)
    if settings.augment is not None:
        check_border(settings.augment.border)
    elif settings.augment_preview:
        raise UserError("augment_preview=true has nothing to show: say an augmentation, too, e.g. augment=light")
    check_freeze(settings.freeze.layers, settings.freeze.until_epoch, settings.trainer["max_epochs"])
    if data.root is not None:
        check_root(data.root, data.go_class)


def check_freeze(layers: object, until_epoch: int | None, max_epochs: int) -> None:
    counted = isinstance(layers, int) and not isinstance(layers, bool) and layers >= 1
    if not (layers is None or layers == "all_but_last" or counted):
        raise UserError(
            f"freeze.layers={layers!r} should be null (none), all_but_last, or how many of the first layers stay as "
            "they came, 1 or more"
        )
    if until_epoch is None:
        return
    if layers is None:
        raise UserError(f"freeze.until_epoch={until_epoch} freezes nothing: say which layers, e.g. freeze.layers=2")
    if not 1 <= until_epoch < max_epochs:
        raise UserError(
            f"freeze.until_epoch={until_epoch} should be from 1 to below trainer.max_epochs={max_epochs}, the epochs "
            "before all layers learn; null keeps them frozen to the end"
        )


def check_monitor(monitor: str) -> None:
    names = [f"{part}/{name}" for part in ("val", "train") for name in MONITORABLE]
    if monitor not in names:
        precision = " (precision is undefined while nothing is called NG)" if monitor.endswith("/precision") else ""
        raise UserError(f"monitor={monitor!r} is no score that every epoch has{precision}. Scores: {', '.join(names)}")


def check_scores(monitor: str, objective: str) -> None:
    check_monitor(monitor)
    names = [f"val/{name}" for name in MONITORABLE]
    if objective not in names:
        raise UserError(f"objective={objective!r} is no score of validation. Scores: {', '.join(names)}")


def check_trainer(trainer: Mapping[str, Any]) -> None:
    precision, epochs = str(trainer.get("precision", "auto")), trainer.get("max_epochs")
    if precision not in PRECISIONS:
        raise UserError(f"trainer.precision={precision} is none of {', '.join(PRECISIONS)}: weights stay in float32")
    if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
        raise UserError(f"trainer.max_epochs={epochs} should be a whole number, 1 or more")
    if trainer.get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run leaves no model: for a quick look say trainer.max_epochs=1")
    for name in ("limit_train_batches", "limit_val_batches", "max_steps"):
        if (value := trainer.get(name)) is not None and value == 0:
            raise UserError(f"trainer.{name}={value} leaves nothing to train on or to judge by: leave it out")


def check_decision(decision: DecisionSettings, line: LineSettings) -> None:
    """The rule, and that the line says what it needs."""
    check_choice("decision.rule", decision.rule, RULES)
    check_choice("decision.part", decision.part, PARTS)
    check_thresholds(decision.threshold, decision.recheck)
    if decision.recheck is not None and decision.rule != "fixed":
        raise UserError(
            f"decision.recheck={decision.recheck} is for decision.rule=fixed. With decision.rule=cost, "
            "line.costs.look=... lets the costs say where RECHECK begins"
        )
    check_share("decision.escape_rate", decision.escape_rate)
    check_share("decision.confidence", decision.confidence)
    check_unit("decision.", decision.unit, decision.largest_group)
    for name in ("unit", "largest_group"):
        if decision.rule != "escape" and (value := getattr(decision, name)) is not None:
            raise UserError(f"decision.{name}={value} is for decision.rule=escape: leave it out")
    if not 0 <= decision.most_rechecked <= 1:
        raise UserError(f"decision.most_rechecked={decision.most_rechecked} should be a share from 0 to 1")
    check_line(line)
    if decision.rule == "cost":
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


def check_unit(key: str, unit: str | None, largest_group: int | None) -> None:
    """What a claim on escapes counts; `key` is what the keys begin with."""
    if unit is not None:
        check_choice(f"{key}unit", unit, UNITS)
    if largest_group is not None and largest_group < 1:
        raise UserError(
            f"{key}largest_group={largest_group}: expected the most NG parts that one group (lot, panel, patient) of "
            "the line can hold, at least 1, e.g. 40"
        )


def check_looks(looks: int | None) -> None:
    if looks is not None and looks < 1:
        raise UserError(f"looks={looks}: expected how many looks are planned, 1 or more; null leaves it open")


def check_promise(decision: DecisionSettings) -> None:
    """Refuse a promise from test images: it would get round the ledger of looks."""
    if decision.rule == "escape" and decision.part == "test":
        raise UserError(
            "decision.rule=escape decision.part=test: what test images promise is a certificate, which counts how "
            "often they were looked at. Choose on val; then python -m fancnn.certify run=..., where store=true keeps "
            "its threshold"
        )


def check_calibration(method: str) -> None:
    check_choice("calibration", method, CALIBRATIONS)


def check_thresholds(threshold: float, recheck: float | None = None) -> None:
    if not 0 <= threshold <= 1:
        raise UserError(f"decision.threshold={threshold} should be in [0, 1]: it is compared with P(NG)")
    if recheck is not None and not 0 <= recheck <= threshold:
        raise UserError(f"decision.recheck={recheck} should be from 0 to decision.threshold={threshold}")


def check_share(key: str, value: float) -> None:
    if not is_number(value) or not 0 < value < 1:
        raise UserError(f"{key}={value!r}: expected a share above 0 and below 1, e.g. 0.01: one in a hundred")


def check_line(line: LineSettings) -> None:
    """Values that are said; None is none of them."""
    if line.ng_rate is not None:
        check_share("line.ng_rate", line.ng_rate)
    if line.parts_per_shift is not None:
        check_parts_per_shift(line.parts_per_shift)
    if line.shifts_per_month is not None:
        check_shifts_per_month(line.shifts_per_month)
    for name in ("escape", "overkill", "look"):
        if (cost := getattr(line.costs, name)) is not None:
            check_cost(name, cost)


def check_parts_per_shift(count: int) -> None:
    if type(count) is not int or count < 1:
        raise UserError(f"line.parts_per_shift={count!r}: expected a whole number of parts, at least 1, e.g. 4000")


def check_shifts_per_month(count: float) -> None:
    if not is_number(count) or count <= 0:
        expected = "a number above 0, e.g. 63 for three shifts on 21 days"
        raise UserError(f"line.shifts_per_month={count!r}: expected {expected}")


def check_cost(name: str, cost: float) -> None:
    if not is_number(cost) or cost < 0:
        raise UserError(f"line.costs.{name}={cost!r}: expected the cost of a part, a number from 0, e.g. 2.5")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_image_size(image_size: Sequence[int]) -> None:
    if len(image_size) != 2 or not all(isinstance(side, int) and 1 <= side <= 4096 for side in image_size):
        raise UserError(
            f"data.image_size={list(image_size)} should be two whole numbers from 1 to 4096, height and width, "
            "e.g. data.image_size=[80,80]"
        )


def check_preprocess(
    image_size: Sequence[int], resize: str, background: str, mean: Sequence[float], std: Sequence[float]
) -> None:
    check_image_size(image_size)
    check_choice("data.resize", resize, RESIZES)
    check_choice("data.background", background, BACKGROUNDS)
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise UserError(
            f"data.mean and data.std want three numbers each, std above 0; got {list(mean)} and {list(std)}"
        )


def check_split(method: str, group: str | None) -> None:
    check_choice("data.split", method, SPLITS)
    if method == "grouped" and not group:
        raise UserError(
            "data.split=grouped needs data.group: a regular expression on the relative path that names the lot, "
            r"panel or patient, e.g. data.group='person\d+'"
        )


def check_batches(on_bad_file: str, batch_size: int, eval_batch_size: int) -> None:
    check_choice("data.on_bad_file", on_bad_file, ON_BAD_FILE)
    for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
        if value < 1:
            raise UserError(f"data.{name}={value} should be 1 or more")


def check_sampler(sampler: str) -> None:
    check_choice("data.sampler", sampler, SAMPLERS)


def check_regularization(l1: float, l2: float) -> None:
    for name, value in (("l1", l1), ("l2", l2)):
        if not is_number(value) or value < 0:
            raise UserError(f"regularization.{name}={value} should be 0 (none) or above, e.g. 1e-4")


def check_range_test(settings: LrFindSettings) -> None:
    low, high = settings.min_lr, settings.max_lr
    if not (is_number(low) and is_number(high) and 0 < low < high):
        raise UserError(f"min_lr={low} and max_lr={high} should be above 0, the second above the first")
    if settings.steps < 20:
        raise UserError(f"steps={settings.steps} should be 20 or more: fewer make no curve")
    if settings.ckpt is not None:
        raise UserError(f"ckpt={settings.ckpt}: a range test starts from fresh weights; leave ckpt out")


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"seed={seed} should be from 0 to {2**32 - 1}")


def check_border(border: object) -> None:
    if border not in BORDERS and not (is_number(border) and 0 <= border <= 1):  # type: ignore[operator]  # a number
        raise UserError(f"augment.border={border!r} is none of {', '.join(BORDERS)}, or a grey level from 0 to 1")


def check_pictures_root(root: str | Path) -> None:
    if not str(root) or not Path(root).expanduser().is_dir():
        raise UserError(f"data.root={str(root)!r} is no folder. Expected one with pictures in it or below it")


def check_root(root: str | Path, go_class: str) -> None:
    if not str(root) or not Path(root).expanduser().is_dir():
        raise UserError(
            f"data.root={str(root)!r} is no folder. Expected a folder of class folders, e.g. {go_class}/ and NG/"
        )


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"{key}={value!r} is none of {', '.join(choices)}")
