"""What values the keys of the configuration may have, in words; each check says which key and which value it refuses.

A dataclass has the types. The standard library, and numpy where the names of scores are needed: commands check before
they import anything that takes time.
"""

import glob
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from fancnn.errors import UserError, collected
from fancnn.settings.groups import (
    SPLIT_NAMES,
    AugmentSettings,
    DataSettings,
    DecisionSettings,
    FansSettings,
    ImageLimits,
    LineSettings,
    ModelSettings,
)
from fancnn.settings.training import TrainSettings

RESIZES = ("squash", "pad")
BACKGROUNDS = ("white", "black")
SPLITS = ("stratified", "ordered", "grouped")
ON_BAD_FILE = ("error", "skip")
SAMPLERS = ("shuffled", "balanced", "undersampled")
LABELS = ("binary", "softmax", "defect_types")
UNITS = ("part", "group")
RULES = ("fixed", "f1", "cost", "escape")
BORDERS = ("reflection", "edge")
CALIBRATIONS = ("auto", "none", "temperature", "platt", "isotonic")
MOST_MEGAPIXELS = 178  # of an image: Pillow itself refuses more
PRECISIONS = ("auto", "32", "32-true", "bf16-mixed", "16-mixed")

SMALLEST_FAN, LARGEST_FAN, MOST_FANS = 48, 4096, 1_000_000
LONGEST_NAME = 255  # bytes of a file's or a folder's, in common file systems
MOST_PLANNED = 100_000  # NG parts that somebody might collect; plans with more are not searched for
MOST_EPOCHS, MOST_IN_BATCH = 1_000_000, 65_536
MOST_PARTS, MOST_SHIFTS, MOST_COST, MOST_LOOKS, MOST_STEPS = 10**9, 10**6, 10**12, 10**6, 10_000
OWN_TRAINER = {  # arguments of Lightning's Trainer that are decided here, and why
    "callbacks": "callbacks are said as +callbacks.NAME._target_=...",
    "logger": "loggers are said as +logger.NAME._target_=...",
    "plugins": "checkpoints are written by the program's own, so that none is ever half a file",
    "default_root_dir": "everything is written into the run folder, hydra.run.dir=...",
    "num_sanity_val_steps": "data and model are checked before, and the first epoch validates anyway",
    "enable_progress_bar": "the bar is callbacks.progress, which may be null",
    "enable_model_summary": "python -m fancnn.describe shows the network",
    "use_distributed_sampler": "the program shares the images out to processes itself",
}


def validate_training(settings: TrainSettings) -> None:
    """Whatever of a training's configuration can be checked without building anything."""
    with collected() as check:
        check(lambda: validate_scores(settings.monitor, settings.objective))
        check(lambda: validate_trainer(settings.trainer))
        check(lambda: validate_decision(settings.decision, settings.line))
        check(lambda: validate_promise(settings.decision))
        check(lambda: validate_calibration(settings.calibration))
        check(lambda: validate_data(settings.data))
        check(lambda: validate_regularization(settings.regularization.l1, settings.regularization.l2))
        check(lambda: _validate_model(settings.model))
        check(lambda: validate_seed(settings.seed))
        check(lambda: validate_image_limits(settings.image_limits))
        check(lambda: validate_augment(settings.augment))
        check(lambda: _validate_preview(settings))
        check(lambda: validate_freeze(settings.freeze.layers, settings.freeze.until_epoch, settings.trainer))
        check(lambda: validate_named("callbacks", settings.callbacks))
        check(lambda: validate_named("logger", settings.logger))
        check(lambda: validate_earlier("ckpt", settings.ckpt))
        check(lambda: validate_earlier("init", settings.init))


def validate_data(data: DataSettings) -> None:
    with collected() as check:
        check(lambda: validate_preprocess(data.image_size, data.resize, data.background, data.mean, data.std))
        check(lambda: validate_split_method(data.split_method, data.group))
        check(lambda: validate_fractions(data.val_fraction, data.test_fraction))
        check(lambda: validate_batches(data.on_bad_file, data.batch_size, data.eval_batch_size))
        check(lambda: validate_sampler(data.sampler))
        check(lambda: validate_cache(data.cache))
        check(lambda: validate_file("data.split_file", data.split_file, "the split.csv of an earlier run"))
        if data.root is not None:
            check(lambda: validate_root(str(data.root), data.go_class))
        elif (fans := data.fans) is not None:
            check(lambda: validate_fans("data.fans.", fans))


