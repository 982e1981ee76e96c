"""The story of `python -m fancnn.ensemble`: several runs, or the folds of one, as one model in a run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import logit

from fancnn.data.label_modes import ONE
from fancnn.data.labeled_images import read_split, write_split
from fancnn.data.seen_images import NOTHING_SEEN, SeenImages
from fancnn.decide.decide import (
    choose_on,
    chosen_split,
    decision_facts,
    fitted_calibration,
    model_facts,
    not_measured,
    print_decision,
)
from fancnn.decisions.calibration import UNCALIBRATED
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.run import BEST, LAST, Run
from fancnn.metrics.parts import by_part
from fancnn.metrics.predictions import Prediction, columns, decided, write_predictions
from fancnn.model import Model
from fancnn.networks.registry import network_from_dict
from fancnn.runs import checkpoints
from fancnn.runs.known_line import known_line, line_of
from fancnn.runs.metrics_file import RunMetrics, read_metrics, read_run_predictions, split_metrics, write_metrics
from fancnn.runs.recorded_looks import record_look
from fancnn.runs.run_summary import print_next
from fancnn.runs.scoring import print_scores
from fancnn.runs.stored_regions import with_regions
from fancnn.settings.groups import SPLIT_NAMES, validate_costs
from fancnn.system.console import say
from fancnn.system.installation import versions

MEMBERS = "each image was scored by one model that had not seen it, not by the ensemble"
CERTAIN = 1e-12  # a mean probability is kept so far from 0 and 1, where its logit is taken


def ensemble(settings: EnsembleSettings) -> Path:
    """Join runs into one model and leave a run folder that predict, evaluate, report and certify take.

    Runs with one split are calibrated and decided again, on the mean of their predictions. The folds of a
    cross-validation have no image that all of them have not seen: the thresholds are chosen on the predictions of the
    folds, each by the model that had not seen the image, and members keep their own calibrations.

    Raises:
        UserError: If runs have other classes, images or preprocessing than each other.
    """
    members = _members(settings.runs)
    models = [checkpoints.load(checkpoints.find(run, (BEST, LAST))) for run in members]
    _validate_alike(members, models)
    line = known_line(settings.line, models[0].metadata.line)
    validate_costs(settings.decision, line)
    joined, run = _joined(models), Path(settings.output_dir)
    rows, one_split = _predictions(settings.runs, members, models)
    if one_split:
        rows = _calibrated(joined, rows, settings.calibration, line.ng_rate)
    looked_at = settings.decision.split if one_split else "test"
    chosen = choose_on(settings.decision, line, [row for row in rows if row.split == looked_at])
    if not one_split and settings.decision.rule != "fixed":
        chosen = not_measured(chosen, "the ensemble")
    joined.thresholds, joined.cell_threshold = chosen.thresholds, settings.decision.cell_threshold
    if chosen_split(settings.decision):
        chosen_on = [row for row in rows if row.split == looked_at]
        joined.seen_images = joined.seen_images.merged(SeenImages.of(thresholds=chosen_on))
    if one_split:  # each row has the mean of all members; elsewhere that of one, which had not seen it
        rows = [replace(row, seen=seen) for row, seen in zip(rows, joined.seen_images.column(rows), strict=True)]
    rows = [decided(row, chosen.thresholds) for row in rows]
    if one_split:
        rows = with_regions(joined, rows, Path(models[0].metadata.root))
    split = looked_at if chosen_split(settings.decision) else None
    facts = decision_facts(chosen.reason, split, line, settings.decision)
    print_decision(chosen, split)
    run_folders.begin(run, "ensemble")
    _save(Run(run).best, joined, {**facts, "runs": [str(member.resolve()) for member in members]})
    write_predictions(rows, Run(run).predictions)
    if one_split:
        write_split(read_split(Run(members[0]).split), Run(run).split)
    splits = {
        name: split_metrics(
            [row for row in rows if row.split == name], chosen.thresholds, *line_of(line), searched=name == split
        )
        for name in SPLIT_NAMES
        if any(row.split == name for row in rows)
    }
    looks = record_look("ensemble", rows, joined.weights_sha256) if one_split else None
    first = read_metrics(Run(members[0]).metrics)
    metrics = RunMetrics(
        run=str(run.resolve()),
        monitor=first.monitor,
        root=first.root,
        split_sha256=first.split_sha256,
        scored_by=None if one_split else MEMBERS,
        unread=0,
        versions=versions(),
        **model_facts(joined),
        **facts,
        looks=None if looks is None else looks.to_dict(),
        splits=splits,
    )
    write_metrics(Run(run).metrics, metrics)
    run_folders.finish(run)
    title = "the mean of the members" if one_split else "each image by the one member that has not seen it"
    print_scores(f"{len(members)} members; {title}", splits)
    if looks is not None:
        say(f"test: {looks.in_words()}")
    print_next(run, None, can_be_loaded=True, has_board=False)
    return run


def _members(runs: Sequence[str]) -> list[Path]:
    """Return the run folders; that of a cross-validation stands for its folds."""
    members: list[Path] = []
    for run in runs:
        folder = Path(run).expanduser()
        members += sorted(folder.glob("fold-*"), key=lambda fold: int(fold.name[5:])) or [folder]
    if len({member.resolve() for member in members}) < len(members):
        raise UserError("an ensemble takes each run once: " + ", ".join(map(str, members)))
    if len(members) < 2:
        raise UserError("an ensemble takes two runs or more, or one cross-validation: fancnn.ensemble RUN RUN ...")
    return members


def _validate_alike(members: Sequence[Path], models: Sequence[Model]) -> None:
    for name in ("classes", "go_class", "preprocess", "part"):
        values = [str(getattr(model.metadata, name)) for model in models]
        for member, value in zip(members, values, strict=True):
            if value != values[0]:
                raise UserError(f"{member} has {name} {value}, and {members[0]} {values[0]}: they cannot be one model")


def _joined(models: Sequence[Model]) -> Model:
    config: dict[str, Any] = {
        "_target_": "fancnn.networks.Ensemble",
        "members": [model.metadata.network for model in models],
        "calibrations": [model.calibration.to_dict() for model in models],
    }
    first = models[0]
    names = first.outputs if first.has_types and all(model.outputs == first.outputs for model in models) else ONE
    if names == ONE and any(model.has_types for model in models):
        say("warning: the members do not all distinguish the same types, so that the ensemble names none")
    network = network_from_dict(config, len(names))
    for member, model in zip(network.members, models, strict=True):  # type: ignore[arg-type]
        member.load_state_dict(model.network.state_dict())
    config |= {"outputs": len(names)} if len(names) > 1 else {}
    joined = Model(
        *(network, first.preprocess),
        classes=first.classes,
        go_class=first.go_class,
        outputs=names,
        calibration=replace(UNCALIBRATED, ng_rate=_mean_rate(models)),
        metadata=replace(first.metadata, network=config, outputs=list(names), epoch=None, backbones=_backbones(models)),
        part=first.part,
        part_images=first.part_images if len({model.part_images for model in models}) == 1 else None,
        mm_per_pixel=first.mm_per_pixel if len({model.mm_per_pixel for model in models}) == 1 else None,
        seen_images=NOTHING_SEEN.merged(
            *(model.seen_images.without("thresholds") for model in models)
        ),  # their thresholds are gone
    )
    return joined.eval()


def _backbones(models: Sequence[Model]) -> list[Mapping[str, Any]] | None:
    """Return each backbone of the members once; None where none has one."""
    given = [backbone for model in models for backbone in model.metadata.backbones or ()]
    return [backbone for place, backbone in enumerate(given) if backbone not in given[:place]] or None


def _mean_rate(models: Sequence[Model]) -> float | None:
    """Return the share of NG parts that the mean probability is meant for; None where one member's is not known."""
    rates = [model.calibration.ng_rate for model in models]
    known = [rate for rate in rates if rate is not None]
    return float(np.mean(known)) if len(known) == len(rates) else None


