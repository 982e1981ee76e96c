"""What single values of the configuration may be, in words; the dataclasses of the groups say which of theirs are what.

A check gets the key as its dataclass has it: what stands above is put before it where the configuration is read. The
standard library, and numpy where the names of scores are needed: commands check before they import anything that takes
time.
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

MOST_MEGAPIXELS = 178  # of an image: Pillow itself refuses more
PRECISIONS = ("auto", "32", "32-true", "bf16-mixed", "16-mixed")

LONGEST_NAME = 255  # bytes of a file's or a folder's, in common file systems
MOST_PLANNED = 100_000  # NG parts that somebody might collect; plans with more are not searched for
MOST_EPOCHS, MOST_IN_BATCH = 1_000_000, 65_536
MOST_PARTS, MOST_SHIFTS, MOST_COST, MOST_LOOKS, MOST_STEPS = 10**9, 10**6, 10**12, 10**6, 10_000
MOST_SIDE = 4096  # pixels of a network's input
LEAST_WINDOW = 3
MOST_REDUCED = 64
LEAST_DECAY = 0.01  # of the rate from one layer to the one before it: less is frozen
LEAST_MM, MOST_MM = 1e-6, 1e4  # of a pixel
TINY = 1e-6  # a bound below it is written as 0
BORDERS = ("reflection", "edge")
OWN_TRAINER = {  # arguments of Lightning's Trainer that are decided here, and why
    "callbacks": "callbacks are given as +callbacks.NAME._target_=...",
    "logger": "loggers are given as +logger.NAME._target_=...",
    "plugins": "checkpoints are written by the program's own, so that none is ever half a file",
    "default_root_dir": "everything is written into the run folder, hydra.run.dir=...",
    "num_sanity_val_steps": "data and model are checked before, and the first epoch validates anyway",
    "enable_progress_bar": "the bar is callbacks.progress, which may be null",
    "enable_model_summary": "python -m fancnn.describe shows the network",
    "use_distributed_sampler": "the program shares the images out to processes itself",
}


def validate_named(group: str, nodes: Mapping[str, Any]) -> None:
    """Validate the objects of a group: each is a `_target_` and its arguments, or null."""
    with collected() as check:
        for name, node in nodes.items():
            if node is not None:
                check(partial(validate_described, f"{group}.{name}", node))


def validate_described(key: str, node: object, *, later: bool = False) -> None:
    """Validate the description of an object: its class or function as `_target_`, and arguments for it.

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


def validate_frozen(layers: object, until_epoch: int | None) -> None:
    """Validate how many of the first layers stay as they came, and for how long."""
    if not (layers is None or layers == "all_but_last" or is_count(layers)):
        raise UserError(
            f"layers={layers!r} should be null (none), all_but_last, or how many of the first layers stay as they "
            "came, 1 or more"
        )
    if until_epoch is not None and layers is None:
        raise UserError(f"until_epoch={until_epoch} freezes nothing: say which layers, e.g. freeze.layers=2")


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


def are_right(*settings: Any) -> bool:
    """Return whether dataclasses of settings hold values that they take; what they refuse is reported by its key."""
    try:
        for item in settings:
            item.__post_init__()
    except UserError:
        return False
    return True


def is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def at_most(value: object, most: int) -> str:
    return f", {most:,} at most" if is_number(value) and value > most else ""


def validate_largest_group(largest_group: int | None) -> None:
    if largest_group is not None and not 1 <= largest_group <= MOST_PARTS:
        raise UserError(
            f"largest_group={largest_group}: expected the most NG parts that one group (lot, panel, patient) of the "
            f"line can hold, at least 1, e.g. 40{at_most(largest_group, MOST_PARTS)}"
        )


def validate_looks(looks: int | None) -> None:
    if looks is not None and not 1 <= looks <= MOST_LOOKS:
        more = at_most(looks, MOST_LOOKS)
        raise UserError(f"looks={looks}: expected how many looks are planned, 1 or more{more}; null leaves it open")


def validate_thresholds(threshold: float | None, recheck: float | None = None) -> None:
    """Validate where NG and RECHECK begin; None where that is not set."""
    for key, value in (("threshold", threshold), ("recheck", recheck)):
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"{key}={value} should be in [0, 1]: it is compared with P(NG)")
    if threshold is not None and recheck is not None and recheck > threshold:
        raise UserError(f"recheck={recheck} should be from 0 to threshold={threshold}")


def validate_cell_threshold(threshold: object) -> None:
    if not is_number(threshold) or not 0 <= threshold <= 1:
        raise UserError(f"cell_threshold={threshold!r} should be in [0, 1]: it is compared with P(NG) of each cell")


