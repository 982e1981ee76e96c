import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.metrics.clusters import (
    clustered_interval,
    effective_number,
    effective_size,
    linearized,
    natural_groups,
    unit_numbers,
)
from fancnn.metrics.intervals import exact_interval

group = st.integers(0, 12).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
tables = st.lists(group, min_size=2, max_size=30).filter(lambda table: sum(total > 0 for _, total in table) > 1)
Table = list[tuple[int, int]]


def arrays(table: Table) -> tuple[np.ndarray, np.ndarray]:
    hits, totals = np.array(table).T
    return hits, totals


@given(st.lists(st.integers(0, 1), min_size=2, max_size=60))
def test_groups_of_one_part_are_independent_parts(hits: list[int]) -> None:
    assert clustered_interval(hits, [1] * len(hits)) == exact_interval(sum(hits), len(hits))


@given(tables)
def test_it_holds_the_rate_and_is_never_narrower_than_that_of_independent_parts(table: Table) -> None:
    hits, totals = arrays(table)
    found, exact = clustered_interval(hits, totals), exact_interval(int(hits.sum()), int(totals.sum()))
    assert found is not None
    assert exact is not None
    assert found.low <= hits.sum() / totals.sum() <= found.high
    assert found.high - found.low >= exact.high - exact.low - 1e-9


@given(st.lists(st.integers(0, 1), min_size=2, max_size=40), st.integers(2, 10))
def test_copies_prove_nothing(hits: list[int], copies: int) -> None:
    found = clustered_interval([copies * hit for hit in hits], [copies] * len(hits))
    exact = exact_interval(sum(hits), len(hits))
    assert found is not None
    assert exact is not None
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


@given(tables)
def test_what_is_counted_and_its_opposite_lie_alike(table: Table) -> None:
    hits, totals = arrays(table)
    one, other = clustered_interval(hits, totals), clustered_interval(totals - hits, totals)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


def test_more_misses_do_not_make_the_upper_end_fall_below_that_of_none() -> None:
    ends = []
    for misses in range(4):
        interval = clustered_interval([misses, *[0] * 19], [10] * 20)
        assert interval is not None
        ends.append(interval.high)
    assert ends[0] == pytest.approx(1 - 0.025 ** (1 / 20))  # none of 20 lots, not none of 200 parts
    assert min(ends[1:]) >= ends[0] - 1e-9


def test_one_group_says_nothing_of_others() -> None:
    assert clustered_interval([3], [10]) is None
    assert clustered_interval([3, 0], [10, 0]) is None
    assert clustered_interval([], []) is None


def test_one_lot_of_400_and_310_of_one_are_worth_three() -> None:
    assert effective_size([0, *[0] * 310], [400, *[1] * 310]) == pytest.approx(3.15, abs=0.01)


def test_more_hits_than_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="expected as many hits as totals, each from 0 to its total"):
        clustered_interval([3, 1], [2, 4])


def test_groups_are_the_unit_only_where_every_image_has_one() -> None:
    assert natural_groups(["a", "a", ""]) is None
    assert natural_groups(["a", "b"]) is None
    assert natural_groups([]) is None
    assert natural_groups(["a", "a"]) == ["a", "a"]
    assert unit_numbers(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="2 groups for 3 images"):
        unit_numbers(["a", "b"], 3)


def test_the_linearized_variance_of_a_mean_is_that_of_its_units() -> None:
    values = np.random.default_rng(0).normal(size=60)
    units = np.arange(60) // 3
    found = linearized((values - values.mean()) / 60, np.zeros(60, int), units)
    assert found is not None
    assert found.variance == pytest.approx(np.var(values.reshape(20, 3).mean(axis=1), ddof=1) / 20)


def test_few_large_contributions_have_few_degrees_of_freedom() -> None:
    even, uneven = np.random.default_rng(0).normal(size=(2, 400))
    uneven[:3] = 200
    nothing, units = np.zeros(400, int), np.arange(400)
    freedoms = [of.freedom for of in (linearized(even, nothing, units), linearized(uneven, nothing, units)) if of]
    assert freedoms[0] > 300
    assert freedoms[1] < 10


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_the_effective_number_is_at_most_the_number(sizes: list[int]) -> None:
    assert 1 <= effective_number(sizes) <= len(sizes) + 1e-9