def _validate_model(model: ModelSettings) -> None:
    with collected() as check:
        if model.output_bias is not None:
            check(lambda: validate_choice("model.output_bias", str(model.output_bias), ("balanced",)))
        check(lambda: validate_choice("model.labels", model.labels, LABELS))
        if (count := model.network.get("outputs")) is not None:
            raise UserError(
                f"model.network.outputs={count}: say model.labels=binary, softmax or defect_types; the number follows"
            )


def _validate_preview(settings: TrainSettings) -> None:
    if settings.augment is None and settings.augment_preview:
        raise UserError("augment_preview=true has nothing to show: say an augmentation, too, e.g. augment=light")


def validate_augment(augment: AugmentSettings | None) -> None:
    if augment is not None:
        with collected() as check:
            check(lambda: validate_border(augment.border))
            check(lambda: validate_named("augment.transforms", augment.transforms))


def validate_named(group: str, nodes: Mapping[str, Any]) -> None:
    """Objects of a group, each a `_target_` and its arguments, or null."""
    with collected() as check:
        for name, node in nodes.items():
            if node is not None:
                check(partial(validate_described, f"{group}.{name}", node))


def validate_described(key: str, node: object, *, later: bool = False) -> None:
    """A description of an object: its class or function, and arguments for it.

    Args:
        key: Where it stands.
        node: What stands there.
        later: Whether it is made in the middle of a training, of something that is not there before.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise UserError(f"{key}={node} should be a _target_ and its arguments")
    with collected() as check:
        for name in node:
            if str(name).startswith("_") and name not in ("_target_", "_partial_"):
                check(partial(_refuse_reserved, f"{key}.{name}", node[name]))
        if (partly := node.get("_partial_", False)) is not later:
            why = "what it acts on is made later" if later else "it is made at once, and not for later"
            way = "say true" if later else "leave it out"
            raise UserError(f"{key}._partial_={str(partly).lower()}: {why}; {way}")


def _refuse_reserved(key: str, value: object) -> None:
    raise UserError(f"{key}={value} is no argument: say arguments by their names, beside _target_")


def validate_freeze(layers: object, until_epoch: int | None, trainer: Mapping[str, Any]) -> None:
    max_epochs = trainer.get("max_epochs")
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
    if not is_count(max_epochs):
        return  # said by `validate_trainer`
    if not 1 <= until_epoch < max_epochs:
        raise UserError(
            f"freeze.until_epoch={until_epoch} should be from 1 to below trainer.max_epochs={max_epochs}, the epochs "
            "before all layers learn; null keeps them frozen to the end"
        )


def validate_monitor(monitor: str) -> None:
    from fancnn.metrics.score_registry import SCORES, monitorable_scores  # lazy: --help must not wait for numpy

    names = [f"{split}/{name}" for split in ("val", "train") for name in monitorable_scores()]
    if monitor not in names:
        name = monitor.rpartition("/")[2]
        when = SCORES[name].undefined_while if name in SCORES else ""
        why = f" ({name} is undefined while {when})" if when else ""
        raise UserError(f"monitor={monitor!r} is no score that every epoch has{why}. Scores: {', '.join(names)}")


def validate_scores(monitor: str, objective: str) -> None:
    from fancnn.metrics.score_registry import monitorable_scores  # lazy: --help must not wait for numpy

    validate_monitor(monitor)
    names = [f"val/{name}" for name in monitorable_scores()]
    if objective not in names:
        raise UserError(f"objective={objective!r} is no score of validation. Scores: {', '.join(names)}")


def validate_trainer(trainer: Mapping[str, Any]) -> None:
    precision, epochs = str(trainer.get("precision", "auto")), trainer.get("max_epochs")
    with collected() as check:
        check(lambda: validate_described("trainer", trainer))
        for name in trainer:
            if name in OWN_TRAINER:
                check(partial(_refuse_own, name, trainer[name]))
        check(lambda: _validate_something_left(trainer))
        if (every := trainer.get("check_val_every_n_epoch", 1)) != 1:
            raise UserError(
                f"trainer.check_val_every_n_epoch={every}: each epoch is validated, since the best is kept. Leave it "
                "out"
            )
        if precision not in PRECISIONS:
            raise UserError(
                f"trainer.precision={precision} is none of {', '.join(PRECISIONS)}: weights stay in float32"
            )
        if not is_count(epochs) or epochs > MOST_EPOCHS:
            raise UserError(
                f"trainer.max_epochs={epochs} should be a whole number, 1 or more" + at_most(epochs, MOST_EPOCHS)
            )


def _refuse_own(name: str, value: object) -> None:
    raise UserError(f"trainer.{name}={value} would change nothing: {OWN_TRAINER[name]}. Leave it out")


def _validate_something_left(trainer: Mapping[str, Any]) -> None:
    if trainer.get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run leaves no model: for a quick look say trainer.max_epochs=1")
    for name in ("limit_train_batches", "limit_val_batches", "max_steps"):
        if (value := trainer.get(name)) is not None and value == 0:
            raise UserError(f"trainer.{name}={value} leaves nothing to train on or to judge by: leave it out")


def is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def at_most(value: object, most: int) -> str:
    return f", {most:,} at most" if is_number(value) and value > most else ""


def validate_decision(decision: DecisionSettings, line: LineSettings) -> None:
    """The rule, and that the line says what it needs."""
    with collected() as check:
        check(lambda: validate_rule(decision))
        check(lambda: validate_line(line))
        check(lambda: _validate_costs(decision.rule, line))


def validate_rule(decision: DecisionSettings) -> None:
    with collected() as check:
        check(lambda: validate_choice("decision.rule", decision.rule, RULES))
        check(lambda: validate_choice("decision.split", decision.split, SPLIT_NAMES))
        check(lambda: validate_thresholds(decision.threshold, decision.recheck))
        check(lambda: validate_share("decision.escape_rate", decision.escape_rate))
        check(lambda: validate_share("decision.confidence", decision.confidence))
        check(lambda: validate_unit("decision.", decision.unit, decision.largest_group))
        check(lambda: _validate_of_rule(decision))
        check(lambda: _validate_most_rechecked(decision.most_rechecked))


def _validate_of_rule(decision: DecisionSettings) -> None:
    """That a key of one rule is not said with another, which would do without it."""
    if decision.recheck is not None and decision.rule != "fixed":
        raise UserError(
            f"decision.recheck={decision.recheck} is for decision.rule=fixed. With decision.rule=cost, "
            "line.costs.look=... lets the costs say where RECHECK begins"
        )
    for name in ("unit", "largest_group"):
        if decision.rule != "escape" and (value := getattr(decision, name)) is not None:
            raise UserError(f"decision.{name}={value} is for decision.rule=escape: leave it out")


def _validate_most_rechecked(share: float) -> None:
    if not 0 <= share <= 1:
        raise UserError(f"decision.most_rechecked={share} should be a share from 0 to 1")


def _validate_costs(rule: str, line: LineSettings) -> None:
    """That the line says what decision.rule=cost needs."""
    if rule != "cost":
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


def validate_unit(key: str, unit: str | None, largest_group: int | None) -> None:
    """What a claim on escapes counts; `key` is what the keys begin with."""
    with collected() as check:
        if unit is not None:
            check(lambda: validate_choice(f"{key}unit", unit, UNITS))
        if largest_group is not None and not 1 <= largest_group <= MOST_PARTS:
            raise UserError(
                f"{key}largest_group={largest_group}: expected the most NG parts that one group (lot, panel, patient) "
                f"of the line can hold, at least 1, e.g. 40{at_most(largest_group, MOST_PARTS)}"
            )


def validate_looks(looks: int | None) -> None:
    if looks is not None and not 1 <= looks <= MOST_LOOKS:
        more = at_most(looks, MOST_LOOKS)
        raise UserError(f"looks={looks}: expected how many looks are planned, 1 or more{more}; null leaves it open")


def validate_promise(decision: DecisionSettings) -> None:
    """Refuse a promise from test images: it would get round the ledger of looks."""
    if decision.rule == "escape" and decision.split == "test":
        raise UserError(
            "decision.rule=escape decision.split=test: what test images promise is a certificate, which counts how "
            "often they were looked at. Choose on val; then python -m fancnn.certify run=..., where store=true keeps "
            "its threshold"
        )


def validate_calibration(method: str) -> None:
    validate_choice("calibration", method, CALIBRATIONS)


def validate_thresholds(threshold: float, recheck: float | None = None) -> None:
    if not 0 <= threshold <= 1:
        raise UserError(f"decision.threshold={threshold} should be in [0, 1]: it is compared with P(NG)")
    if recheck is not None and not 0 <= recheck <= threshold:
        raise UserError(f"decision.recheck={recheck} should be from 0 to decision.threshold={threshold}")


def validate_share(key: str, value: object) -> None:
    if not is_number(value) or not 0 < value < 1:
        raise UserError(f"{key}={value!r}: expected a share above 0 and below 1, e.g. 0.01: one in a hundred")


def validate_line(line: LineSettings) -> None:
    """Values that are said; None is none of them."""
    with collected() as check:
        if line.ng_rate is not None:
            check(lambda: validate_share("line.ng_rate", line.ng_rate))
        if line.parts_per_shift is not None:
            check(lambda: validate_parts_per_shift(line.parts_per_shift))
        if line.shifts_per_month is not None:
            check(lambda: validate_shifts_per_month(line.shifts_per_month))
        for name in ("escape", "overkill", "look"):
            if (cost := getattr(line.costs, name)) is not None:
                check(partial(validate_cost, name, cost))


def validate_parts_per_shift(count: object) -> None:
    if not is_count(count) or count > MOST_PARTS:
        expected = f"a whole number of parts, at least 1, e.g. 4000{at_most(count, MOST_PARTS)}"
        raise UserError(f"line.parts_per_shift={count!r}: expected {expected}")


def validate_shifts_per_month(count: object) -> None:
    if not is_number(count) or not 0 < count <= MOST_SHIFTS:
        expected = f"a number above 0, e.g. 63 for three shifts on 21 days{at_most(count, MOST_SHIFTS)}"
        raise UserError(f"line.shifts_per_month={count!r}: expected {expected}")


def validate_cost(name: str, cost: object) -> None:
    if not is_number(cost) or not 0 <= cost <= MOST_COST:
        expected = f"the cost of a part, a number from 0, e.g. 2.5{at_most(cost, MOST_COST)}"
        raise UserError(f"line.costs.{name}={cost!r}: expected {expected}")


def is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def validate_image_size(image_size: Sequence[int]) -> None:
    if len(image_size) != 2 or not all(is_count(side) and side <= 4096 for side in image_size):
        raise UserError(
            f"data.image_size={list(image_size)} should be two whole numbers from 1 to 4096, height and width, "
            "e.g. data.image_size=[80,80]"
        )


def validate_image_limits(limits: ImageLimits) -> None:
    side = limits.max_side
    if not isinstance(side, int) or isinstance(side, bool) or side < 1:
        raise UserError(f"image_limits.max_side={side!r} should be a whole number of pixels, 1 or more, e.g. 65535")
    for name in ("megapixels", "megabytes", "decoding_megabytes"):
        value = getattr(limits, name)
        if not is_number(value) or value <= 0:
            raise UserError(f"image_limits.{name}={value!r} should be a number above 0")
    if limits.megapixels > MOST_MEGAPIXELS:
        raise UserError(
            f"image_limits.megapixels={limits.megapixels:g} should be at most {MOST_MEGAPIXELS}, what Pillow decodes"
        )


def validate_preprocess(
    image_size: Sequence[int], resize: str, background: str, mean: Sequence[float], std: Sequence[float]
) -> None:
    with collected() as check:
        check(lambda: validate_image_size(image_size))
        check(lambda: validate_choice("data.resize", resize, RESIZES))
        check(lambda: validate_choice("data.background", background, BACKGROUNDS))
        numbers = len(mean) == len(std) == 3 and all(map(is_number, (*mean, *std)))
        if not numbers or not all(1e-6 <= value <= 1e6 for value in std) or not all(abs(of) <= 1e6 for of in mean):
            raise UserError(
                f"data.mean and data.std want three numbers each, std above 0; got {list(mean)} and {list(std)}"
            )


def validate_split_method(method: str, group: str | None) -> None:
    with collected() as check:
        check(lambda: validate_choice("data.split_method", method, SPLITS))
        if group is not None:
            check(lambda: validate_pattern(group))
        if method == "grouped" and not group:
            raise UserError(
                "data.split_method=grouped needs data.group: a regular expression on the relative path that names the "
                r"lot, panel or patient, e.g. data.group='person\d+'"
            )


def validate_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression that names groups."""
    try:
        return re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise UserError(
            f"data.group={pattern!r} is no regular expression: {error}. Expected one that finds the group in a "
            r"relative path, e.g. data.group='person\d+'"
        ) from error


