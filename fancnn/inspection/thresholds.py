"""Where to put the thresholds: by F1, by what mistakes cost on the line, or by the escapes that may happen.

A rule reads labels and probabilities of pictures that were not trained on, and gives `Thresholds` with the reason.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import parts_needed, upper_bound
from fancnn.inspection.line import Costs

HAIR = 1e-6  # relative distance below a score: a probability differs by 1e-8 with what it is computed beside


@dataclass(frozen=True)
class Chosen:
    """Thresholds, and a sentence on what they were chosen for."""

    thresholds: Thresholds
    reason: str


def candidates(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Every threshold that makes a difference, rising: halfway between neighbours, and one beyond each end.

    Example:
        >>> candidates([0.2, 0.6, 0.6]).tolist()
        [0.1, 0.4, 0.8]
    """
    levels = np.unique(np.concatenate([[0.0], np.asarray(probabilities, dtype=np.float64), [1.0]]))
    return levels[:-1] + np.diff(levels) / 2


def best_f1(labels: ArrayLike, probabilities: ArrayLike) -> Chosen:
    """The threshold with the greatest F1; of equal ones that with most found.

    Raises:
        UserError: If there is no NG picture.
    """
    truth, chances = np.asarray(labels).astype(bool), np.asarray(probabilities, dtype=np.float64)
    if not truth.any():
        raise UserError("decision.rule=f1 needs NG pictures, and there are none")
    places = candidates(chances)
    found = _above(chances[truth], places)
    called = _above(chances, places)
    scores = 2 * found / (called + truth.sum())
    best = int(np.argmax(scores))  # the first of equal ones: the lowest threshold
    return Chosen(Thresholds.single(float(places[best])), f"the greatest F1, {scores[best]:.3f}")


def least_cost(
    labels: ArrayLike, probabilities: ArrayLike, costs: Costs, ng_rate: float, most_rechecked: float = 1.0
) -> Chosen:
    """The thresholds with the least expected cost of a part on the line; ties take the fewest looks.

    A part costs `costs.escape` if it is NG and passed, `costs.overkill` if it is GO and rejected, and `costs.look` if a
    person looks at it, who is taken to decide rightly. Without `costs.look` there is one threshold. The pictures' own
    share of NG plays no part: rates within each class are weighted by `ng_rate`.

    Args:
        labels: 0 GO, 1 NG; both should be there.
        probabilities: P(NG).
        costs: Of a part of each kind.
        ng_rate: Share of the line's parts that are NG, in (0, 1).
        most_rechecked: Largest share of the line's parts that may be sent to a person.

    Raises:
        UserError: If there are no GO or no NG pictures.
    """
    truth, chances = np.asarray(labels).astype(bool), np.asarray(probabilities, dtype=np.float64)
    if truth.all() or not truth.any():
        raise UserError("decision.rule=cost needs GO and NG pictures; here are only " + ("NG" if truth.any() else "GO"))
    places = candidates(chances)
    ng_passed = ng_rate * (1 - _above(chances[truth], places) / truth.sum())  # shares of all parts of the line
    go_rejected = (1 - ng_rate) * _above(chances[~truth], places) / (~truth).sum()
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
    return Chosen(thresholds, f"the least cost on a line with {ng_rate:.3g} NG: {max(least, 0.0):.4g} a part")


def expected_cost(
    labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds, costs: Costs, ng_rate: float
) -> float:
    """What a part of the line costs on average at these thresholds; as in `least_cost`."""
    truth = np.asarray(labels).astype(bool)
    ranks = thresholds.ranks(probabilities)
    ng, go = ranks[truth], ranks[~truth]
    looked = ng_rate * np.mean(ng == 1) + (1 - ng_rate) * np.mean(go == 1)
    mistakes = costs.escape * ng_rate * np.mean(ng == 0) + costs.overkill * (1 - ng_rate) * np.mean(go == 2)
    return float(mistakes + (costs.look or 0.0) * looked)


def few_escapes(ng_probabilities: ArrayLike, escape_rate: float, confidence: float = 0.95) -> Chosen:
    """The largest threshold of which it can be said that at most `escape_rate` of all NG parts pass.

    The thresholds are tested from the safest on, each claim by its exact binomial probability, until one fails: the
    fixed-sequence test of Angelopoulos et al. 2021 (Learn then Test, section 3), here with the claim that grows
    with the threshold, so that the result is an order statistic. Whatever the scores' distribution, ties included,
    the chance that the true escape rate is above `escape_rate` is at most `1 - confidence`.

    Args:
        ng_probabilities: P(NG) of NG pictures drawn as the line's NG parts are, none of them used for training.
        escape_rate: Promised share, in (0, 1).
        confidence: In (0, 1).

    Raises:
        UserError: If there are too few pictures for the claim, saying how many are needed.
    """
    scores = np.sort(np.asarray(ng_probabilities, dtype=np.float64))
    place = allowed_escapes(len(scores), escape_rate, confidence)
    if place < 0:
        raise UserError(
            f"{len(scores)} NG parts cannot prove an escape rate of {percent(escape_rate)} at {percent(confidence)} "
            f"confidence: {parts_needed(escape_rate, confidence):,} are needed. "
            f"{percent(upper_bound(0, len(scores), confidence))} is the least they could prove"
        )
    threshold = scores[place] * (1 - HAIR)
    escapes = int(np.sum(scores <= threshold))
    if escapes > place:  # only where NG parts have a probability of 0: no threshold rejects them
        raise UserError(
            f"{escapes} of {len(scores)} NG parts have probability 0 and pass at any threshold: an escape rate of "
            f"{percent(escape_rate)} at {percent(confidence)} confidence allows {place}"
        )
    bound = upper_bound(place, len(scores), confidence)
    seen = f"{escapes} of {len(scores)} NG parts pass"
    reason = f"escape rate at most {percent(bound)} at {percent(confidence)} confidence ({seen})"
    return Chosen(Thresholds.single(float(threshold)), reason)


def percent(share: float) -> str:
    """A share as people say it.

    Example:
        >>> percent(0.95), percent(0.009976), percent(0.00001)
        ('95 %', '0.998 %', '0.001 %')
    """
    return f"{100 * share:.3g} %"


def allowed_escapes(count: int, escape_rate: float, confidence: float) -> int:
    """How many of `count` NG pictures may pass so that the claim still holds; -1 if not even none may."""
    passing = np.arange(count)
    return int(np.sum(bdtr(passing, count, escape_rate) <= 1 - confidence)) - 1


def _above(scores: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many scores are above each place."""
    return scores.size - np.searchsorted(np.sort(scores), places, side="right")


def _least_pair(
    below: NDArray[np.float64], above: NDArray[np.float64], passed: NDArray[np.float64], most: float
) -> tuple[int, int]:
    """The pair i <= j with the least `below[i] + above[j]` and `passed[j] - passed[i] <= most`, closest ones first.

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
