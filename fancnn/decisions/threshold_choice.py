"""Where to put the thresholds: by F1, by what mistakes cost on the line, or by the mistakes that may happen.

A rule reads labels and probabilities of images that were not trained on, and gives `Thresholds` with the reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.decisions.escape_claims import Unit, ng_evidence
from fancnn.decisions.line_costs import Costs
from fancnn.errors import UserError
from fancnn.metrics.intervals import upper_bound
from fancnn.metrics.rounding import percent, percent_at_most, percent_exactly
from fancnn.metrics.thresholds import Thresholds
from fancnn.plurals import plural

ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996, which is meant to be 29
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


def threshold_for_overkill_rate(
    go_probabilities: ArrayLike,
    overkill_rate: float,
    confidence: float = 0.95,
    *,
    unit: Unit = "part",
    independent: bool = True,
    key: str = "",
) -> ThresholdChoice:
    """Return the lowest threshold at which at most `overkill_rate` of good parts are rejected; it takes no NG part.

    That is the r-th largest of the n scores, for the largest r with `r / (n + 1) <= overkill_rate`. Where scores are
    continuous the share of all good parts above it is Beta(r, n - r + 1), whatever their distribution (order
    statistics: Wilks 1941; David and Nagaraja 2003, section 2.5): so its mean is at most `overkill_rate`, and its
    quantile at `confidence`, which is Clopper and Pearson's bound for r - 1 of n, is stated. To reject as large a share
    of these n would promise less: it would be exceeded on new parts more often than not. Equal scores pass together,
    which is safe.

    The threshold lies a little above that score (1e-4 in the middle, less near 0 and 1, as a difference of logits comes
    to), so that a runtime that computes a little differently decides the same.

    Args:
        go_probabilities: P(NG) of good parts `(n,)` drawn as the line's are, none of them used for training; of
            groups of parts the highest of each.
        overkill_rate: Share of good parts, in (0, 1).
        confidence: Of the bound, in (0, 1).
        unit: What the scores are of.
        independent: Whether these are independent draws; parts of some groups are not, and no bound is stated.
        key: What the keys of the configuration begin with, for texts.

    Raises:
        UserError: If there are too few parts or groups for that rate, saying how many are needed.

    Example:
        >>> threshold_for_overkill_rate([0.1, 0.2, 0.3, 0.4], 0.4).reason
        'overkill rate of parts <= 40 % expected (1 of 4 GO parts rejected); <= 75.2 % at 95 % confidence'
    """
    scores = np.sort(np.asarray(go_probabilities, dtype=np.float64))[::-1]
    count = len(scores)
    if (place := _place_of_overkills(count, overkill_rate)) < 1:
        raise UserError(few_for_overkill_rate(count, overkill_rate, unit, key))
    score = float(scores[place - 1])
    upper = score + 4 * MARGIN * score * (1 - score)
    rejected, bound = int(np.sum(scores > upper)), upper_bound(place - 1, count, confidence)
    of = "GO parts rejected" if unit == "part" else "groups have a GO part that is rejected"
    stated = f"<= {percent_at_most(bound)} at {percent_exactly(confidence)} confidence"
    reason = (
        f"overkill rate of {unit}s <= {percent(overkill_rate)} expected ({rejected:,} of {count:,} {of}); "
        f"{stated if independent else 'parts of one group are alike, so that no bound is stated'}"
    )
    return ThresholdChoice(Thresholds.single(upper), reason)


def few_for_overkill_rate(count: int, overkill_rate: float, unit: Unit = "part", key: str = "") -> str:
    """Return why so many good parts or groups cannot carry an overkill rate; empty where they can.

    Example:
        >>> few_for_overkill_rate(98, 0.01)[:72], few_for_overkill_rate(99, 0.01)
        ('98 GO parts cannot carry an overkill rate of parts <= 1 %: 99 are needed', '')
    """
    if _place_of_overkills(count, overkill_rate) >= 1:
        return ""
    of = plural(count, "GO part") if unit == "part" else f"{plural(count, 'group')} with GO parts"
    needed = math.ceil(1 / overkill_rate - ROUNDING) - 1
    way_out = f"{key}overkill_rate={math.ceil(1000 / (count + 1)) / 1000:g}" if count else f"{key}rule=fixed"
    by_part = f", or count parts, without a bound: {key}unit=part" if unit == "group" else ""
    return (
        f"{of} cannot carry an overkill rate of {unit}s <= {percent(overkill_rate)}: {needed:,} are needed. Collect "
        f"more, or ask for more: {way_out}{by_part}"
    )


def _place_of_overkills(count: int, overkill_rate: float) -> int:
    """Return which of so many scores, from the largest on, the threshold is to be at; 0 where it is beyond all."""
    return math.floor(overkill_rate * (count + 1) + ROUNDING)


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
