"""How many NG parts to collect before any is looked at, and how often a model of a certain quality is then certified.

A plan is a pair (n, c): show n NG parts, fixed before, to the model; the claim is proven if at most c of them escape.
For each acceptance number c the plans here take the fewest parts that keep the promise: a model whose escape rate is
above the claimed one is certified in at most 1 - confidence of all samples.

Two worlds to draw from:

- a line, whose NG parts to come are without number: escapes are binomial (Clopper and Pearson 1934), and a plan's
  promise is that of `fancnn.metrics.intervals.upper_bound`, which `certify` computes;
- a lot of N NG parts, all there are: drawn without replacement, escapes are hypergeometric, and the claim is on these N
  alone. The smallest false claim is one escape more than floor(rate N), which makes it the one to guard against.

The probability of being granted, as a function of the true rate, is the plan's operating characteristic (OC). It falls:
for the line it is 1 - I_p(c + 1, n - c), with the regularized incomplete beta function I (Abramowitz and Stegun 1964,
26.5.24), so that rates of a given probability are its inverse.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, betainccinv, betaln
from scipy.stats import hypergeom

from fancnn.decisions.sequential import parts_needed_sequential
from fancnn.metrics.intervals import parts_needed
from fancnn.settings.validation import MOST_PLANNED

CONSUMER_RISKS = (0.10, 0.05)


@dataclass(frozen=True)
class Plan:
    """Show `parts` NG parts; proven if at most `accept` of them escape.

    Attributes:
        accept: Acceptance number c.
        parts: Sample size n, in NG parts (or groups of them).
        lot: NG parts that there are altogether; None for a line.
    """

    accept: int
    parts: int
    lot: int | None = None

    def granted(self, rates: ArrayLike) -> NDArray[np.float64]:
        """Compute the probability that the claim is granted if the true rate is `rates`.

        Args:
            rates: In [0, 1]. Of a lot, the number of escapes in it is the next whole number to `rates * lot`.

        Example:
            >>> Plan(0, 299).granted([0.0, 0.001, 0.01]).round(3).tolist()
            [1.0, 0.741, 0.05]
        """
        values = np.asarray(rates, dtype=np.float64)
        if self.lot is None:
            return np.asarray(bdtr(float(self.accept), self.parts, values))
        return np.asarray(_drawn(self.accept, self.lot, np.rint(values * self.lot), self.parts))

    def granted_to(self, rate: float) -> float:
        """Compute the probability that the claim is granted to a model that lets each part through with `rate`.

        Binomial for a lot, too: how many of its parts escape is then a matter of chance, and any of them may be drawn.

        Example:
            >>> round(Plan(0, 220, lot=500).granted_to(0.001), 2)
            0.8
        """
        return float(bdtr(float(self.accept), self.parts, rate))

    def rate_granted(self, probability: float) -> float:
        """Find the largest true rate at which the claim is still granted with at least `probability`.

        Args:
            probability: In (0, 1). With 1 - producer's risk it is the producer's point of the plan, with the
                consumer's risk the consumer's point.

        Returns:
            In [0, 1]; of a lot, a whole number of its parts, as a share.

        Example:
            >>> round(Plan(1, 473).rate_granted(0.95), 6)
            0.000752
        """
        if self.lot is None:
            return float(betainccinv(self.accept + 1, self.parts - self.accept, probability))
        curve = _drawn(self.accept, self.lot, np.arange(self.lot + 1), self.parts)
        # rounding by the last bit is no step of the curve
        return float(np.flatnonzero(curve >= probability - 1e-12)[-1]) / self.lot


@dataclass(frozen=True)
class SequentialPlan:
    """Show NG parts one after the other, look after each, stop when the claim is proven at any time of looking.

    Attributes:
        rate: True escape rate.
        granted: Probability that it is proven within `parts_at_most`.
        mean: Expected number of parts, those that are not proven within `parts_at_most` counted as so many; the mean of
            all where `granted` is 1.
        median: Parts that suffice in half of all cases; None where `parts_at_most` do not.
        likely: Parts that suffice with the probability that was asked for; None likewise.
        parts_at_most: Where the computation ends.
    """

    rate: float
    granted: float
    mean: float
    median: int | None
    likely: int | None
    parts_at_most: int


@dataclass(frozen=True)
class Planned:
    """What may be done to prove a claim, side by side.

    Attributes:
        rate: Claimed escape rate.
        confidence: Of the claim.
        unit: What is counted: `part` or `group`.
        lot: NG parts that the claim is about; None: all to come.
        good: Escape rate that the model is thought to have.
        producer: Largest probability that such a model is refused.
        plans: One for each acceptance number that was asked for and that the lot has a plan for.
        best: The cheapest that a good model passes; None where there is none of at most `MOST_PLANNED` parts.
        sequential: With a look after each part, for a good model; None for a lot.
        over_all_looks: Confidence that holds over all looks at these images, if `confidence` is that of the first of
            them alone; None where one look is all there will ever be.
    """

    rate: float
    confidence: float
    unit: str
    lot: int | None
    good: float
    producer: float
    plans: tuple[Plan, ...]
    best: Plan | None
    sequential: SequentialPlan | None
    over_all_looks: float | None = None

    @property
    def all_plans(self) -> tuple[Plan, ...]:
        """Return those asked for and the best, by size."""
        best = () if self.best is None or self.best in self.plans else (self.best,)
        return tuple(sorted((*self.plans, *best), key=lambda item: item.parts))


def planned(
    rate: float,
    confidence: float,
    accept: Sequence[int],
    good: float,
    producer: float,
    lot: int | None = None,
    unit: str = "part",
) -> Planned:
    """Put plans for a claim side by side.

    Args:
        rate: Claimed, in (0, 1).
        confidence: Of the claim, in (0, 1).
        accept: Acceptance numbers; equal ones count once.
        good: In [0, rate).
        producer: In (0, 1).
        lot: As in `plan`.
        unit: What is counted; the numbers are the same.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not 0 <= good < rate:
        raise ValueError(f"good={good}: expected an escape rate from 0 to below the claimed one, {rate}")
    plans = [plan(number, rate, confidence, lot) for number in sorted({*accept})]
    best = cheapest(rate, confidence, good, producer, lot)
    sequential = (
        None if lot else sequential_plan(rate, confidence, good, 1 - producer, most_sequential(rate, confidence))
    )
    return Planned(rate, confidence, unit, lot, good, producer, tuple(item for item in plans if item), best, sequential)


