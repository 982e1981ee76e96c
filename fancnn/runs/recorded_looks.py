"""Looks at test images: written to the ledger, and printed in one line."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from fancnn.data.seen_images import Hashes, content_hashes
from fancnn.errors import UserError
from fancnn.files.run import Run
from fancnn.metrics.predictions import Prediction, with_truth
from fancnn.runs.looks import NOT_KNOWN, Ledger, Looks, Question, scores_hash
from fancnn.runs.metrics_file import read_metrics
from fancnn.settings.choices import DecisionRule
from fancnn.settings.groups import DecisionSettings
from fancnn.system.console import say


def record_look(
    command: str, predictions: Iterable[Prediction], weights: str | None = None, claim: str | None = None
) -> Looks | None:
    """Write a look at the test images among `predictions` to the ledger.

    Images of the splits train and val are passed over: scoring these is no look.

    Args:
        command: That looks.
        predictions: With truth and probability, or they do not count.
        weights: SHA-256 of the model's, where known.
        claim: What is asked of the model; None where it is scored.

    Returns:
        None where there are no such images, or their looks cannot be known, which is printed then.
    """
    rows = _test_images(predictions)
    if not rows:
        return None
    question, images = question_on(command, rows, weights, claim)
    if note := unnamed_note(rows):
        say(f"note: {note}")
    if not images.size:
        return None
    try:
        return Ledger().record(question, images)
    except (OSError, UserError) as error:
        say(f"warning: {NOT_KNOWN}, and this look is not written down: {error}")
        return None


def known_looks(command: str, predictions: Iterable[Prediction], weights: str | None = None) -> Looks | None:
    """Return what the ledger knows of a model's look at these test images, adding none; None where it knows nothing."""
    rows = _test_images(predictions)
    question, images = question_on(command, rows, weights, None)
    try:
        looks = Ledger().known(question, images)
    except (OSError, UserError) as error:
        say(f"warning: {NOT_KNOWN}: {error}")
        return None
    return looks if images.size and looks.again else None


def weights_of(place: Path) -> str | None:
    """Return the hash of the weights that a run's `metrics.json` names; `place` is a run folder or a table."""
    run = Run(place if place.is_dir() else place.parent)
    if not run.metrics.is_file() or not (place.is_dir() or place == run.predictions):
        return None
    return read_metrics(run.metrics).weights_sha256 or None


def choice(decision: DecisionSettings) -> str:
    """Return the claim of choosing thresholds on test images."""
    of_others = set() if decision.rule == DecisionRule.overkill else {"overkill_rate"}  # which ledgers of before lack
    return ", ".join(f"{name}={value}" for name, value in asdict(decision).items() if name not in of_others)


def _test_images(predictions: Iterable[Prediction]) -> list[Prediction]:
    return [row for row in with_truth(predictions) if row.split not in ("train", "val")]


def unnamed_note(rows: Sequence[Prediction]) -> str:
    """Return what there is to say of images that are not known by their content; empty where all are."""
    unnamed = sum(not row.content for row in rows)
    which = "" if unnamed == len(rows) else f"{unnamed:,} of "
    return f"{NOT_KNOWN}: the table has no sha256 of {which}them" if unnamed else ""


def question_on(
    command: str, rows: Sequence[Prediction], weights: str | None, claim: str | None
) -> tuple[Question, Hashes]:
    """Return the question, and the images it is asked of, as far as these are known by their content."""
    scores = scores_hash((row.content or row.path, row.probability or 0.0) for row in rows)
    return Question(command, weights or scores, scores, claim), content_hashes(row.content for row in rows)
