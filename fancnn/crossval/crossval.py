"""The story of `python -m fancnn.crossval`: a training for each fold, and what they say together.

The run folder holds `fold-1/`, `fold-2/`, ... , each a run as any; `predictions.csv` of all images, each judged by
the model that has not seen it (split `test`); and `metrics.json` of that table, with `folds`: the test scores of each
fold, and their `mean` with an interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from fancnn import assembly
from fancnn.assembly import read_images
from fancnn.crossval.settings import CrossvalSettings
from fancnn.data.cross_validation_folds import crossed
from fancnn.data.labeled_images import LabeledImage, read_split, split_hash, write_split
from fancnn.decide.decide import choose_on, decision_facts, not_measured, print_decision
from fancnn.decisions.threshold_choice import ThresholdChoice
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.run import Run
from fancnn.metrics.predictions import Prediction, decided, write_predictions
from fancnn.metrics.score_registry import SCORES
from fancnn.runs.known_line import line_of
from fancnn.runs.metrics_file import metrics_of_split, read_metrics, read_run_predictions, split_metrics, write_metrics
from fancnn.runs.resume import checkpoint_to_resume, is_finished
from fancnn.runs.scoring import console_scores, print_scores
from fancnn.settings.training import TrainSettings, in_folder
from fancnn.system.console import print_table, say
from fancnn.train.train import train

SCORED_BY = "each image was scored by one model that had not seen it; no one model scored them all"
EACH_ITS_OWN = "any one model, and each fold's own thresholds are in its folder"


def crossval(settings: CrossvalSettings) -> float | None:
    """Train and judge each fold; folds that are finished in the run folder are not trained again.

    Images of a test split (a folder, or `data.test_fraction`) take no part: they stay for the last look.

    Returns:
        The mean of `settings.objective` over the folds' test splits, for a sweep.

    Raises:
        UserError: As training, or if the images cannot be divided so, or differ from those of finished folds.
    """
    run = Path(settings.output_dir)
    data = read_images(assembly.with_native_size(settings))
    pool = [image for image in data.images if image.split != "test"]
    if left := len(data.images) - len(pool):
        say(f"{left} images of the test split are left alone")
    if settings.data.split_method == "ordered":
        raise UserError("data.split_method=ordered has no folds; take stratified, or grouped with data.group=...")
    by_group = settings.data.group is not None and settings.data.split_method in ("grouped", "hashed")
    plans = crossed(pool, settings.folds, settings.seed, grouped=by_group)
    folders = [run / f"fold-{number}" for number in range(1, len(plans) + 1)]
    if Run(run).checkpoints.is_dir():
        raise UserError(f"{run} holds a run of one training, and the folds would be mixed with it: name another folder")
    run_folders.begin(run, "crossval")
    for folder, images in zip(folders, plans, strict=True):
        _keep_split(folder, images)
    for number, folder in enumerate(folders, start=1):
        say(f"\nfold {number} of {len(folders)}" + (": finished before" if is_finished(folder) else ""))
        if not is_finished(folder):
            train(_of_fold(settings, data.root, folder), part_of=("crossval", settings.output_dir))
    return _together(settings, folders, split_hash(pool))


def _keep_split(folder: Path, images: Sequence[LabeledImage]) -> None:
    table = Run(folder).split
    if not table.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_split(images, table)
    elif split_hash(read_split(table)) != split_hash(images):
        raise UserError(f"{table} has other images or other folds than now: start again, without ckpt=...")


def _of_fold(settings: CrossvalSettings, root: Path, folder: Path) -> TrainSettings:
    """Return the settings of one training, everything it writes in its own folder; begun before, it goes on."""
    return replace(
        in_folder(settings, folder),
        data=replace(settings.data, root=str(root), split_file=str(Run(folder).split), fans=None),
        score_test=True,  # a fold's own test split is what it is for
        ckpt=checkpoint_to_resume(folder),
    )


def _together(settings: CrossvalSettings, folders: Sequence[Path], split_sha256: str) -> float | None:
    """Return what the folds say together: one table of predictions, scores of it, and means over the folds."""
    run, rows = Path(settings.output_dir), list[Prediction]()
    tests = []
    for folder in folders:
        rows += [row for row in read_run_predictions(Run(folder).predictions) if row.split == "test"]
        tests.append(metrics_of_split(Run(folder).metrics, "test"))
    rows.sort(key=lambda row: row.path)
    chosen = _chosen_together(settings, rows)
    split = None if chosen.reason.startswith("fixed") else "test"
    thresholds = chosen.thresholds
    rows = [decided(row, thresholds) for row in rows]
    write_predictions(rows, Run(run).predictions)
    splits = {"test": split_metrics(rows, thresholds, *line_of(settings.line), searched=split == "test")}
    means = {
        name: mean_over_folds([test.get(name) for test in tests], score.lowest, score.highest)
        for name, score in SCORES.items()
    }
    first = read_metrics(Run(folders[0]).metrics)
    metrics = replace(
        first,
        run=str(run.resolve()),
        epoch=None,
        epochs=None,
        calibration={},
        thresholds=[thresholds.lower, thresholds.upper],
        **decision_facts(chosen.reason, split, settings.line, settings.decision),
        scored_by=SCORED_BY,
        split_sha256=split_sha256,
        weights_sha256="",
        looks=None,  # each image was judged once, by another model
        warnings=None,
        splits=splits,
        folds=tests,
        mean={name: mean for name, mean in means.items() if mean is not None},
    )
    write_metrics(Run(run).metrics, metrics)
    run_folders.finish(run)
    _print_means(splits, means, len(folders))
    if split:
        print_decision(chosen, split)
    say(f"\nrun folder: {run}\n  every score, threshold and certificate works on {run / 'predictions.csv'}")
    objective_mean = means.get(settings.objective.removeprefix("val/"))
    return objective_mean[0] if objective_mean else None


def _chosen_together(settings: CrossvalSettings, rows: Sequence[Prediction]) -> ThresholdChoice:
    """Return the thresholds that the rule gives on all images, each with the probability of its fold's model.

    They are not those of any fold, and no promise of them was measured on one model.
    """
    decision = settings.decision
    try:
        chosen = choose_on(decision, settings.line, rows)
    except UserError as error:
        say(f"warning: {error}. The thresholds of the whole table stay as configured; each fold has its own")
        reason = f"fixed, since decision.rule={decision.rule} could not choose"
        return ThresholdChoice(assembly.thresholds(decision), reason)
    return chosen if decision.rule == "fixed" else not_measured(chosen, EACH_ITS_OWN)


def mean_over_folds(
    values: Sequence[float | None], least: float = -math.inf, most: float = math.inf, confidence: float = 0.95
) -> tuple[float, float, float] | None:
    """Return the mean of a score over folds, and Student's interval, which allows for training images that folds share.

    Nadeau and Bengio 2003: the variance of the mean is `(1 / k + n_test / n_train)` times that over the folds, here
    with `n_test / n_train = 1 / (k - 2)`, since a fold validates; no wider than from `least` to `most`. None unless
    every fold has a number.

    Example:
        >>> mean, low, high = mean_over_folds([0.8, 0.9, 1.0])
        >>> round(mean, 3), low < 0.8, high > 1.0
        (0.9, True, True)
    """
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return None
    count = len(numbers)
    spread = float(np.std(numbers, ddof=1)) * np.sqrt(1 / count + 1 / max(count - 2, 1))
    half = float(student.ppf((1 + confidence) / 2, count - 1) * spread)
    mean = float(np.mean(numbers))
    return mean, max(mean - half, least), min(mean + half, most)


def _print_means(splits: Mapping[str, Any], means: Mapping[str, Any], folds: int) -> None:
    rows = [
        [title, *(("undefined", "") if means[name] is None else _shown(*means[name]))]
        for name, title in console_scores(splits).items()
    ]
    print_table(f"over {folds} folds, each with its own thresholds", ["", "mean", "95 % of the mean"], rows)
    print_scores("all images, each judged by the model that has not seen it", splits)


def _shown(mean: float, low: float, high: float) -> tuple[str, str]:
    return f"{mean:.4f}", f"{low:.3f} to {high:.3f}"