def oc_rates(planned: Planned, places: int = 200) -> NDArray[np.float64]:
    """Choose the rates `(n,)` at which operating characteristics are drawn: from 0 to where none is granted any more.

    Of a lot these are whole numbers of its parts, all of them if they are not more than `places`.
    """
    last = max(1.3 * planned.rate, *(1.1 * item.rate_granted(0.01) for item in planned.all_plans))
    if planned.lot is None:
        return np.linspace(0, min(1.0, last), places)
    most = min(planned.lot, math.ceil(last * planned.lot) + 1)
    return np.unique(np.linspace(0, most, places).round()) / planned.lot


def most_sequential(rate: float, confidence: float) -> int:
    """Say after how many parts a sequence is given up: a hundred times what the smallest plan takes."""
    return min(MOST_PLANNED, 100 * parts_needed(rate, confidence))


def plan(accept: int, rate: float, confidence: float = 0.95, lot: int | None = None) -> Plan | None:
    """Find the plan with the fewest parts that proves `rate` with `accept` escapes.

    Args:
        accept: Escapes that the plan allows, from 0.
        rate: Claimed, in (0, 1).
        confidence: Of the claim, in (0, 1).
        lot: Number of NG parts that the claim is about; None: all to come.

    Returns:
        None if a lot has no such plan, since so many escapes would break the claim by themselves.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> [plan(c, 0.01).parts for c in (0, 1, 2)], plan(0, 0.01, lot=500).parts
        ([299, 473, 628], 196)
    """
    if accept < 0:
        raise ValueError(f"accept={accept}: expected how many may escape, at least 0")
    for_a_line = parts_needed(rate, confidence, accept)
    if lot is None:
        return Plan(accept, for_a_line)
    if lot < 1:
        raise ValueError(f"lot={lot}: expected how many NG parts there are, at least 1")
    false = escapes_claimed(rate, lot) + 1
    if accept >= false:
        return None
    sizes = range(accept + 1, lot + 1)  # all of them: the claim is then known to be true or false
    enough = bisect_left(sizes, True, key=lambda parts: bool(_drawn(accept, lot, false, parts) <= 1 - confidence))
    return Plan(accept, sizes[enough], lot)


def escapes_claimed(rate: float, lot: int) -> int:
    """Count the escapes in a lot that a claim of `rate` allows; 0.07 of 100 is 7, whatever its binary digits."""
    return math.floor(rate * lot * (1 + 1e-12))


