"""The story of `python -m fancnn.evaluate`: a run's model on its own splits or on another folder, or any table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fancnn.data.defect_masks import find_masks, read_mask
from fancnn.data.folders import has_splits, list_images
from fancnn.data.label_modes import type_of
from fancnn.data.labeled_images import LabeledImage, read_split, validate_split
from fancnn.data.path_names import with_parts
from fancnn.data.predicted_images import predicted
from fancnn.decide.decide import model_facts
from fancnn.errors import NOT_FINITE, UserError
from fancnn.evaluate.evaluate_table import Evaluated, asked_thresholds, given_thresholds, state
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.files.run import BEST, LAST, Run
from fancnn.metrics.defect_detection import DefectDetection, detected_defects
from fancnn.metrics.parts import by_part, uneven_parts
from fancnn.metrics.predictions import FileScore, Prediction
from fancnn.model import Model
from fancnn.plurals import plural
from fancnn.runs import checkpoints
from fancnn.runs.known_line import known_line
from fancnn.runs.metrics_file import RunMetrics
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.system.console import say, track
from fancnn.system.devices import chosen_device
from fancnn.system.memory import keep_freed_memory

APART = 2.58  # standard errors between two shares of NG: 1 % of mixes that are alike are farther apart


def evaluate_run(settings: EvaluateSettings) -> Evaluated:
    """Score the model of a run; `predictions.csv` and `metrics.json` are left in a folder of their own.

    Raises:
        UserError: If the run, its images or the split cannot be found, or images have changed since.
    """
    settings.validate_paths()
    keep_freed_memory()
    checkpoint = checkpoints.find(str(settings.run), (BEST, LAST))
    model = checkpoints.load(checkpoint, chosen_device(settings.device), image_limits=settings.image_limits)
    own_thresholds = model.thresholds
    model.thresholds = asked_thresholds(settings, own_thresholds)
    table = Run.of_checkpoint(checkpoint).split
    elsewhere = settings.data.root is not None
    known = read_split(table) if table.is_file() or not elsewhere else []  # a checkpoint alone may score other images
    if known:
        validate_split(known, table, model.metadata.split_sha256)
    root = Path(settings.data.root or model.metadata.root).expanduser()
    own = not elsewhere or (settings.split is not None and not has_splits(root))
    images = _own_split(known, settings.split) if own else _other_images(root, model, settings)
    files = model.score_files(root / image.path for image in images)
    scores = [replace(score, cells=None) for score in track(files, "scoring images", len(images))]  # maps are large
    if own:
        _validate_unchanged(root, images, scores)
    else:
        _warn_of(images, scores)
    if undecided := sum(score.not_finite for score in scores):
        say(
            f"warning: {NOT_FINITE} for {undecided} of {plural(len(scores), 'image')}; they are not scored, "
            "and their rows in predictions.csv say so. The model's weights or its file are damaged: train it again"
        )
    images = [
        replace(image, sha256=score.sha256, pixel_sha256=score.pixel_sha256)
        for image, score in zip(images, scores, strict=True)
    ]
    if not model.seen_images.complete:
        say("note: which images the model has seen is not recorded in full; some of these may be among them")
    weights = model.weights_sha256
    rows = [
        predicted(
            *(image, score.probability, model.thresholds, score.error),
            true_type=model.true_type(image),
            guess=score.guess,
            seen=seen,
            weights_sha256=weights,
            regions=score.regions,
            mm_per_pixel=model.mm_per_pixel if model.has_cells else None,
        )
        for image, score, seen in zip(images, scores, model.seen_images.column(images), strict=True)
    ]
    if uneven := uneven_parts(image.part for image in images):
        say(f"warning: {uneven}")
    _print_unknown_types(model, images)
    _print_other_mix(model, [row.label or 0 for row in by_part(rows)])
    line = known_line(settings.line, model.metadata.known_line)
    epoch = "" if model.metadata.epoch is None else f"epoch {model.metadata.epoch} of "
    title = f"{epoch}{settings.run} on {root}"
    metrics = _metrics(settings, model, root)
    if model.thresholds != own_thresholds:
        metrics = replace(metrics, **given_thresholds())
    if settings.data.masks is not None:
        detection = _defect_detection(model, root, rows, settings.data.masks)
        say(detection.in_words())
        metrics = replace(metrics, masks=detection.to_dict())
    return state(settings, title, rows, model.thresholds, line, metrics)


def _defect_detection(model: Model, root: Path, rows: Sequence[Prediction], folder: str) -> DefectDetection:
    """Hold the regions of NG images against their masks.

    Raises:
        UserError: If the model has no cells, or a mask is not as it should be.
    """
    if not model.has_cells:
        raise UserError(
            "data.masks: this model judges images as wholes, and says of none where its defect is. Train one with "
            "experiment=patches; python -m fancnn.explain holds heat maps against masks"
        )
    masks = find_masks(folder, [LabeledImage(row.path, row.class_name, int(row.label or 0)) for row in rows])
    known = [row for row in rows if row.path in masks and not row.error]
    return detected_defects(
        (row.regions or (), read_mask(masks[row.path], root / row.path, model.gate).numpy()) for row in known
    )


def _own_split(known: Sequence[LabeledImage], split: str | None) -> list[LabeledImage]:
    present = [split for split in SPLIT_NAMES if any(image.split == split for image in known)]
    wanted = split or ("test" if "test" in present else "val")
    if wanted not in present:
        raise UserError(f"split={wanted}: the run has no such split. It has: {', '.join(present) or 'no split.csv'}")
    return [image for image in known if image.split == wanted]


def _other_images(root: Path, model: Model, settings: EvaluateSettings) -> list[LabeledImage]:
    """Return the images of another folder, their classes by the names that the model knows."""
    names = {str(folder): name for folder, name in (settings.data.class_names or {}).items()}
    listing = list_images(root, model.go_class)
    if unknown := [name for name in names.values() if name not in model.classes]:
        raise UserError(
            f"data.class_names: the run has no class {', '.join(unknown)}. It has: {', '.join(model.classes)}"
        )
    mapped = [replace(image, class_name=names.get(image.class_name, image.class_name)) for image in listing.images]
    strange = Counter(image.class_name for image in mapped if image.class_name not in model.classes)
    kept = [
        replace(image, label=int(image.class_name != model.go_class))
        for image in mapped
        if image.class_name in model.classes and settings.split in (None, image.split)
    ]
    kept = with_parts(kept, model.part, model.metadata.part_labels)
    others = ", ".join(f"{name} ({count})" for name, count in strange.items())
    go, ng = [*strange, "OK", "bad"][:2]
    ng_class = next(name for name in model.classes if name != model.go_class)
    way_out = f"data.class_names={{{go}: {model.go_class}, {ng}: {ng_class}}}"
    if not kept:
        split = f" in the split {settings.split}" if settings.split else ""
        raise UserError(
            f"{root} has no images{split} of the classes {', '.join(model.classes)}. Found: {others or 'none'}. Say "
            f"what its folders are called in the run, e.g. '{way_out}'"
        )
    if strange:
        say(f"warning: left out, since the run has no such class: {others}. To score them: '{way_out}'")
    return kept


def _warn_of(images: Sequence[LabeledImage], scores: Sequence[FileScore]) -> None:
    """Warn of what makes the scores on another folder less than they seem."""
    labels = {image.label for image in images}
    if len(labels) == 1:
        say(f"warning: no {'NG' if labels == {0} else 'GO'} images among them: scores that need both say nothing")
    if unread := sum(bool(score.error) and not score.not_finite for score in scores):
        say(f"warning: {unread} files cannot be read and are not scored; their rows in predictions.csv say why")


def _print_unknown_types(model: Model, images: Sequence[LabeledImage]) -> None:
    strange = Counter(
        type_of(image.class_name, image.defect_type, model.classes)
        for image in images
        if model.has_types and image.label and not model.true_type(image)
    )
    if strange:
        names = ", ".join(f"{name} ({count})" for name, count in strange.items())
        say(
            f"warning: the model knows no such types: {names}. They can be found, not named. It knows: "
            f"{', '.join(model.outputs[1:])}"
        )


def _print_other_mix(model: Model, labels: Sequence[int]) -> None:
    """Say where these parts are mixed otherwise than those that P(NG) is for, more than chance explains."""
    rate, here = model.calibration.ng_rate, float(np.mean(labels))
    if rate is not None and abs(here - rate) > APART * np.sqrt(rate * (1 - rate) / len(labels)):
        say(
            f"note: P(NG) is for parts mixed like the validation images, {rate:.3g} NG, and here {here:.3g} are: loss, "
            "Brier score and calibration error count that against it; decisions and AUROC do not depend on it"
        )


def _validate_unchanged(root: Path, images: Sequence[LabeledImage], scores: Sequence[FileScore]) -> None:
    wrong = [
        f"{image.path} ({score.error or 'changed'})"
        for image, score in zip(images, scores, strict=True)
        if score.sha256 != image.sha256
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(
            f"{len(wrong)} of {plural(len(images), 'image')} under {root} are not what the run was split on: "
            f"{', '.join(wrong[:3])}{more}. Restore them, or score the folder as it is: data.root={root}"
        )


def _metrics(settings: EvaluateSettings, model: Model, root: Path) -> RunMetrics:
    """Return what is known of the model whose images of `root` are scored."""
    metadata = model.metadata
    return RunMetrics(
        run=str(Path(str(settings.run)).resolve()),
        epoch=metadata.epoch,
        monitor=metadata.settings["monitor"],
        **model_facts(model),
        decision=metadata.decision,
        decision_split=metadata.decision_split,
        decision_rule=metadata.decision_rule,
        split_sha256=metadata.split_sha256,
        root=str(root),
    )