def validate_batches(on_bad_file: str, batch_size: int, eval_batch_size: int) -> None:
    with collected() as check:
        check(lambda: validate_choice("data.on_bad_file", on_bad_file, ON_BAD_FILE))
        check(lambda: _validate_batch("batch_size", batch_size))
        check(lambda: _validate_batch("eval_batch_size", eval_batch_size))


def _validate_batch(name: str, size: int) -> None:
    if not is_count(size) or size > MOST_IN_BATCH:
        raise UserError(f"data.{name}={size} should be 1 or more{at_most(size, MOST_IN_BATCH)}")


def validate_sampler(sampler: str) -> None:
    validate_choice("data.sampler", sampler, SAMPLERS)


def validate_regularization(l1: float, l2: float) -> None:
    for name, value in (("l1", l1), ("l2", l2)):
        if not is_number(value) or value < 0:
            raise UserError(f"regularization.{name}={value} should be 0 (none) or above, e.g. 1e-4")


def validate_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"seed={seed} should be from 0 to {2**32 - 1}")


def validate_fractions(val_fraction: float, test_fraction: float) -> None:
    """Shares of the images for validation and test, which folders or a table may say instead of them."""
    with collected() as check:
        if not is_number(test_fraction) or not 0 <= test_fraction < 1:
            error = f"data.test_fraction={test_fraction}: expected a share from 0 to below 1, e.g. 0.1"
            check.errors.append(UserError(error))
        if not is_number(val_fraction) or not 0 <= val_fraction < 1:
            raise UserError(f"data.val_fraction={val_fraction}: expected a share above 0 and below 1, e.g. 0.2")