def cheapest(
    rate: float, confidence: float, good: float, producer: float, lot: int | None = None, most: int = MOST_PLANNED
) -> Plan | None:
    """Find the plan with the fewest parts that is granted often enough to a good model.

    Args:
        rate: Claimed, in (0, 1).
        confidence: Of the claim.
        good: Escape rate that the model is thought to have, in [0, rate).
        producer: Largest probability that the claim is refused although the rate is `good`: the producer's risk.
        lot: As in `plan`.
        most: Parts of the largest plan that is tried.

    Returns:
        None if there is none of at most `most` parts.

    Example:
        >>> cheapest(0.01, 0.95, 0.001, 0.05)
        Plan(accept=2, parts=628, lot=None)
    """
    accept = 0
    # sizes rise with the acceptance number, so that the first plan that is good enough has the fewest parts
    while (candidate := plan(accept, rate, confidence, lot)) is not None and candidate.parts <= most:
        if candidate.granted_to(good) >= 1 - producer:
            return candidate
        accept += 1
    return None


def sequential_plan(
    rate: float, confidence: float, true: float, likely: float = 0.95, most: int = MOST_PLANNED
) -> SequentialPlan:
    """Compute exactly how many parts the claim takes that may be looked at after each part.

    With s escapes it is proven at number `boundary[s] = parts_needed_sequential(rate, confidence, s)` and no other, so
    only those have to be visited: some of the probability stops at each, and the rest goes on by a binomial step.

    Args:
        rate: Claimed, in (0, 1).
        confidence: Of the claim.
        true: Escape rate of the model, in [0, 1].
        likely: Of the answer `likely`.
        most: Parts after which nobody goes on.

    Example:
        >>> sequential_plan(0.01, 0.95, 0.0).mean
        377.0
    """
    stops, probabilities = stopping(boundary(rate, confidence, most), true)
    granted = math.fsum(probabilities)
    reached = np.cumsum(probabilities)

    def suffices(probability: float) -> int | None:
        place = int(np.searchsorted(reached, probability - 1e-12))
        return stops[place] if place < len(stops) else None

    mean = math.fsum(n * p for n, p in zip(stops, probabilities, strict=True)) + most * max(0.0, 1 - granted)
    return SequentialPlan(true, min(1.0, granted), mean, suffices(0.5), suffices(likely), most)


@lru_cache(maxsize=8)
def boundary(rate: float, confidence: float, most: int = MOST_PLANNED) -> tuple[int, ...]:
    """List the parts at which 0, 1, 2, ... escapes prove the rate at any time of looking, up to `most`."""
    needed: list[int] = []
    while (parts := parts_needed_sequential(rate, confidence, len(needed))) <= most:
        needed.append(parts)
    return tuple(needed)


def stopping(boundary: Sequence[int], true: float) -> tuple[list[int], list[float]]:
    """Compute where a sequence of parts ends that stops as soon as it has few enough escapes.

    Args:
        boundary: Rising; number k is where k escapes suffice.
        true: Escape rate, in [0, 1].

    Returns:
        `boundary`, and the probability of stopping at each.
    """
    # alive[s]: probability of s escapes so far without having stopped; more than the last step allows never stop
    alive = np.zeros(len(boundary))
    if boundary:
        alive[0] = 1.0
    stops, before = [], 0
    for few, parts in enumerate(boundary):
        steps = _binomial(parts - before, true, len(boundary))
        alive[few:] = np.convolve(alive[few:], steps)[: len(alive) - few]
        stops.append(float(alive[few]))  # fewer have stopped before
        alive[few], before = 0.0, parts
    return list(boundary), stops


def _binomial(count: int, rate: float, length: int) -> NDArray[np.float64]:
    """Return the probabilities of 0, 1, ... escapes among `count` parts: the first `length` of them."""
    k = np.arange(min(length, count + 1), dtype=np.float64)
    if rate in (0.0, 1.0):
        return np.asarray(k == count * rate, dtype=np.float64)
    ways = -np.log(count + 1.0) - betaln(k + 1, count - k + 1)
    return np.asarray(np.exp(ways + k * math.log(rate) + (count - k) * math.log1p(-rate)))


def _drawn(accept: int, lot: int, escapes: ArrayLike, parts: int) -> NDArray[np.float64]:
    """Return the probability that at most `accept` of `parts` parts escape, drawn from a lot with `escapes` of them."""
    return np.asarray(hypergeom.cdf(accept, lot, escapes, parts))
