"""Where to put the thresholds: by F1, by what mistakes cost on the line, or by the escapes that may happen.

A rule reads labels and probabilities of images that were not trained on, and gives `Thresholds` with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.decisions.escape_claims import Unit, ng_evidence
from fancnn.decisions.line_costs import Costs
from fancnn.errors import UserError
from fancnn.metrics.thresholds import Thresholds

MARGIN = 1e-4  # at least so far below a score that must not pass: runtimes differ by up to 2e-5 in a probability


@dataclass(frozen=True)
class ThresholdChoice:
    """Thresholds, and a sentence on what they were chosen for."""

    thresholds: Thresholds
    reason: str


def candidates(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return every threshold that makes a difference, rising: halfway between neighbours, and one beyond each end.

    A probability of 1 passes at the threshold 1 alone, and one of 0 at any.

    Example:
        >>> candidates([0.2, 0.6, 0.6]).tolist(), candidates([0.0, 1.0]).tolist()
        ([0.1, 0.4, 0.8], [0.5, 1.0])
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    levels = np.unique(np.concatenate([[0.0], scores, [1.0]]))
    halfway = levels[:-1] + np.diff(levels) / 2
    between = np.where(halfway < levels[1:], halfway, levels[:-1])  # two neighbours may have no number between them
    return np.append(between, 1.0) if (scores == 1).any() else between


def max_f1_threshold(labels: ArrayLike, probabilities: ArrayLike) -> ThresholdChoice:
    """Return the threshold with the greatest F1; of equal ones that with most found.

    Raises:
        UserError: If there is no NG image.
    """
    truth, scores = np.asarray(labels).astype(bool), np.asarray(probabilities, dtype=np.float64)
    if not truth.any():
        raise UserError("decision.rule=f1 needs NG images, and there are none")
    places = candidates(scores)
    detected = _above(scores[truth], places)
    rejected = _above(scores, places)
    f1 = 2 * detected / (rejected + truth.sum())
    best = int(np.argmax(f1))  # the first of equal ones: the lowest threshold
    return ThresholdChoice(Thresholds.single(float(places[best])), f"the greatest F1, {f1[best]:.3f}")


def min_cost_threshold(
    labels: ArrayLike, probabilities: ArrayLike, costs: Costs, ng_rate: float, most_rechecked: float = 1.0
) -> ThresholdChoice:
    """Return the thresholds with the least expected cost of a part on the line; ties take the fewest looks.

    A part costs `costs.escape` if it is NG and passed, `costs.overkill` if it is GO and rejected, and `costs.look` if a
    person looks at it, who is taken to decide rightly. Without `costs.look` there is one threshold. The images' own
    share of NG plays no part: rates within each class are weighted by `ng_rate`.

    Args:
        labels: 0 GO, 1 NG; both should be there.
        probabilities: P(NG).
        costs: Of a part of each kind.
        ng_rate: Share of the line's parts that are NG, in (0, 1).
        most_rechecked: Largest share of the line's parts that may be sent to a person.

    Raises:
        UserError: If there are no GO or no NG images.
    """
    truth, scores = np.asarray(labels).astype(bool), np.asarray(probabilities, dtype=np.float64)
    if truth.all() or not truth.any():
        raise UserError("decision.rule=cost needs GO and NG images; here are only " + ("NG" if truth.any() else "GO"))
    places = candidates(scores)
    ng_passed = ng_rate * (1 - _above(scores[truth], places) / truth.sum())  # shares of all parts of the line
    go_rejected = (1 - ng_rate) * _above(scores[~truth], places) / (~truth).sum()
    if costs.look is None:
        total = costs.escape * ng_passed + costs.overkill * go_rejected
        lower = upper = int(np.argmin(total))
        least = float(total[lower])
    else:
        passed = ng_passed + (1 - ng_rate) - go_rejected
        below, above = (
            costs.escape * ng_passed - costs.look * passed,
            costs.overkill * go_rejected + costs.look * passed,
        )
        lower, upper = _least_pair(below, above, passed, most_rechecked)
        least = float(below[lower] + above[upper])
    thresholds = Thresholds(float(places[lower]), float(places[upper]))
    return ThresholdChoice(thresholds, f"the least cost on a line with {ng_rate:.3g} NG: {max(least, 0.0):.4g} a part")


def threshold_for_escape_rate(
    ng_probabilities: ArrayLike,
    escape_rate: float,
    confidence: float = 0.95,
    *,
    groups: Sequence[str] | None = None,
    unit: Unit | None = None,
    largest_group: int | None = None,
    go_probabilities: ArrayLike = (),
    key: str = "",
) -> ThresholdChoice:
    """Return the largest threshold for which it can be claimed that at most `escape_rate` of all NG parts pass.

    With `unit` group: that at most `escape_rate` of all groups with NG parts have one that passes, and no larger share
    of these parts does. How the claim is proven says `fancnn.decisions.escape_claims.NgEvidence.search`. The
    threshold lies halfway between the lowest score that must not pass and the next lower score known, so that a
    runtime that computes a little differently decides the same; to lower a threshold is always safe for escapes.

    Args:
        ng_probabilities: P(NG) of NG images `(n,)` drawn as the line's NG parts are, none of them used for training.
        escape_rate: Promised share, in (0, 1).
        confidence: In (0, 1).
        groups: Lot, panel or patient of each `(n,)`; empty for none.
        unit: What the promise counts; None as `fancnn.decisions.escape_claims.claim_unit` has it.
        largest_group: The most NG parts that one group of the line can hold, for a promise on parts in groups.
        go_probabilities: P(NG) of GO images, for what is halfway.
        key: What the keys of the configuration begin with, for texts.

    Raises:
        UserError: If there are too few parts or groups for the claim, saying how many are needed; or as `claim_unit`.
    """
    evidence = ng_evidence(ng_probabilities, groups, unit, largest_group, key)
    claim = evidence.search(escape_rate, confidence)
    lower = halfway_below(claim.stopped, np.concatenate([evidence.probabilities, np.asarray(go_probabilities, float)]))
    reason = f"{evidence.claim(claim.bound, confidence)} ({evidence.seen(lower)})"
    return ThresholdChoice(Thresholds.single(lower), reason)


def halfway_below(score: float, known: ArrayLike) -> float:
    """Return a threshold halfway between a score that must not pass and the next lower one of the known scores.

    It is at least 1e-4 below `score`: where the next lower score is closer, the one after it is taken, and so on down
    to 0; only a score below 1e-4 is nearer to its threshold, which is then 0.

    Example:
        >>> [round(halfway_below(s, [0.2, 0.39995, 0.4, 0.9]), 5) for s in (0.9, 0.4, 0.2, 0.00015, 0.00005)]
        [0.65, 0.3, 0.1, 5e-05, 0.0]
    """
    scores = np.asarray(known, dtype=np.float64)
    lower = np.append(scores[scores < score], 0.0)
    halfway = lower + (score - lower) / 2
    far = halfway[score - halfway >= MARGIN]
    return float(far.max()) if far.size else max(0.0, score - MARGIN)


def _above(scores: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many scores are above each place."""
    return scores.size - np.searchsorted(np.sort(scores), places, side="right")


def _least_pair(
    below: NDArray[np.float64], above: NDArray[np.float64], passed: NDArray[np.float64], most: float
) -> tuple[int, int]:
    """Return i <= j with the least `below[i] + above[j]` and `passed[j] - passed[i] <= most`; of equals, the closest.

    `passed` rises, so the allowed i of each j are a window that only moves on; its least is kept as in the
    sliding-window minimum.
    """
    window: list[int] = []  # rising indices with rising `below`
    first, best = 0, (np.inf, 0.0)
    pair = (0, 0)
    for upper in range(len(above)):
        while len(window) > first and below[window[-1]] >= below[upper]:
            window.pop()
        window.append(upper)
        while passed[upper] - passed[window[first]] > most + 1e-12:
            first += 1
        lower = window[first]
        cost = (float(below[lower] + above[upper]), float(passed[upper] - passed[lower]))
        if cost < best:
            best, pair = cost, (lower, upper)
    return pair