def place_of(key: str, path: str | Path) -> Path:
    """The place that a path names, `~` being a home folder."""
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in Path(path).parts):
        raise UserError(
            f"{key}={str(path)[:40]}...: a name in it is longer than {LONGEST_NAME} bytes, which none can be"
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{key}={str(path)!r}: nobody of that name has a home folder on this computer") from error


def is_there(place: Path, kind: Callable[[Path], bool] = Path.exists) -> bool:
    """Whether there is something of a kind, as far as it may be looked at."""
    try:
        return kind(place)
    except OSError:
        return False


def validate_file(key: str, path: str | None, what: str) -> None:
    """A file that is there, or None."""
    if path is not None and not is_there(place_of(key, path), Path.is_file):
        raise UserError(f"{key}={path!r} is no file. Expected {what}")


def validate_folder(key: str, path: str | None, what: str) -> None:
    """A folder that is there, or None."""
    if path is not None and not (path and is_there(place_of(key, path), Path.is_dir)):
        raise UserError(f"{key}={path!r} is no folder. Expected {what}")


def validate_written(key: str, path: str | None) -> None:
    """A file to write, in a folder that can be made, or None."""
    if path is None:
        return
    place = place_of(key, path)
    if not path or is_there(place, Path.is_dir):
        raise UserError(f"{key}={path!r} is a folder. Expected the name of a file to write")
    validate_writable(key, path, place.parent)


def validate_writable(key: str, path: str, folder: Path) -> None:
    """A folder to write into, which is there or can be made."""
    there = next((place for place in (folder, *folder.absolute().parents) if is_there(place)), folder)
    if not is_there(there, Path.is_dir):
        raise UserError(f"{key}={path!r}: {there} is a file, and nothing can be written into it")


def validate_exported(key: str, path: str | None) -> None:
    """A file that `export` wrote and that is there, or None."""
    if path is not None and not (path and is_there(place_of(key, path))):
        raise UserError(f"{_named(key, path)} does not exist. Expected a file that `python -m fancnn.export` wrote")


def _named(key: str, path: str) -> str:
    """A path as it is called where it is missing: that of a run or a model by itself."""
    return path if path and key in ("run", "file") else f"{key}={path!r}"


def validate_input(wanted: str | None) -> None:
    """A file, a folder, a pattern that matches something, or - for standard input; None where it may be left out."""
    if wanted is None or wanted == "-":
        return
    place = place_of("input", wanted)
    if not wanted:
        raise UserError("input= is empty. Expected a file, a folder, or a pattern such as '/new/*.png'")
    # a pattern is walked through once, where the images are read, and may take a while
    if not (is_there(place) or glob.has_magic(wanted)):
        raise UserError(f"input={wanted} is no file, no folder, and matches no images as a pattern")


def validate_device(device: str) -> None:
    if not re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d{1,3})?", device):
        raise UserError(f"device={device!r} is none of auto, cpu, cuda, mps, xpu, or one of several: cuda:1")


