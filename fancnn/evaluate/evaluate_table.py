"""Score a prediction table of any model, without torch, and write what it is worth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fancnn.errors import UserError
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.files.run import Run
from fancnn.metrics.predictions import Prediction, decided, validate_each_once, with_truth, write_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.known_line import line_of
from fancnn.runs.metrics_file import RunMetrics, read_run_predictions, split_metrics, write_metrics
from fancnn.runs.recorded_looks import record_look
from fancnn.runs.scoring import print_scores
from fancnn.settings.groups import ALL, SPLIT_NAMES, LineSettings
from fancnn.settings.validation import validate_thresholds
from fancnn.system.console import say
from fancnn.system.installation import versions

GIVEN = "fixed: given on the command line"


@dataclass(frozen=True)
class Evaluated:
    """Counts and scores by split, as `metrics.json` has them, and how many files have no decision.

    These could not be read, or the network's output for them was not finite.
    """

    splits: dict[str, dict[str, Any]]
    unread: int


def evaluate_table(settings: EvaluateSettings) -> Evaluated:
    """Score a prediction table of any model.

    Raises:
        UserError: If it is no such table, an image stands in it twice, or nothing in it can be scored.
    """
    settings.validate_paths()
    read = read_run_predictions(Path(str(settings.table)).expanduser())
    rows = [row for row in read if settings.split in (None, row.split)]
    validate_each_once(rows)
    if not with_truth(rows):
        split = f" of the split {settings.split}" if settings.split else ""
        raise UserError(f"{settings.table} has no row{split} with a label and a probability: nothing can be scored")
    thresholds = asked_thresholds(settings, Thresholds.single(0.5))
    rows = [decided(row, thresholds) for row in rows]
    metrics = RunMetrics(**given_thresholds() if said_thresholds(settings) else {})
    return state(settings, str(settings.table), rows, thresholds, settings.line, metrics)


def said_thresholds(settings: EvaluateSettings) -> bool:
    return settings.threshold is not None or settings.recheck is not None


def given_thresholds() -> dict[str, Any]:
    """Return what `metrics.json` says of thresholds that this command line gave: nothing that was proven of others."""
    return {"decision": GIVEN, "decision_split": None, "decision_rule": None}


def asked_thresholds(settings: EvaluateSettings, own: Thresholds) -> Thresholds:
    """Return those of this command line, and where it says none its model's own."""
    if not said_thresholds(settings):
        return own
    upper = own.upper if settings.threshold is None else settings.threshold
    validate_thresholds(upper, settings.recheck)
    return Thresholds.of(upper, settings.recheck)


def state(
    settings: EvaluateSettings,
    title: str,
    rows: Sequence[Prediction],
    thresholds: Thresholds,
    line: LineSettings,
    metrics: RunMetrics,
) -> Evaluated:
    """Score the rows, print the scores and write them; `metrics` has what is known of the model."""
    output, unread = Path(settings.output_dir), sum(bool(row.error) for row in rows)
    write_predictions(rows, Run(output).predictions)
    splits = {
        split: split_metrics(
            [row for row in rows if (row.split or ALL) == split],
            thresholds,
            *line_of(line),
            searched=split == metrics.decision_split,
        )
        for split in _splits(rows)
    }
    looks = record_look("evaluate", rows, metrics.weights_sha256 or None)
    metrics = replace(
        metrics,
        thresholds=[thresholds.lower, thresholds.upper],
        unread=unread,
        line=asdict(line),
        looks=None if looks is None else looks.to_dict(),
        versions=versions(),
        splits=splits,
    )
    write_metrics(Run(output).metrics, metrics)
    print_scores(f"{title}: {thresholds.in_words()}", splits)
    if looks is not None:
        say(f"{'test' if 'test' in splits else ALL}: {looks.in_words()}")
    if metrics.decision_split in splits:
        say(f"warning: {metrics.decision_split} has chosen the thresholds: what is stated on it is too good")
    say(f"\npredictions.csv and metrics.json: {output}")
    return Evaluated(splits, unread)


def _splits(rows: Sequence[Prediction]) -> list[str]:
    return [split for split in (*SPLIT_NAMES, ALL) if any((row.split or ALL) == split for row in rows)]
