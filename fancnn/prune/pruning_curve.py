"""What networks of several sizes cost and are worth, side by side.

`pruning.json`, version 2 (1 had `part` for split): format (`fancnn-pruning`), version, run (the original), by,
epochs, lr_factor, split (that the scores are of), versions, and points, the original first: keep, run, weights_sha256
(absent before), network (arguments that say how wide it is), parameters, bytes (of its weights and statistics, as
they are kept), flops (of one image), ms (an image alone, pixels to logit) and ms_in_batch (an image among 32),
medians measured in turn; pruned and tuned, the scores before and after the training (pruned is null for the
original): loss, auroc, accuracy, escapes, overkills; verdict and certificates, in words (null for the original).
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fancnn.files.atomic_files import write_atomically
from fancnn.files.json_files import write_json
from fancnn.metrics.parts import by_part
from fancnn.metrics.predictions import Prediction, scored
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import BATCH_SIZE, Model
from fancnn.networks.dependency_groups import pruned_kwargs
from fancnn.networks.summary import facts
from fancnn.prune.pruning_figure import pruning_drawing
from fancnn.prune.settings import PruneSettings
from fancnn.system.console import print_table, say
from fancnn.system.installation import versions
from fancnn.system.timing import in_turn, seconds

FORMAT, VERSION = "fancnn-pruning", 2
SCORES = ("loss", "auroc", "accuracy", "escapes", "overkills")
ROUNDS, CALLS = 9, 5  # the median of nine, each the mean of five


@dataclass(frozen=True)
class Point:
    """A network of the curve.

    Attributes:
        keep: Share of the original's filters.
        run: Its run folder.
        model: It.
        network: Arguments that say how wide it is.
        parameters: How many.
        bytes: Of weights and statistics.
        flops: Of one image.
        pruned: Scores before the training; None for the original.
        tuned: Scores after it.
    """

    keep: float
    run: Path
    model: Model
    network: dict[str, list[int]]
    parameters: int
    bytes: int
    flops: int
    pruned: Mapping[str, Any] | None
    tuned: Mapping[str, Any]


def point_of(keep: float, run: Path, model: Model, tuned: Mapping[str, Any], pruned: Mapping[str, Any] | None) -> Point:
    network_facts = facts(model.network, model.preprocess.image_size)
    size = sum(value.numel() * value.element_size() for value in model.network.state_dict().values())
    widths = pruned_kwargs(model.network, {})
    return Point(keep, run, model, widths, network_facts.parameters, size, network_facts.flops, pruned, tuned)


def scores_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a split of `metrics.json` that the curve has."""
    return {name: metrics[name] for name in SCORES}


def scores_of_predictions(rows: Iterable[Prediction], thresholds: Thresholds) -> dict[str, Any]:
    """Return the same of images of a split, by part where there are several of one."""
    counts, scores = scored(by_part(rows), thresholds)
    return scores_of({**scores, **asdict(counts)})


def leave_curve(
    output: Path, settings: PruneSettings, points: Sequence[Point], compared: Sequence[Mapping[str, Any]]
) -> None:
    """Measure the networks side by side, print what they come to, and leave `pruning.json` and `pruning.png`."""
    alone, among = _milliseconds(points, 1), _milliseconds(points, BATCH_SIZE)
    comparisons: Sequence[Mapping[str, Any]] = [{"verdict": None, "certificates": None}, *compared]
    plain = [
        {**_plain(point), "ms": ms, "ms_in_batch": ms_in_batch, **more}
        for point, ms, ms_in_batch, more in zip(points, alone, among, comparisons, strict=True)
    ]
    about = {"run": plain[0]["run"], **{name: getattr(settings, name) for name in ("by", "epochs", "lr_factor")}}
    document = {"format": FORMAT, "version": VERSION, **about, "split": "val", "versions": versions(), "points": plain}
    write_json(output / "pruning.json", document)
    write_atomically(output / "pruning.png", pruning_drawing(plain, settings.by).png())
    _print_curve(plain, settings.by)
    say(f"\npruning.json and pruning.png: {output}")


def _plain(point: Point) -> dict[str, Any]:
    named = ("keep", "network", "parameters", "bytes", "flops", "pruned", "tuned")
    origin = {"run": str(point.run.resolve()), "weights_sha256": point.model.weights_sha256}
    return {**origin, **{name: getattr(point, name) for name in named}}


def _milliseconds(points: Sequence[Point], count: int) -> list[float]:
    """Return the median time of an image in a batch of `count`, all models in turn, so that a slow moment hits all."""
    size = points[0].model.preprocess.image_size
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def timed(model: Model) -> float:
        return seconds(lambda: [model.logits(images) for _ in range(CALLS)]) * 1000 / CALLS / count

    models = [point.model.cpu() for point in points]
    return [statistics.median(values) for values in in_turn(ROUNDS, *(lambda m=m: timed(m) for m in models))]


def _print_curve(points: Sequence[Mapping[str, Any]], by: str) -> None:
    """Print what the networks cost, then what they are worth: two tables, for a narrow terminal."""
    costs = [
        [
            f"{point['keep']:g}",
            f"{point['parameters']:,}",
            f"{point['bytes'] / 1e6:.2f}",
            f"{point['flops'] / 1e6:.1f}",
            f"{point['ms']:.2f}",
            f"{point['ms_in_batch']:.3f}",
        ]
        for point in points
    ]
    say()
    print_table("what they cost", ("keep", "parameters", "MB", "MFLOP", "ms alone", "ms of 32"), costs)
    say("ms alone, of 32: an image from pixels to logit by itself, and among 32; medians, all networks in turn")
    rows = [
        [f"{point['keep']:g}, {word}", *(_shown(point[stage], name) for name in SCORES)]
        for point in points
        for stage, word in (("pruned", "removed"), ("tuned", "trained"))
        if point[stage]
    ]
    print_table(f"what they are worth on val, filters kept by {by}", ("keep", *SCORES), rows)


def _shown(scores: Mapping[str, Any], name: str) -> str:
    value = scores[name]
    return "undefined" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"