def validate_mm_per_pixel(size: object) -> None:
    """Validate how large a pixel of the stored images is; None where that is not known."""
    if size is not None and (not is_number(size) or not LEAST_MM <= size <= MOST_MM):
        raise UserError(
            f"mm_per_pixel={size!r} is out of range: expected the millimetres of the part that one pixel of the stored "
            f"images shows, from {LEAST_MM:g} to {MOST_MM:g}, e.g. 0.05"
        )


def validate_share(key: str, value: object) -> None:
    if not is_number(value) or not 0 < value < 1:
        raise UserError(f"{key}={value!r}: expected a share above 0 and below 1, e.g. 0.01: one in a hundred")


def validate_parts_per_shift(count: object) -> None:
    if not is_count(count) or count > MOST_PARTS:
        expected = f"a whole number of parts, at least 1, e.g. 4000{at_most(count, MOST_PARTS)}"
        raise UserError(f"parts_per_shift={count!r}: expected {expected}")


def validate_shifts_per_month(count: object) -> None:
    if not is_number(count) or not 0 < count <= MOST_SHIFTS:
        expected = f"a number above 0, e.g. 63 for three shifts on 21 days{at_most(count, MOST_SHIFTS)}"
        raise UserError(f"shifts_per_month={count!r}: expected {expected}")


def validate_cost(name: str, cost: object) -> None:
    if not is_number(cost) or not 0 <= cost <= MOST_COST:
        expected = f"the cost of a part, a number from 0, e.g. 2.5{at_most(cost, MOST_COST)}"
        raise UserError(f"{name}={cost!r}: expected {expected}")


def is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def validate_image_size(image_size: Sequence[int]) -> None:
    if len(image_size) != 2 or not all(is_count(side) and side <= MOST_SIDE for side in image_size):
        raise UserError(
            f"image_size={list(image_size)} should be two whole numbers from 1 to {MOST_SIDE}, height and width, e.g. "
            "[80,80]"
        )


def validate_reduce(reduce: int | None) -> None:
    if reduce is not None and (not is_count(reduce) or reduce > MOST_REDUCED):
        raise UserError(
            f"reduce={reduce!r} should be a whole number from 1, the images' own size, to {MOST_REDUCED}, or null: "
            "image_size says it"
        )


def validate_normalisation(
    mean: Sequence[float], std: Sequence[float], normalize: str = "none", window: int = LEAST_WINDOW
) -> None:
    numbers = len(mean) == len(std) == 3 and all(map(is_number, (*mean, *std)))
    if not numbers or not all(1e-6 <= value <= 1e6 for value in std) or not all(abs(of) <= 1e6 for of in mean):
        raise UserError(f"mean={list(mean)} std={list(std)}: expected three numbers each, those of std above 0")
    if normalize != "none" and (any(mean) or any(value != 1 for value in std)):
        raise UserError(
            f"normalize={normalize} has a mean and a deviation of each image's own: leave mean and std as they are"
        )
    if not is_count(window) or not LEAST_WINDOW <= window <= MOST_SIDE:
        raise UserError(
            f"normalize_window={window!r} should be a side in pixels from {LEAST_WINDOW} to {MOST_SIDE:,}, some times "
            "that of a defect, e.g. 51"
        )


def validate_layer_decay(optimizer: Mapping[str, Any]) -> None:
    """Refuse an optimizer whose rates by layer would fall to nothing, or rise."""
    decay = optimizer.get("layer_decay")
    if decay is not None and (isinstance(decay, bool) or not is_number(decay) or not LEAST_DECAY <= decay <= 1):
        raise UserError(
            f"optimizer.layer_decay={decay!r} should be from {LEAST_DECAY} to 1: by what the rate falls from each "
            "layer to the one before it, e.g. 0.7; null for one rate of all"
        )


def validate_within(name: str, value: object, least: float, most: float, example: str) -> None:
    """Refuse what is no number from `least` to `most`."""
    if not isinstance(value, int | float) or not is_number(value) or not least <= value <= most:
        low = "above 0," if 0 < least < TINY else f"from {least:,}"
        expected = f"{low} to {most:,} {example}" if most < 2**63 - 1 else f"{least} or more"
        raise UserError(f"{name}={value!r} is out of range: expected {expected}".rstrip())


def validate_grouping(method: str, group: str | None, part: str | None = None) -> None:
    with collected() as check:
        if group is not None:
            check(lambda: validate_pattern(group, "group"))
        if part is not None:
            check(lambda: validate_pattern(part, "part"))
            if method == "ordered":
                raise UserError(
                    f"part={part!r} with split_method=ordered: the order of names would divide a part. Take "
                    "stratified, or grouped with data.group=..."
                )
        if method == "grouped" and not group:
            raise UserError(
                "split_method=grouped needs data.group: a regular expression on the relative path that names the lot, "
                r"panel or patient, e.g. data.group='person\d+'"
            )


