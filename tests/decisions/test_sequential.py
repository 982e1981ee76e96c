import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from fancnn.decisions.sequential import (
    EXPONENT,
    log_e_value,
    parts_needed_sequential,
    sequential_interval,
    upper_bound_sequential,
)
from fancnn.metrics.intervals import parts_needed, upper_bound

counts = st.integers(1, 3000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
rates = st.floats(0.0005, 0.9)


def brute_force(escapes: int, parts: int, rate: float) -> float:
    """The definition: likelihood ratios of rates below `rate`, averaged over Beta(1/2, 1) shrunk to (0, rate)."""

    def ratio(q: float) -> float:
        return (
            stats.beta.pdf(q / rate, EXPONENT, 1)
            / rate
            * math.exp(escapes * math.log(q / rate) + (parts - escapes) * (math.log1p(-q) - math.log1p(-rate)))
        )

    seen = min(escapes / parts if parts else 0.0, rate)
    places = [rate * step for step in (1e-5, 1e-3, 0.1, 0.5)] + [seen] * (0 < seen < rate)
    return float(integrate.quad(ratio, 0, rate, limit=1000, points=places)[0])


@pytest.mark.parametrize(
    ("escapes", "parts", "rate"),
    [
        *((0, 0, 0.3), (0, 299, 0.01), (1, 663, 0.01), (3, 500, 0.01), (7, 1200, 0.02), (10, 10, 0.4)),
        *((30, 100, 0.001), (300, 1000, 0.01), (0, 5, 0.9), (400, 1000, 0.5)),
    ],
)
def test_the_e_value_is_the_mixture_of_likelihood_ratios(escapes: int, parts: int, rate: float) -> None:
    assert math.exp(log_e_value(escapes, parts, rate)) == pytest.approx(brute_force(escapes, parts, rate), rel=1e-6)


def test_where_the_integral_underflows_the_e_value_is_still_right() -> None:
    # all parts escape: the average of (q / r)^s, a / (a + s), is known exactly
    assert log_e_value(2000, 2000, 0.01) == pytest.approx(math.log(EXPONENT / (EXPONENT + 2000)))
    # and both ways of computing agree where one takes over from the other
    values = log_e_value(np.arange(100, 160), 400, 0.01)
    assert np.all(np.diff(values, 2) > 0)


@given(st.integers(0, 200), st.integers(0, 40), st.floats(0.001, 0.5), st.floats(1.0, 1.9))
def test_a_part_never_gains_on_average_where_the_rate_is_as_high_as_claimed_or_higher(
    parts: int, escapes: int, rate: float, above: float
) -> None:
    escapes, true = min(escapes, parts), min(1.0, rate * above)
    now = math.exp(log_e_value(escapes, parts, rate))
    then = [math.exp(log_e_value(escapes + more, parts + 1, rate)) for more in (0, 1)]
    assert (1 - true) * then[0] + true * then[1] <= now * (1 + 1e-9)
    if above == 1:
        assert (1 - rate) * then[0] + rate * then[1] == pytest.approx(now)


@given(counts, rates)
def test_the_bound_is_where_the_e_value_reaches_the_bar(seen: tuple[int, int], rate: float) -> None:
    bound = upper_bound_sequential(*seen)
    assert (bound <= rate) == bool(log_e_value(*seen, rate) >= math.log(20)) or rate == pytest.approx(bound)


@given(counts, st.floats(0.5, 0.999))
def test_looking_at_any_time_is_never_cheaper_than_looking_once(seen: tuple[int, int], confidence: float) -> None:
    bound = upper_bound_sequential(*seen, confidence)
    assert upper_bound(*seen, confidence) <= bound + 1e-12
    assert seen[0] / seen[1] <= bound <= 1


@given(counts)
def test_more_parts_without_an_escape_lower_the_bound_and_an_escape_raises_it(seen: tuple[int, int]) -> None:
    escapes, parts = seen
    assert upper_bound_sequential(escapes, parts + 1) <= upper_bound_sequential(escapes, parts)
    assert upper_bound_sequential(escapes + 1, parts + 1) >= upper_bound_sequential(escapes, parts)


@given(counts)
def test_both_sides_surround_the_share_seen_and_mirror_each_other(seen: tuple[int, int]) -> None:
    count, total = seen
    interval, mirrored = sequential_interval(count, total), sequential_interval(total - count, total)
    assert interval.low <= count / total <= interval.high
    assert (interval.low, interval.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))


@pytest.mark.parametrize(("rate", "escapes"), [(0.01, 0), (0.01, 1), (0.01, 5), (0.001, 0), (0.1, 2), (0.5, 3)])
def test_the_parts_needed_are_the_fewest_that_prove_it(rate: float, escapes: int) -> None:
    needed = parts_needed_sequential(rate, escapes=escapes)
    assert upper_bound_sequential(escapes, needed) <= rate < upper_bound_sequential(escapes, needed - 1)
    assert needed > parts_needed(rate, escapes=escapes)


def test_one_percent_takes_377_parts_without_an_escape() -> None:
    assert [parts_needed_sequential(0.01, escapes=escapes) for escapes in range(3)] == [377, 663, 883]


def test_without_parts_nothing_is_known() -> None:
    assert upper_bound_sequential(0, 0) == 1.0
    assert sequential_interval(0, 0) is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((3, 2), "3 of 2: expected a count"), ((-1, 2), "-1 of 2"), ((0, 2, 1.0), "confidence=1.0: expected a share")],
)
def test_arguments_that_make_no_sense_are_refused(arguments: tuple[float, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        upper_bound_sequential(*arguments)


def test_rates_and_counts_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="rate=1.5: expected a share"):
        parts_needed_sequential(1.5)
    with pytest.raises(ValueError, match="expected escapes from 0 to"):
        log_e_value(3, 2, 0.1)
    with pytest.raises(ValueError, match="expected rates above 0 and below 1"):
        log_e_value(0, 2, 0.0)