def _predictions(
    runs: Sequence[str], members: Sequence[Path], models: Sequence[Model]
) -> tuple[list[Prediction], bool]:
    """Return the predictions to decide on, and whether they are means over members with one split."""
    if len({model.metadata.split_sha256 for model in models}) == 1:
        return _mean([read_run_predictions(Run(member).predictions) for member in members]), True
    crossed = [Run(Path(run).expanduser()).predictions for run in runs if Path(run, "fold-1").is_dir()]
    if len(runs) == 1 and crossed:
        return read_run_predictions(crossed[0]), False
    raise UserError(
        "the runs have different splits: what one validates on another was trained on, so nothing is left to choose "
        "thresholds on. Train them with data.split_file=RUN/split.csv, or take a cross-validation"
    )


def _mean(tables: Sequence[Sequence[Prediction]]) -> list[Prediction]:
    by_path: list[Mapping[str, Prediction]] = [{row.path: row for row in table} for table in tables]
    shared = [row for row in tables[0] if all(row.path in table for table in by_path)]
    if unknown := [row.path for row in shared if any(table[row.path].probability is None for table in by_path)]:
        raise UserError(
            f"{unknown[0]} has no probability in the predictions.csv of one of the runs: nothing to average"
        )
    # what the mean's likeliest type is, and its cells, the tables do not say: they have the outcome of each member
    own: dict[str, Any] = {"true_type": "", "found_type": "", "type_share": None, "regions": None}
    return [
        replace(row, probability=float(np.mean([table[row.path].probability for table in by_path])), **own)
        for row in shared
    ]


def _calibrated(joined: Model, rows: Sequence[Prediction], method: str, line_rate: float | None) -> list[Prediction]:
    """Calibrate the ensemble on val and return the rows with its probabilities."""
    val = [row for row in rows if row.split == "val"]
    labels, means = columns(by_part(val))
    joined.calibration = fitted_calibration(method, _logits(means), labels, line_rate)
    joined.seen_images = joined.seen_images.merged(SeenImages.of(calibration=val))
    probabilities = joined.calibration.probabilities(_logits(np.array([row.probability for row in rows])))
    return [replace(row, probability=float(probability)) for row, probability in zip(rows, probabilities, strict=True)]


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probabilities, CERTAIN, 1 - CERTAIN)))


def _save(path: Path, model: Model, facts: Mapping[str, Any]) -> None:
    metadata = replace(
        model.metadata,
        version=checkpoints.VERSION,
        complete=True,
        thresholds=astuple(model.thresholds),
        cell_threshold=model.cell_threshold,
        mm_per_pixel=model.mm_per_pixel,
        part=model.part,
        part_images=model.part_images,
        calibration=model.calibration.to_dict(),
        seen=model.seen_images.to_dict(),
        versions=versions(),
        **facts,
    )
    weights: dict[str, torch.Tensor] = {f"model.{name}": value for name, value in model.state_dict().items()}
    checkpoints.save(path, metadata, {"state_dict": weights})
