"""Every score, defined once: whoever computes, prints, compares, averages or monitors scores reads `SCORES`.

A new score is an entry here and nothing else: it is then in `metrics.json`, on the console, in reports and comparisons,
and among the means of a cross-validation; with `each_epoch`, training logs it and may choose its best epoch by it.

Commands read the names before anything heavy is loaded, so that numpy alone is imported on the way here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from numpy.typing import ArrayLike

from fancnn.metrics import scores, uncertainty
from fancnn.metrics.intervals import Interval
from fancnn.metrics.reliability import expected_calibration_error
from fancnn.metrics.scored_images import Cell, ScoredImages
from fancnn.metrics.thresholds import Thresholds

CAUGHT: tuple[Cell, ...] = ("ng_found", "ng_rechecked")
KEPT: tuple[Cell, ...] = ("go_passed", "go_rechecked")
NG: tuple[Cell, ...] = (*CAUGHT, "escapes")
GO: tuple[Cell, ...] = (*KEPT, "overkills")
RECHECKED: tuple[Cell, ...] = ("ng_rechecked", "go_rechecked")
DECIDED: tuple[Cell, ...] = ("ng_found", "escapes", "go_passed", "overkills")


@dataclass(frozen=True)
class Measure:
    """How a score is computed.

    Attributes:
        value: Of scored images; None where it is undefined.
        interval: Where it may lie, at a confidence; None where that is not known. A score may have none at
            all.
    """

    value: Callable[[ScoredImages], float | None]
    interval: Callable[[ScoredImages, float], Interval | None] | None = None


@dataclass(frozen=True)
class Score:
    """What is to be known of a score.

    Attributes:
        title: What console and pages call it.
        meaning: What it says, for a person who reads the title.
        measure: How it is computed.
        lowest: Of its range.
        highest: Likewise.
        higher_is_better: Else lower is.
        each_epoch: Whether training logs it after each epoch.
        undefined_while: When it is undefined though both classes are there, in words: then no epoch is chosen by it.
        machine_alone: Whether it says what the machine does without a person, and is shown only where parts may go to
            one.
        if_person_is_right: Whether it takes the person who looks at a RECHECK never to miss.
        on_console: Whether the console of training and evaluation shows it; pages and files have all.
        on_comparison_console: Likewise, of a comparison.
    """

    title: str
    meaning: str
    measure: Measure
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True
    each_epoch: bool = False
    undefined_while: str = ""
    machine_alone: bool = False
    if_person_is_right: bool = False
    on_console: bool = True
    on_comparison_console: bool = True

    @property
    def monitorable(self) -> bool:
        """Return whether each epoch has it, so that the best one can be chosen by it."""
        return self.each_epoch and not self.undefined_while

    def title_where(self, *, recheck: bool) -> str:
        """Return the title, with the condition that it has where parts may go to a person."""
        return f"{self.title}, if the person is right" if recheck and self.if_person_is_right else self.title


def share(of: tuple[Cell, ...], among: tuple[Cell, ...]) -> Measure:
    """Measure how many of some parts are of a kind."""
    return Measure(
        lambda images: scores.ratio(images.count(of), images.count(among)),
        lambda images, confidence: uncertainty.share_interval(images, of, among, confidence),
    )


def f1(caught: tuple[Cell, ...], caught_or_mistaken: tuple[Cell, ...]) -> Measure:
    """Measure the harmonic mean of precision and recall, from what is found among that and all mistakes."""
    return Measure(
        lambda images: scores.ratio(2 * images.count(caught), images.count(caught) + images.count(caught_or_mistaken)),
        lambda images, confidence: uncertainty.f1_interval(images, caught, caught_or_mistaken, confidence),
    )


SCORES: dict[str, Score] = {
    "decided_rate": Score(
        "decided by the machine alone",
        "share of parts that no person looks at",
        share(DECIDED, (*NG, *GO)),
        machine_alone=True,
    ),
    "alone_accuracy": Score(
        "accuracy of the machine alone",
        "of the parts that the machine decides alone, those decided rightly",
        share(("ng_found", "go_passed"), DECIDED),
        machine_alone=True,
    ),
    "alone_precision": Score(
        "precision of the machine alone",
        "of the parts that it rejects alone, those that are NG",
        share(("ng_found",), ("ng_found", "overkills")),
        machine_alone=True,
        on_comparison_console=False,
    ),
    "alone_recall": Score(
        "recall of the machine alone",
        "of the NG parts that it decides alone, those that it rejects",
        share(("ng_found",), ("ng_found", "escapes")),
        machine_alone=True,
        on_comparison_console=False,
    ),
    "alone_specificity": Score(
        "specificity of the machine alone",
        "of the GO parts that it decides alone, those that it passes",
        share(("go_passed",), ("go_passed", "overkills")),
        machine_alone=True,
        on_comparison_console=False,
    ),
    "alone_f1": Score(
        "F1 of the machine alone",
        "harmonic mean of precision and recall of the machine alone",
        f1(("ng_found",), ("ng_found", "escapes", "overkills")),
        machine_alone=True,
        on_comparison_console=False,
    ),
    "recheck_rate": Score(
        "recheck rate",
        "share of parts that a person looks at",
        share(RECHECKED, (*NG, *GO)),
        higher_is_better=False,
        machine_alone=True,
    ),
    "recheck_rate_ng": Score(
        "recheck rate of NG",
        "of the NG parts, those that a person looks at",
        share(("ng_rechecked",), NG),
        higher_is_better=False,
        machine_alone=True,
        on_comparison_console=False,
    ),
    "recheck_rate_go": Score(
        "recheck rate of GO",
        "of the GO parts, those that a person looks at",
        share(("go_rechecked",), GO),
        higher_is_better=False,
        machine_alone=True,
        on_comparison_console=False,
    ),
    "escape_rate": Score(
        "escape rate",
        "share of NG parts that pass",
        share(("escapes",), NG),
        higher_is_better=False,
        on_console=False,
    ),
    "overkill_rate": Score(
        "overkill rate",
        "share of GO parts that are rejected",
        share(("overkills",), GO),
        higher_is_better=False,
        on_console=False,
    ),
    "accuracy": Score(
        "accuracy",
        "share of parts decided rightly",
        share((*CAUGHT, *KEPT), (*NG, *GO)),
        each_epoch=True,
        if_person_is_right=True,
    ),
    "balanced_accuracy": Score(
        "balanced accuracy",
        "mean of recall and specificity: the mix of GO and NG plays no part",
        Measure(lambda images: scores.balanced_accuracy(images.counts), uncertainty.balanced_accuracy_interval),
        if_person_is_right=True,
        on_console=False,
        on_comparison_console=False,
    ),
    "precision": Score(
        "precision",
        "share of rejected parts that are NG",
        share(CAUGHT, (*CAUGHT, "overkills")),
        each_epoch=True,
        undefined_while="nothing is called NG",  # as in many a first epoch
        if_person_is_right=True,
        on_comparison_console=False,
    ),
    "recall": Score(
        "recall",
        "share of NG parts that are not passed",
        share(CAUGHT, NG),
        each_epoch=True,
        if_person_is_right=True,
        on_comparison_console=False,
    ),
    "specificity": Score(
        "specificity",
        "share of GO parts that are not rejected",
        share(KEPT, GO),
        each_epoch=True,
        if_person_is_right=True,
        on_comparison_console=False,
    ),
    "f1": Score(
        "F1",
        "harmonic mean of precision and recall",
        f1(CAUGHT, (*NG, "overkills")),
        each_epoch=True,
        if_person_is_right=True,
    ),
    "mcc": Score(
        "MCC",
        "correlation of truth and decision: 0 is guessing, 1 perfect",
        Measure(lambda images: scores.matthews(images.counts), uncertainty.matthews_interval),
        lowest=-1.0,
        if_person_is_right=True,
        on_console=False,
        on_comparison_console=False,
    ),
    "auroc": Score(
        "AUROC",
        "probability that an NG part scores above a GO part, at any threshold",
        Measure(lambda images: scores.auroc(images.labels, images.probabilities), uncertainty.auroc_interval),
        each_epoch=True,
    ),
    "average_precision": Score(
        "average precision",
        "mean precision over all recalls",
        Measure(
            lambda images: scores.average_precision(images.labels, images.probabilities),
            uncertainty.average_precision_interval,
        ),
        each_epoch=True,
        on_comparison_console=False,
    ),
    "brier": Score(
        "Brier score",
        "mean squared error of P(NG): 0 is best",
        Measure(lambda images: scores.brier(images.labels, images.probabilities), uncertainty.brier_interval),
        higher_is_better=False,
        on_console=False,
        on_comparison_console=False,
    ),
    "calibration_error": Score(
        "calibration error",
        "mean distance of promised and observed share of NG, for the mix of these images: 0 is best",
        # without an interval: chance counts as error, too
        Measure(lambda images: expected_calibration_error(images.labels, images.probabilities)),
        higher_is_better=False,
        on_console=False,
        on_comparison_console=False,
    ),
    "loss": Score(
        "loss",
        "cross-entropy of P(NG): 0 is best",
        Measure(lambda images: scores.log_loss(images.labels, images.probabilities), uncertainty.loss_interval),
        highest=inf,
        higher_is_better=False,
        each_epoch=True,
        on_comparison_console=False,
    ),
}
"""By name, in the order in which pages and tables show them."""


@dataclass(frozen=True)
class ScoreIntervals:
    """Intervals by score, and what they count.

    Attributes:
        by_score: Of each score that has some; None where it is undefined, or has no interval.
        unit: What is taken for independent.
        note: What a reader must know of them, in sentences; None for nothing.
    """

    by_score: dict[str, Interval | None]
    unit: Literal["image", "group"]
    note: str | None


def score(labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds) -> dict[str, float | None]:
    """Compute all scores; None where one is undefined: precision when nothing was called NG, and so on.

    Args:
        labels: 0 (GO) or 1 (NG), one for each image.
        probabilities: P(NG), in [0, 1].
        thresholds: Of the decisions.

    Example:
        >>> round(score([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2], Thresholds.single(0.5))["loss"], 8)
        0.16425203
    """
    images = ScoredImages.of(labels, probabilities, thresholds)
    return {name: entry.measure.value(images) for name, entry in SCORES.items()}


def score_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    thresholds: Thresholds,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> ScoreIntervals:
    """Compute the intervals of all scores that have one.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        probabilities: `(images,)`, P(NG) in [0, 1].
        thresholds: Of the decisions.
        groups: Lot, panel or patient of each image, empty where not known. They are the unit where every image has
            one and some have one in common.
        confidence: In (0, 1).

    Raises:
        ValueError: If `groups` has another length, or `confidence` is not in (0, 1).

    Example:
        >>> intervals = score_intervals([0, 1] * 50, [0.1, 0.9, 0.6, 0.4] * 25, Thresholds.single(0.5))
        >>> intervals.unit, intervals.note
        ('image', None)
        >>> 0.5 < intervals.by_score["auroc"].low < 0.75 < intervals.by_score["auroc"].high < 1
        True
    """
    images = ScoredImages.of(labels, probabilities, thresholds, groups)
    by_score = {
        name: entry.measure.interval(images, confidence) for name, entry in SCORES.items() if entry.measure.interval
    }
    unit: Literal["image", "group"] = "image" if images.groups is None else "group"
    return ScoreIntervals(by_score, unit, "; ".join(uncertainty.interval_notes(images, groups)) or None)


def monitorable_scores() -> list[str]:
    """Return the names of the scores by which the best epoch can be chosen.

    Example:
        >>> "auroc" in monitorable_scores(), "precision" in monitorable_scores()
        (True, False)
    """
    return [name for name, entry in SCORES.items() if entry.monitorable]
