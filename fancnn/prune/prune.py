"""The story of `python -m fancnn.prune`: fewer filters, a short training, and what that costs and saves.

The run folder holds `keep-<share>/` for each share: a run as any, whose network is described by smaller numbers, with
`compare.html`, `flips.csv`, `compare.json` (against the original) and `certificate.json`. Beside these folders lie
`certificate-original.json`, and `pruning.json` and `pruning.png`: what the shares come to, side by side (see
`fancnn.prune.pruning_curve`).
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.cli.command import in_sweep, leave_settings
from fancnn.cli.kept_settings import validate_places
from fancnn.compare.compare import compare
from fancnn.compare.settings import ComparedSplit, CompareSettings
from fancnn.data.predicted_images import predicted
from fancnn.decide.decide import NO_LINE, choose_on, rule_of
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.run import Run
from fancnn.metrics.predictions import Prediction
from fancnn.model import Model
from fancnn.networks.channel_importance import CRITERIA, measured
from fancnn.networks.dependency_groups import DependencyGroup, prune_state_dict, pruned_kwargs, validate_separable
from fancnn.networks.registry import network_from_dict
from fancnn.prune.pruning_curve import SCORES, Point, leave_curve, point_of, scores_of, scores_of_predictions
from fancnn.prune.settings import PruneSettings
from fancnn.runs import checkpoints
from fancnn.runs.earlier_run import EarlierRun, read_run
from fancnn.runs.known_line import known_line
from fancnn.runs.metrics_file import metrics_of_split
from fancnn.runs.resume import checkpoint_to_resume, is_finished
from fancnn.runs.run_summary import print_next
from fancnn.settings.choices import SplitName
from fancnn.settings.groups import FreezeSettings
from fancnn.settings.training import TrainSettings, in_folder
from fancnn.system.console import say
from fancnn.system.memory import keep_freed_memory
from fancnn.train.train import train

SPLIT = (
    SplitName.val
)  # epochs, thresholds and a share are chosen on it; filters are not, or its scores would flatter them
MEASURED = 512  # training images that filters are measured on
Orders = Mapping[DependencyGroup, NDArray[np.intp]]


@dataclass(frozen=True)
class _Smaller:
    """A network without some filters: how it is described, and its weights."""

    network: dict[str, Any]
    weights: dict[str, Tensor]


def prune(settings: PruneSettings) -> list[Point]:
    """Remove filters once, train what is left, and compare; where several shares are asked for, each from the original.

    The test split is looked at once, and only where one share is asked for and not in a sweep: among several, one is to
    be chosen first.

    Returns:
        The original and each share, the largest first.

    Raises:
        UserError: If the run or its images cannot be found, or its network cannot be pruned.
    """
    keep_freed_memory()
    source, output = (
        _as_decided(read_run(settings.run, settings.device, settings.image_limits)),
        Path(settings.output_dir),
    )
    try:
        validate_separable(source.model.network)
    except ValueError as error:
        raise UserError(f"{settings.run}: {error}") from error
    shares = shares_of(settings.keep)
    alone = len(shares) == 1 and not in_sweep()
    run_folders.begin(output, "prune")
    orders = _orders(source, settings.by)
    points = [point_of(1.0, source.folder, source.model, _known_scores(source.folder), None)]
    for share in shares:
        folder, smaller = output / f"keep-{share:g}", _without_the_least(source, orders, share)
        before = _scores_before(source, _model_of(source.model, smaller))
        say(f"\nkeep={share:g}: {_in_words(source.model.network, smaller.network)}")
        _fine_tuned(settings, source, smaller, folder, alone=alone)
        tuned = checkpoints.load(folder)
        points.append(point_of(share, folder, tuned, _known_scores(folder), before))
    split = None if alone else SPLIT  # test where there is one
    original = _certificate(settings, source, source.folder, output / "certificate-original.json", split)
    compared = [_held_against(settings, source, point, original, split) for point in points[1:]]
    leave_curve(output, settings, points, compared)
    run_folders.finish(output)
    for point in points[1:]:
        print_next(point.run, None, can_be_loaded=True, has_board=False)
    return points


def _as_decided(source: EarlierRun) -> EarlierRun:
    """Return the run, with the rule and the line that its thresholds have now: `decide` may have changed them since."""
    rule, note = rule_of(source.model, source.settings.decision)
    if note:
        say(f"note: {note}")
    line = known_line(NO_LINE, source.model.metadata.line or asdict(source.settings.line))
    return replace(source, settings=replace(source.settings, decision=rule, line=line))


def shares_of(keep: Any) -> list[float]:
    """Return each share that was asked for once, largest first; `limits.validate_pruning` has validated them."""
    given = keep if isinstance(keep, list | tuple) else [keep]
    return sorted({float(share) for share in given} - {1.0}, reverse=True)


def kept_count(width: int, share: float) -> int:
    """Return how many filters stay: the nearest whole number, half a filter counts as one; never none.

    Example:
        >>> [kept_count(5, share) for share in (0.9, 0.5, 0.01)]
        [5, 3, 1]
    """
    return max(1, int(width * share + 0.5))


def _orders(source: EarlierRun, by: str) -> Orders:
    network, batches = source.model.network, source.training_batches(MEASURED)
    say(f"filters by {by}, on {sum(len(labels) for _, labels in batches)} training images: {CRITERIA[by].says}")
    values = measured(source.model, network, source.groups, batches, (by,))
    return {group: CRITERIA[by].order(of_group[by]) for group, of_group in values.items()}


def _without_the_least(source: EarlierRun, orders: Orders, share: float) -> _Smaller:
    network = source.model.network
    kept: dict[DependencyGroup, Sequence[int]] = {
        group: sorted(order[: kept_count(len(order), share)].tolist()) for group, order in orders.items()
    }
    described = {**source.settings.model.network, **pruned_kwargs(network, kept)}
    return _Smaller(described, {name: value.cpu() for name, value in prune_state_dict(network, kept).items()})


def _model_of(original: Model, smaller: _Smaller) -> Model:
    """Return the pruned network as it is, with thresholds and calibration of the original."""
    network = network_from_dict(smaller.network, len(original.outputs))
    network.load_state_dict(smaller.weights)
    return Model(
        network,
        deepcopy(original.preprocess).cpu(),
        classes=original.classes,
        go_class=original.go_class,
        outputs=original.outputs,
        thresholds=original.thresholds,
        calibration=original.calibration,
        seen_images=original.seen_images,
    ).eval()


def _scores_before(source: EarlierRun, pruned: Model) -> dict[str, Any]:
    """Return the scores of what is left, untrained; its thresholds are chosen as those of the trained ones are."""
    decision, line = source.settings.decision, source.settings.line
    try:
        pruned.thresholds = choose_on(decision, line, _predictions(source, pruned, decision.split)).thresholds
    except UserError as error:
        say(f"note: without its training, {error}. The original's thresholds are taken for it")
    return scores_of_predictions(_predictions(source, pruned, SPLIT), pruned.thresholds)


def _predictions(source: EarlierRun, model: Model, split: str) -> list[Prediction]:
    probabilities = np.concatenate([model.probabilities(images) for images, _ in source.data.in_order(split)])
    images = source.data.images_of(split)
    return list(map(predicted, images, probabilities.tolist(), repeat(model.thresholds)))


def _fine_tuned(settings: PruneSettings, source: EarlierRun, smaller: _Smaller, folder: Path, *, alone: bool) -> None:
    """Train what is left, unless that was finished before; begun before, it goes on."""
    if is_finished(folder):
        say("finished before")
        return
    tuning = _tuning(settings, source.settings, smaller, folder, alone=alone)
    leave_settings(tuning, folder)
    train(tuning, smaller.weights, ("prune", settings.output_dir), descends_from=source.model.seen_images)


def _tuning(
    settings: PruneSettings, trained: TrainSettings, smaller: _Smaller, folder: Path, *, alone: bool
) -> TrainSettings:
    """Return the settings of the run's own training, shorter and at a lower rate, everything it writes in `folder`."""
    rate = trained.model.optimizer["lr"] * settings.lr_factor
    moved = in_folder(trained, folder)
    callbacks = moved.callbacks
    for config in (callbacks, moved.logger, trained.trainer):
        validate_places(config, folder, settings.run)
    if "start_epoch" in (averaging := callbacks.get("averaging") or {}):
        callbacks["averaging"] = {**averaging, "start_epoch": min(averaging["start_epoch"], settings.epochs)}
    return replace(
        moved,
        model=replace(
            trained.model,
            network=smaller.network,
            optimizer={**trained.model.optimizer, "lr": rate},
            output_bias=None,  # it is learnt already
        ),
        init=None,  # the weights come from the run itself
        freeze=FreezeSettings(),
        # alone: other processes would start the whole pruning again
        trainer={**trained.trainer, "max_epochs": settings.epochs, "devices": 1, "strategy": "auto"},
        callbacks=callbacks,
        score_test=trained.score_test is not False and alone,
        augment_preview=False,
        ckpt=checkpoint_to_resume(folder),
    )