def validate_count(key: str, value: object, least: int = 1, most: int = 10**6) -> None:
    """A whole number from `least` to `most`, both of which are said where they are passed."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{key}={value} should be {least} or more{at_most(value, most)}")


def validate_cache(cache: str | None) -> None:
    if cache is not None and (not cache or is_there(place_of("data.cache", cache), Path.is_file)):
        raise UserError(f"data.cache={cache!r} is no folder. Expected auto, the path of a folder, or null for none")


def validate_earlier(key: str, path: str | None) -> None:
    """A run folder or a checkpoint file that is there, or None."""
    if path is not None and not (path and is_there(place_of(key, path))):
        raise UserError(
            f"{_named(key, path)} does not exist. Expected a run folder such as outputs/train/<stamp>, or a checkpoint "
            "file"
        )


def validate_fans(key: str, fans: FansSettings) -> None:
    """What is rendered; `key` is what the keys begin with."""
    with collected() as check:
        for name, least, most, range_, example in (
            ("count", 1, MOST_FANS, f"from 1 to {MOST_FANS:,} images", 600),
            ("seed", 0, 2**63 - 1, "0 or more", 0),
            ("ng_fraction", 0, 1, "from 0 to 1", 0.5),
            ("size", SMALLEST_FAN, LARGEST_FAN, f"from {SMALLEST_FAN} to {LARGEST_FAN} pixels", 240),
            ("severity", 1e-9, 1e3, "above 0, to 1000", 1),
        ):
            check(partial(_expect, key, fans, name, least, most, f"expected {range_}. Try {key}{name}={example}"))


def _expect(key: str, fans: FansSettings, name: str, least: float, most: float, expected: str) -> None:
    value = getattr(fans, name)
    if not is_number(value) or not least <= value <= most:
        raise UserError(f"{key}{name}={value!r} is out of range: {expected}")


def validate_border(border: object) -> None:
    if border not in BORDERS and not (is_number(border) and 0 <= border <= 1):
        raise UserError(f"augment.border={border!r} is none of {', '.join(BORDERS)}, or a grey level from 0 to 1")


def validate_images_root(root: str | Path) -> None:
    validate_folder("data.root", str(root), "one with images in it or below it")


def validate_root(root: str | Path, go_class: str) -> None:
    validate_folder("data.root", str(root), f"a folder of class folders, e.g. {go_class}/ and NG/")


def validate_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"{key}={value!r} is none of {', '.join(choices)}")


TABLE_EXPECTED = "a prediction table: columns path, label, probability"


def validate_split_name(key: str, split: str | None) -> None:
    if split is not None:
        validate_choice(key, split, SPLIT_NAMES)


def validate_asked_thresholds(threshold: float | None, recheck: float | None) -> None:
    """Thresholds of this command line; where one alone is said, the other is the run's own."""
    for key, value in (("threshold", threshold), ("recheck", recheck)):
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"{key}={value} should be in [0, 1]: it is compared with P(NG)")
    if threshold is not None and recheck is not None and recheck > threshold:
        raise UserError(f"recheck={recheck} should be from 0 to threshold={threshold}")


MOST_FOLDS = 1000


def validate_folds(folds: int) -> None:
    if not 3 <= folds <= MOST_FOLDS:
        more = at_most(folds, MOST_FOLDS)
        raise UserError(f"folds={folds} should be 3 or more{more}: one tests, one validates, the others train")
