"""`metrics.json`: what a model is worth on each split of the data.

Format version 4:

| key | meaning |
| --- | --- |
| format, version | `fancnn-metrics`, 4 |
| run | the run folder that the model comes from; null for a table of another program |
| epoch, epochs | the epoch whose weights were scored, and how many were trained |
| monitor | the score that chose the epoch |
| thresholds | lower and upper: GO up to the lower, NG above the upper, RECHECK between |
| decision, decision_split | what the thresholds were chosen for, in words, and on which split |
| decision_rule | the rule that chose them, by the keys of `decision`; null where none can choose again, absent before |
| decided_again | whether thresholds were chosen again after test images had been scored; absent before and at first |
| calibration | how logits became probabilities, as `Calibration.to_dict` gives it |
| go_class, classes, outputs | as in the model (`outputs` absent before fancnn had several) |
| backbones | where weights come from that learnt elsewhere, by the keys of `Backbone`; absent where none, and before |
| root | where the images were |
| split_sha256 | which split the run was trained on |
| scored_by | where several models scored the images, each its own: that in words; else absent or null |
| weights_sha256 | of the model that scored; absent before, null where several did or it is not known |
| checkpoint_sha256 | of the bytes of the run's best checkpoint; absent before and where there is none |
| predictions_sha256 | likewise, of `predictions.csv` beside it |
| seen_complete | whether the record of the images that the model has seen is complete; absent before |
| looks | of the test images: see below; null where none were scored or that is not known, absent before |
| masks | whether regions lie on known defects: the fields of `DefectDetection`; absent where no masks were given |
| unread | how many files could not be read, or have no decision since the network's output was not finite |
| warnings | what the course of the training says went wrong, in sentences; absent where it is not known |
| versions | of the packages that decide numbers |
| line | the line's keys as configured; null where not known |
| splits | by `train`, `val`, `test` or `all`: counts (images, parts, go, ng, groups, and the fields of
`ConfusionCounts`), the scores of `fancnn.metrics.score_registry` (null where undefined), `intervals` (95 %, [low, high]
or null, by score), `interval_unit` (what they take for independent: `image`, `part`, or `group` where every image has a
group and some have one in common), `interval_note` (what a reader must know of them, in words; null for nothing),
`by_type` (defect types, the worst bound first: the fields of `TypeEscapes`; `unit` and counts by part are absent
before), `types` and `forecast` (null where the line is not known) |

`parts` is there only where there are several images of a part (`data.part`), the worst of which decides: how many parts
there are. All other counts, but `images`, and all scores are of parts then.

`seen` says how many of the images the model has seen, by role (see `fancnn.data.seen_images`; absent before).

`types` says how the NG parts that were found are named, where the model has types (else null, and absent before):
`right` of `of`, the `share` with its `interval`, and `confusion`: by true type, then by found type, how many.

Where parts go to RECHECK: `decided_rate` is the share that the machine decides alone, `alone_accuracy`,
`alone_precision`, `alone_recall`, `alone_f1` and `alone_specificity` its scores on those (null where it decides none);
`recheck_rate`, `recheck_rate_ng` and `recheck_rate_go` are the share of all, of NG and of GO parts that a person sees;
`accuracy`, `precision`, `recall`, `f1`, `specificity`, `balanced_accuracy` and `mcc` are what results if that person is
right. Without RECHECK both say the same.

`looks` says how often these images were looked at when this was written (see `fancnn.runs.looks`): the `number` of this
look, how many were `before` and `later` (since it was first taken), of how many `models` those before were and when the
`last` was, how many `images` it is of and how many of them are `shared` with others; how many lines the ledger has of
`others`, and of at most the last 50 of these, as `earlier`, the time, command, claim and first digits of the model.

A cross-validation adds `folds` (the test scores of each) and `mean` (by score: mean, low, high).

Version 3 called `splits` `parts`, `decision_split` `decision_part` and `images` `pictures`. Version 2 had neither
`interval_unit`, `interval_note`, `decided_rate`, `recheck_rate_ng`, `recheck_rate_go` nor the scores that begin with
`alone_`; its intervals of rates took images for independent whatever their groups, and those of other scores were
percentile bootstrap intervals by group. Version 1 had one `threshold`, and neither decision, calibration, root, line,
intervals, by_type nor forecast.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from fancnn.data.seen_images import ROLES
from fancnn.decisions.certificates import escapes_by_type
from fancnn.decisions.forecast import effective_parts, forecast
from fancnn.decisions.line_costs import Costs, Line
from fancnn.decisions.model_metadata import ABSENT, CALIBRATION, DECISION_RULE, OUTPUTS, Absent, ModelMetadata
from fancnn.errors import UserError
from fancnn.files.json_files import read_json, version_of, write_json
from fancnn.files.plain_data import (
    kinds_of,
    list_of,
    map_of,
    number,
    number_between,
    one_of,
    optional,
    record,
    text,
    validate,
    whole,
)
from fancnn.files.run import Run
from fancnn.files.run_folders import DECIDING, validate_complete
from fancnn.metrics.clusters import natural_groups
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.defect_types import naming
from fancnn.metrics.parts import by_part, images_of_parts
from fancnn.metrics.predictions import Prediction, columns, read_predictions, scored, with_truth
from fancnn.metrics.score_registry import SCORES, score_intervals
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.looks import LOOKS
from fancnn.settings.earlier_names import metadata_by_present_names

FORMAT, VERSION = "fancnn-metrics", 4
MIXED = (
    "Files of two runs lie in one folder, and what is said of one model would be said of the other. Bring back the "
    "files that belong together, or train again into another folder"
)


def split_metrics(
    predictions: Iterable[Prediction],
    thresholds: Thresholds,
    line: Line | None = None,
    costs: Costs | None = None,
    *,
    searched: bool = False,
) -> dict[str, Any]:
    """Return the counts, scores and intervals of one split, as `metrics.json` has them.

    Args:
        predictions: Of the images of the split.
        thresholds: Of the decisions.
        line: For a forecast, with `costs`.
        costs: Of mistakes on that line.
        searched: Whether the thresholds were chosen on this split.
    """
    known = list(predictions)
    rows = with_truth(by_part(known))
    images, of_parts = images_of_parts(rows, known), any(row.part for row in rows)
    counts, scores = scored(rows, thresholds)
    labels, probabilities = columns(rows)
    intervals = score_intervals(labels, probabilities, thresholds, [row.group for row in rows])
    return {
        **{"images": len(images), "go": counts.go, "ng": counts.ng},
        **({"parts": len(rows)} if of_parts else {}),
        "groups": len({row.group for row in rows if row.group}),
        **asdict(counts),
        **scores,
        "intervals": {name: None if of is None else list(astuple(of)) for name, of in intervals.by_score.items()},
        "interval_unit": "part" if of_parts and intervals.unit == "image" else intervals.unit,
        "interval_note": intervals.note,
        "seen": {role: sum(role in (row.roles or ()) for row in images) for role in ROLES},
        "by_type": [asdict(item) for item in escapes_by_type(rows, thresholds, searched=searched)],
        "types": None if (named := naming(rows, thresholds)) is None else named.to_dict(),
        "forecast": _forecast(rows, counts, thresholds, line, costs),
    }


_SCORE = optional(number)
_COUNT = whole(0)
_INTERVAL = optional(list_of(number, 2, 2))
_TYPE = record(
    {
        **dict.fromkeys(("defect_type", "unit"), text),
        **dict.fromkeys(("ng", "escapes", "ng_parts", "escaped_parts"), _COUNT),
        "bound": number_between(0, 1),
    }
)
_NAMING = record(
    {
        **dict.fromkeys(("right", "of"), _COUNT),
        "share": optional(number_between(0, 1)),
        "interval": _INTERVAL,
        "confusion": map_of(map_of(_COUNT)),
    }
)
_SPLIT = record(
    {
        **dict.fromkeys(SCORES, _SCORE),
        **dict.fromkeys(
            ("images", "parts", "go", "ng", "groups", *(item.name for item in fields(ConfusionCounts))), _COUNT
        ),
        "intervals": map_of(_INTERVAL),
        "interval_unit": one_of("image", "part", "group"),
        "interval_note": optional(text),
        "seen": map_of(_COUNT),
        "by_type": list_of(_TYPE),
        "types": optional(_NAMING),
        "forecast": optional(map_of(optional(list_of(number, 3, 3)))),
    }
)
_MASKS = record(
    {
        **dict.fromkeys(("images", "pointed", "defects", "detected"), _COUNT),
        **dict.fromkeys(("pointed_interval", "detected_interval"), _INTERVAL),
        "pointed_by_chance": number_between(0, 1),
    }
)


@dataclass(frozen=True, kw_only=True)
class RunMetrics(ModelMetadata):
    """The table above as an object; what is null or absent in a file is empty here, unless that says something.

    Attributes:
        format: Tells its files from others.
        version: Of the format.
        run: The run folder that the model comes from; None for a table of another program.
        epochs: How many were trained.
        monitor: The score that chose the epoch.
        decision_rule: As in `CheckpointMetadata`.
        decided_again: Whether thresholds were chosen again after test images had been scored.
        root: Where the images were.
        scored_by: Where several models scored the images, that in words.
        checkpoint_sha256: Of the run's best checkpoint.
        predictions_sha256: Of the prediction table.
        seen_complete: Whether the record of the images that the model has seen is complete; None before.
        looks: At the test images.
        masks: Whether regions lie on known defects; None where no masks were given.
        unread: How many files have no decision.
        warnings: What the training says went wrong; None where that is not known.
        splits: Counts, scores and intervals by split.
        folds: In a cross-validation, the test scores of each.
        mean: In a cross-validation, by score: mean, low, high.
    """

    format: str = FORMAT
    version: int = VERSION
    run: str | None = None
    epochs: Annotated[int | None, whole(0)] = None
    monitor: str | None = None
    outputs: Annotated[list[str], OUTPUTS] = field(default_factory=list)
    calibration: Annotated[Mapping[str, Any], CALIBRATION] = field(default_factory=dict)
    decision_rule: Annotated[Mapping[str, Any] | Absent | None, DECISION_RULE] = ABSENT
    decided_again: bool | None = None
    root: str | None = None
    scored_by: str | None = None
    checkpoint_sha256: str | None = None
    predictions_sha256: str | None = None
    seen_complete: bool | None = None
    looks: Annotated[Mapping[str, Any] | None, LOOKS] = None
    masks: Annotated[Mapping[str, Any] | None, _MASKS] = None
    unread: Annotated[int | None, whole(0)] = None
    warnings: list[str] | None = None
    splits: Annotated[Mapping[str, Mapping[str, Any]], map_of(_SPLIT)] = field(default_factory=dict)
    folds: Annotated[Sequence[Mapping[str, Any]] | None, list_of(_SPLIT)] = None
    mean: Annotated[Mapping[str, Sequence[float]] | None, map_of(list_of(number, 3, 3))] = None

    @property
    def scored_by_one(self) -> str | None:
        """Return the hash of the weights that scored the images; None where several did, or it is not known."""
        return None if self.scored_by else self.weights_sha256 or None

    def to_dict(self) -> dict[str, Any]:
        """Return what a file keeps: null for what is not known, and no key for what came later and is absent."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        absent = {"decided_again", "seen_complete", "warnings", "folds", "mean"}
        absent |= {"checkpoint_sha256", "predictions_sha256", "backbones", "masks"}
        return {
            name: None if value in ("", [], {}) and name not in ("splits", "warnings") else value
            for name, value in values.items()
            if value is not ABSENT and (value is not None or name not in absent)
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "RunMetrics":
        """Return what a `metrics.json` of any version says, once that was checked; unknown keys are passed over."""
        values = {name: value for name, value in plain.items() if value is not None or name == "decision_rule"}
        if plain.get("version") == 1:
            values["thresholds"] = [plain.get("threshold", 0.5)] * 2
        values["thresholds"] = tuple(values["thresholds"])
        return RunMetrics(**{name: value for name, value in values.items() if name in _KINDS})


_KINDS = kinds_of(RunMetrics)
METRICS = record(
    {name: kind if name in ("splits", "thresholds", "version") else optional(kind) for name, kind in _KINDS.items()},
    ("splits",),
)
"""The table at the top; what is not known is null, and whatever reads a file may rely on these types."""


def write_metrics(path: Path, metrics: RunMetrics) -> None:
    """Write `metrics.json`, with the hashes of the files that lie beside it."""
    run = Run(path.parent)
    checkpoint, predictions = (file_hash(file) if file.is_file() else None for file in (run.best, run.predictions))
    metrics = replace(metrics, checkpoint_sha256=checkpoint, predictions_sha256=predictions)
    write_json(path, metrics.to_dict())


def read_metrics(path: Path, *, deciding: bool = False) -> RunMetrics:
    """Read a `metrics.json`; what version 1 lacks is filled in, scores that older versions lack stay away.

    Args:
        path: Of the file.
        deciding: Whether it is read to be decided again, as after a decision that was cut short.

    Raises:
        UserError: If it is missing, damaged, of another kind or of a newer version; or it is of a run that is not
            complete, or whose best checkpoint is another than it speaks of.
    """
    validate_complete(path.parent, deciding=deciding)
    plain = read_json(path, "the metrics.json of a finished run")
    if plain.get("format") != FORMAT:
        raise UserError(f"{path} is no metrics.json of fancnn")
    version = version_of(plain, VERSION, str(path))
    plain = metadata_by_present_names(plain)
    if not isinstance(plain.get("splits"), dict) or not {"threshold", "thresholds"} & set(plain):
        raise UserError(f"{path} is damaged: it lacks its splits or its thresholds")
    validate(plain, METRICS, str(path))
    if version == 1:
        validate(plain, record({"threshold": number_between(0, 1)}), str(path))
    metrics = RunMetrics.from_dict(plain)
    _validate_checkpoint(path, metrics.checkpoint_sha256, deciding=deciding)
    return replace(metrics, version=VERSION)


def metrics_of_split(path: Path, split: str, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Read what a `metrics.json` has of one split.

    Raises:
        UserError: As `read_metrics`; or if it has nothing of that split, or not all that is `needed` of it.
    """
    splits = read_metrics(path).splits
    if split not in splits:
        raise UserError(f"{path} has nothing of the split {split}. It has: {', '.join(splits) or 'no split'}")
    if missing := [name for name in needed if name not in splits[split]]:
        raise UserError(f"{path} is of an older version, or damaged: splits.{split} lacks {', '.join(missing)}")
    return dict(splits[split])


def read_run_predictions(path: Path, *, deciding: bool = False) -> list[Prediction]:
    """Read a prediction table; of one that lies in a run folder, whether it is of the model that is there.

    Raises:
        UserError: As `read_predictions`; or if its run is not complete, its `metrics.json` is of other weights, or
            the table was changed since that was written.
    """
    validate_complete(path.parent, deciding=deciding)
    rows, run = read_predictions(path), Run(path.parent)
    if path == run.predictions:
        metrics = _plain(run.metrics)
        validate_rows(rows, path, run.metrics, None if metrics.get("scored_by") else metrics.get("weights_sha256"))
        _validate_table(path, metrics.get("predictions_sha256"), deciding=deciding)
    return rows


def validate_rows(rows: Iterable[Prediction], table: Path, place: Path, stated: str | None) -> None:
    """Refuse rows that other weights scored than a `metrics.json` is of; what one of both does not say is no mistake.

    Args:
        rows: Of the prediction table.
        table: Where they were read.
        place: Of the `metrics.json`.
        stated: The hash of weights that it says scored the images; None where several did, or it says none.

    Raises:
        UserError: Naming both files.
    """
    named = {row.weights_sha256 for row in rows if row.weights_sha256}
    if named and stated and named != {stated}:
        raise UserError(
            f"{table} is of the weights {_shown(*sorted(named - {stated}))}, and {place} of {_shown(stated)}. {MIXED}"
        )


def validate_weights(folder: Path, weights_sha256: str) -> None:
    """Refuse a run whose `metrics.json` is of other weights than its best checkpoint; without one it says nothing.

    Args:
        folder: Of a run.
        weights_sha256: Of the weights in the best checkpoint.

    Raises:
        UserError: Naming both files.
    """
    run = Run(folder)
    stated = _plain(run.metrics).get("weights_sha256")
    if stated and stated != weights_sha256:
        raise UserError(
            f"{run.best} has the weights {_shown(weights_sha256)}, and {run.metrics} is of {_shown(stated)}. {MIXED}"
        )


def file_hash(path: Path) -> str:
    """Return SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _validate_checkpoint(path: Path, stated: Any, *, deciding: bool) -> None:
    checkpoint = Run(path.parent).best
    cut_short = deciding and (path.parent / DECIDING).exists()
    if stated and not cut_short and checkpoint.is_file() and file_hash(checkpoint) != stated:
        raise UserError(f"{checkpoint} is not the file that {path} is of: it was changed or replaced. {MIXED}")


def _validate_table(path: Path, stated: Any, *, deciding: bool) -> None:
    cut_short = deciding and (path.parent / DECIDING).exists()
    if stated and not cut_short and file_hash(path) != stated:
        raise UserError(
            f"{path} is not the table that {Run(path.parent).metrics} is of: it was changed since. Bring back "
            "the one that belongs there, or copy it elsewhere and name it as a table of its own: table=COPY"
        )


def _plain(metrics: Path) -> Mapping[str, Any]:
    """Return a `metrics.json` as it is; empty where there is none of fancnn's."""
    try:
        content = read_json(metrics, "a metrics.json")
    except UserError:
        return {}
    return content if content.get("format") == FORMAT else {}


def _shown(*hashes: str) -> str:
    return " and ".join(f"{str(one)[:12]}..." for one in hashes)


def _forecast(
    rows: list[Prediction], counts: ConfusionCounts, thresholds: Thresholds, line: Line | None, costs: Costs | None
) -> dict[str, Any] | None:
    if line is None or not counts.ng or not counts.go or (costs and costs.look is None and thresholds.has_recheck):
        return None
    worth = effective_parts(*columns(rows), thresholds, natural_groups([row.group for row in rows]))
    estimates = forecast(counts, line, costs, recheck=thresholds.has_recheck, worth=worth)
    return {
        name: None if estimate is None else [estimate.value, estimate.interval.low, estimate.interval.high]
        for name, estimate in estimates.items()
    }