def validate_pattern(pattern: str, key: str) -> re.Pattern[str]:
    """Compile the regular expression that names the group or the part of an image; refuse what is none."""
    example = {"group": r"person\d+"}.get(key, r"part-\d+")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise UserError(
            f"{key}={pattern!r} is no regular expression: {error}. Expected one that finds the {key} in a relative "
            f"path, e.g. {key}='{example}'"
        ) from error


def validate_batch_sizes(batch_size: int, eval_batch_size: int) -> None:
    with collected() as check:
        check(lambda: validate_count("batch_size", batch_size, most=MOST_IN_BATCH))
        check(lambda: validate_count("eval_batch_size", eval_batch_size, most=MOST_IN_BATCH))


def validate_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"seed={seed} should be from 0 to {2**32 - 1}")


def place_of(key: str, path: str | Path) -> Path:
    """Return the place that a path names, `~` being a home folder."""
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in Path(path).parts):
        raise UserError(
            f"{key}={str(path)[:40]}...: a name in it is longer than {LONGEST_NAME} bytes, which none can be"
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{key}={str(path)!r}: nobody of that name has a home folder on this computer") from error


def is_there(place: Path, kind: Callable[[Path], bool] = Path.exists) -> bool:
    """Return whether there is something of a kind, as far as it may be looked at."""
    try:
        return kind(place)
    except OSError:
        return False


def validate_file(key: str, path: str | None, what: str) -> None:
    """Validate that a path is None or an existing file."""
    if path is not None and not is_there(place_of(key, path), Path.is_file):
        raise UserError(f"{key}={path!r} is no file. Expected {what}")


def validate_folder(key: str, path: str | None, what: str) -> None:
    """Validate that a path is None or an existing folder."""
    if path is not None and not (path and is_there(place_of(key, path), Path.is_dir)):
        raise UserError(f"{key}={path!r} is no folder. Expected {what}")


def validate_written(key: str, path: str | None) -> None:
    """Validate that a path is None or a file to write, in a folder that can be made."""
    if path is None:
        return
    place = place_of(key, path)
    if not path or is_there(place, Path.is_dir):
        raise UserError(f"{key}={path!r} is a folder. Expected the name of a file to write")
    validate_writable(key, path, place.parent)


def validate_writable(key: str, path: str, folder: Path) -> None:
    """Validate that files can be written into a folder, which exists or can be made."""
    there = next((place for place in (folder, *folder.absolute().parents) if is_there(place)), folder)
    if not is_there(there, Path.is_dir):
        raise UserError(f"{key}={path!r}: {there} is a file, and nothing can be written into it")


def validate_exported(key: str, path: str | None) -> None:
    """Validate that a path is None or an existing file, which `export` wrote."""
    if path is not None and not (path and is_there(place_of(key, path))):
        raise UserError(f"{_named(key, path)} does not exist. Expected a file that `python -m fancnn.export` wrote")


def _named(key: str, path: str) -> str:
    """Return a path as it is called where it is missing: that of a run or a model by itself."""
    return path if path and key in ("run", "file") else f"{key}={path!r}"


def validate_input(wanted: str | None) -> None:
    """Validate an input: a file, a folder, a pattern that matches something, - for standard input, or None."""
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
    """Validate a whole number from `least` to `most`; the error states `most` only where that is exceeded."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{key}={value} should be {least} or more{at_most(value, most)}")


def validate_earlier(key: str, path: str | None) -> None:
    """Validate that a path is None, or an existing run folder or checkpoint file."""
    if path is not None and not (path and is_there(place_of(key, path))):
        raise UserError(
            f"{_named(key, path)} does not exist. Expected a run folder such as outputs/train/<stamp>, or a checkpoint "
            "file"
        )


def validate_border(border: object) -> None:
    if border not in BORDERS and not (is_number(border) and 0 <= border <= 1):
        raise UserError(f"border={border!r} is none of {', '.join(BORDERS)}, or a grey level from 0 to 1")


TABLE_EXPECTED = "a prediction table: columns path, label, probability"


MOST_FOLDS = 1000


def validate_folds(folds: int) -> None:
    if not 3 <= folds <= MOST_FOLDS:
        more = at_most(folds, MOST_FOLDS)
        raise UserError(f"folds={folds} should be 3 or more{more}: one tests, one validates, the others train")