def _known_scores(run: Path) -> Mapping[str, Any]:
    return scores_of(metrics_of_split(Run(run).metrics, SPLIT, SCORES))


def _held_against(
    settings: PruneSettings, source: EarlierRun, point: Point, original: str, split: SplitName | None
) -> dict[str, Any]:
    """Compare a pruned run with the original, and state what can be certified of each; a split of None is test."""
    say(f"\nkeep={point.keep:g} against the original")
    asked = CompareSettings(
        runs=[str(source.folder), str(point.run)],
        split=None if split is None else ComparedSplit(split),
        threshold=0.5,
        new_escape_rate=None,
        new_overkill_rate=None,
        confidence=settings.confidence,
        root=None,
        output=str(point.run),
        output_dir=str(point.run),
    )
    verdict = compare(asked).verdict
    smaller = _certificate(settings, source, point.run, point.run / "certificate.json", split)
    return {"verdict": verdict, "certificates": {"original": original, "smaller": smaller}}


def _certificate(settings: PruneSettings, source: EarlierRun, run: Path, place: Path, split: SplitName | None) -> str:
    """Certify a run in the unit of its thresholds' rule, write the certificate to `place`, and return its statement."""
    say(f"\ncertificate of {run}")
    asked = CertifySettings(
        run=str(run),
        table=None,
        split=split,
        escape=settings.escape,
        confidence=settings.confidence,
        threshold=None,
        unit=source.settings.decision.unit,
        largest_group=source.settings.decision.largest_group,
        exclude_seen=False,
        store=False,
        looks=None,  # as it was planned for these images, if it was
        output=str(place),
        output_dir=settings.output_dir,
    )
    try:
        return certify(asked).statement
    except UserError as error:  # such as no look left of those planned: the pruning is not lost for it
        say(f"warning: not certified: {error}")
        return f"not certified: {error}"


def _in_words(network: Any, smaller: Mapping[str, Any]) -> str:
    now = pruned_kwargs(network, {})
    return ", ".join(f"{name} {widths} to {smaller[name]}" for name, widths in now.items())
