import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fancnn.decisions.lots import (
    BETS,
    WEIGHTS,
    holds_by_lot,
    log_evidence,
    lots_needed,
    lots_needed_at_this_share,
    upper_bound_by_lot,
)
from fancnn.metrics.intervals import upper_bound

Lots = list[tuple[int, int]]
LARGEST = 12
lots = st.lists(
    st.integers(0, LARGEST).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    min_size=1,
    max_size=30,
)
rates = st.floats(0.001, 0.95)


def columns(table: Lots) -> tuple[list[int], list[int]]:
    return [size for size, _ in table], [escapes for _, escapes in table]


@given(lots, rates)
def test_evidence_is_the_mean_wealth_of_fixed_bets(table: Lots, rate: float) -> None:
    wealth = 0.0
    for share, weight in zip(BETS, WEIGHTS, strict=True):
        bet = share / ((1 - rate) * LARGEST)
        wealth += weight * math.prod(max(0.0, 1 + bet * (rate * size - escapes)) for size, escapes in table)
    found = log_evidence(*columns(table), rate, LARGEST)
    assert math.exp(found) == pytest.approx(wealth, rel=1e-6, abs=1e-12)


@settings(max_examples=25)
@given(st.lists(st.floats(0.01, 1), min_size=LARGEST + 1, max_size=LARGEST + 1), st.integers(0, 2**32 - 1), rates)
def test_its_mean_over_one_lot_is_at_most_one_where_the_rate_is_no_smaller(
    weights: list[float], seed: int, rate: float
) -> None:
    """Exactly, by summing over all lots of any distribution: the reason why Markov's inequality may be used."""
    random = np.random.default_rng(seed)
    sizes = np.arange(LARGEST + 1)
    chances = np.array(weights) / sum(weights)
    passing = [random.dirichlet(np.ones(size + 1)) for size in sizes]  # how many of a lot of that size pass
    outcomes = [(chances[n] * passing[n][e], n, e) for n in sizes for e in range(n + 1)]
    true = sum(p * e for p, _, e in outcomes) / sum(p * n for p, n, _ in outcomes)
    for asked in (true, rate):
        mean = sum(p * math.exp(log_evidence([n], [e], asked, LARGEST)) for p, n, e in outcomes)
        assert (mean <= 1 + 1e-9) == (true >= asked - 1e-12)


@given(lots, rates, rates)
def test_evidence_rises_with_the_rate_and_falls_with_escapes(table: Lots, rate: float, other: float) -> None:
    low, high = sorted([rate, other])
    sizes, escapes = columns(table)
    assert log_evidence(sizes, escapes, low, LARGEST) <= log_evidence(sizes, escapes, high, LARGEST) + 1e-9
    more = [min(size, count + 1) for size, count in table]
    assert log_evidence(sizes, more, rate, LARGEST) <= log_evidence(sizes, escapes, rate, LARGEST) + 1e-9


@settings(max_examples=40)
@given(lots, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_bound_is_where_the_claim_begins_to_hold(table: Lots, confidence: float) -> None:
    sizes, escapes = columns(table)
    bound = upper_bound_by_lot(sizes, escapes, LARGEST, confidence)
    assert bound == 1.0 or holds_by_lot(sizes, escapes, bound, LARGEST, confidence)
    assert not holds_by_lot(sizes, escapes, bound * (1 - 1e-6), LARGEST, confidence)
    assert bound >= sum(escapes) / max(sum(sizes), 1) - 1e-9


def test_without_escapes_and_groups_it_costs_little_more_than_the_exact_bound() -> None:
    exact = upper_bound(0, 300)
    assert exact < upper_bound_by_lot([1] * 300, [0] * 300, 1) < 1.25 * exact


@pytest.mark.parametrize(("mean", "largest"), [(1, 1), (3, 10), (40, 40)])
def test_as_many_lots_are_needed_as_prove_it(mean: int, largest: int) -> None:
    count = lots_needed(0.02, mean, largest)
    assert holds_by_lot([mean] * count, [0] * count, 0.02, largest)
    assert not holds_by_lot([mean] * (count - 1), [0] * (count - 1), 0.02, largest)


def test_how_many_lots_like_these_would_do() -> None:
    sizes, escapes = [5] * 40, [1] + [0] * 39  # 0.5 % pass
    count = lots_needed_at_this_share(sizes, escapes, 0.02, 5)
    assert count is not None
    copies = math.ceil(count / 40)
    assert holds_by_lot(sizes * copies, escapes * copies, 0.02, 5)
    assert not holds_by_lot(sizes * (copies - 2), escapes * (copies - 2), 0.02, 5)
    assert lots_needed_at_this_share([5] * 40, [1] * 40, 0.02, 5) is None


@pytest.mark.parametrize(
    ("sizes", "escapes", "text"),
    [
        ([3, 5], [0, 0], "a lot has 5 NG parts: expected at most largest=4"),
        ([3], [4], "more escapes than NG parts"),
        ([3], [0, 0], "expected one of each for each lot"),
    ],
)
def test_impossible_lots_are_refused(sizes: list[int], escapes: list[int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        upper_bound_by_lot(sizes, escapes, 4)
