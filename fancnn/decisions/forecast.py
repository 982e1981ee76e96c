"""What a line may expect of an inspector: from decisions on a test to escapes, false rejects, looks and money."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.decisions.line_costs import Costs, Line
from fancnn.errors import UserError
from fancnn.metrics.clusters import effective_size, unit_numbers
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.intervals import Interval
from fancnn.metrics.thresholds import Thresholds


@dataclass(frozen=True)
class Estimate:
    """A value and where it may lie."""

    value: float
    interval: Interval


def effective_parts(
    labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds, groups: Sequence[str] | None
) -> tuple[float, float] | None:
    """Return how many independent NG and GO parts say as much of the rates of decisions as these parts of groups do.

    Of each class the least over its outcomes, passed, rechecked and rejected (`effective_size`). A class whose parts
    are all of one group counts as one.

    Args:
        labels: `(parts,)`, 0 GO and 1 NG.
        probabilities: `(parts,)`, P(NG).
        thresholds: Of the decisions.
        groups: `(parts,)`; None where parts are independent.

    Returns:
        Of NG and of GO; None without groups.

    Example:
        >>> lots = [f"lot {part // 10}" for part in range(40)]
        >>> effective_parts([1] * 20 + [0] * 20, [0.1] * 10 + [0.9] * 10 + [0.1] * 20, Thresholds.single(0.5), lots)
        (2.0, 2.0)
    """
    if groups is None:
        return None
    truth, ranks = np.asarray(labels).astype(np.int64), thresholds.ranks(probabilities)
    units = unit_numbers(groups, truth.size)
    sizes = []
    for label in (1, 0):
        inside = truth == label
        totals = np.bincount(units[inside], minlength=int(units.max()) + 1)
        of_outcomes = [
            effective_size(np.bincount(units[inside & (ranks == i)], minlength=totals.size), totals)
            for i in np.unique(ranks[inside])
        ]
        sizes.append(min((size or 1.0 for size in of_outcomes), default=0.0))
    return sizes[0], sizes[1]


def forecast(
    tested: ConfusionCounts,
    line: Line,
    costs: Costs | None = None,
    draws: int = 20_000,
    confidence: float = 0.95,
    seed: int = 0,
    *,
    recheck: bool | None = None,
    worth: tuple[float, float] | None = None,
) -> dict[str, Estimate | None]:
    """Return what the line may expect, if its parts are like those of the test.

    A value is plug-in: the rates of the test put into the line. It is not the mean of what may be true, which is
    worse where few parts were tested: after no escape among 50 the value is 0, and the interval says the rest.
    An interval has the middle `confidence` of the rates' posterior, a Dirichlet distribution for each class with
    Jeffreys' prior 1/2 on each outcome that can happen, and is widened to its value where that is at a border
    (Brown, Cai and DasGupta 2001). It is of the mean over many shifts; a single shift varies more, and `line`
    and `costs` are taken as known. A person who looks is taken to be right.

    Args:
        tested: Counts of a test that no threshold was chosen on.
        line: What the line makes.
        costs: In any currency, for each part.
        draws: From the posterior; the same arguments give the same numbers.
        confidence: Of the intervals.
        seed: Of the draws.
        recheck: Whether RECHECK can happen; None: if any part was decided so.
        worth: How many independent NG and GO parts the test is worth, as `effective_parts` says; None: all of them.

    Returns:
        `escapes_per_million` of parts made, `escapes_per_shift`, `false_rejects_per_shift`, `looks_per_shift`, and
        `cost_per_month`, which is None without `costs`.

    Raises:
        UserError: If the test has no NG or no GO parts, or parts are rechecked and `costs.look` is None.
        ValueError: If a count is negative, parts were rechecked though `recheck` is False, `draws` is below 1,
            `confidence` not in (0, 1), or `worth` not above 0.

    Example:
        >>> tested = ConfusionCounts(90, 2, 20, 930, ng_rechecked=8, go_rechecked=50)
        >>> expected = forecast(tested, Line(0.01, 4000, 63), Costs(250, 2, 0.5))
        >>> {name: round(estimate.value, 1) for name, estimate in expected.items()}
        {'escapes_per_million': 200.0, 'escapes_per_shift': 0.8, 'false_rejects_per_shift': 79.2,
         'looks_per_shift': 201.2, 'cost_per_month': 28917.0}
        >>> escapes = expected["escapes_per_shift"].interval
        >>> round(escapes.low, 1), round(escapes.high, 1)
        (0.2, 2.5)
    """
    counts = _by_class_and_decision(tested)
    possible = _possible(counts, recheck)
    if costs and costs.look is None and possible[1]:
        raise UserError("line.costs.look is not set, but parts are rechecked: expected what a look costs, e.g. 0.5")
    if draws < 1 or not 0 < confidence < 1:
        raise ValueError(f"draws={draws}, confidence={confidence}: expected at least 1, and a share in (0, 1)")
    if worth is not None and min(worth) <= 0:
        raise ValueError(f"worth={worth}: expected numbers of parts above 0")
    observed = (counts / counts.sum(axis=1, keepdims=True))[:, None]
    independent = counts if worth is None else observed[:, 0] * np.array(worth)[:, None]
    drawn = _posterior(independent, possible, draws, np.random.default_rng(seed))
    values, samples = _expected(observed, line, costs), _expected(drawn, line, costs)
    estimates: dict[str, Estimate | None] = {
        name: _estimate(float(values[name][0]), samples[name], confidence) for name in values
    }
    return estimates if costs else {**estimates, "cost_per_month": None}


def _by_class_and_decision(tested: ConfusionCounts) -> NDArray[np.float64]:
    """Return the counts as `(class, decision)`: NG and GO; passed, rechecked, rejected."""
    ng = tested.escapes, tested.ng_rechecked, tested.ng_found
    go = tested.go_passed, tested.go_rechecked, tested.overkills
    counts = np.array([ng, go], dtype=np.float64)
    if counts.min() < 0:
        raise ValueError(f"expected counts from 0, got {tested}")
    for name, row in zip(("NG", "GO"), counts, strict=True):
        if not row.any():
            raise UserError(f"no {name} parts were tested: a forecast needs decisions on both NG and GO parts")
    return counts


def _possible(counts: NDArray[np.float64], recheck: bool | None) -> NDArray[np.bool_]:
    """Return which of passed, rechecked, rejected can happen."""
    seen = bool(counts[:, 1].any())
    if seen and recheck is False:
        raise ValueError("recheck=False, but parts were rechecked: expected no RECHECK among the counts, or True")
    return np.array([True, seen if recheck is None else recheck, True])


def _posterior(
    counts: NDArray[np.float64], possible: NDArray[np.bool_], draws: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return the rates by class, draw and decision: `(2, draws, 3)`."""
    shapes = np.where(possible, counts + 0.5, 0.0)
    gammas = generator.standard_gamma(shapes[:, None], (2, draws, 3))
    return np.asarray(gammas / gammas.sum(axis=2, keepdims=True))


def _expected(rates: NDArray[np.float64], line: Line, costs: Costs | None) -> dict[str, NDArray[np.float64]]:
    """Return what the line gets at these rates, `(2, draws, 3)`; `(draws,)` each."""
    shares = np.array([line.ng_rate, 1 - line.ng_rate])[:, None, None] * rates  # of all parts made
    escapes, false_rejects, looks = shares[0, :, 0], shares[1, :, 2], shares[:, :, 1].sum(axis=0)
    expected = {
        "escapes_per_million": 1e6 * escapes,
        "escapes_per_shift": line.parts_per_shift * escapes,
        "false_rejects_per_shift": line.parts_per_shift * false_rejects,
        "looks_per_shift": line.parts_per_shift * looks,
    }
    if costs is None:
        return expected
    a_part = costs.escape * escapes + costs.overkill * false_rejects + (costs.look or 0.0) * looks
    return {**expected, "cost_per_month": line.shifts_per_month * line.parts_per_shift * a_part}


def _estimate(value: float, samples: NDArray[np.float64], confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = (float(bound) for bound in np.quantile(samples, [tail, 1 - tail]))
    return Estimate(value, Interval(min(low, value), max(high, value)))
