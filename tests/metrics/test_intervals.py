from collections.abc import Callable
from itertools import count as counting

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fancnn.metrics.intervals import (
    exact_interval,
    parts_needed,
    simultaneous_upper_bound,
    upper_bound,
)

confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])


@st.composite
def seen(draw: st.DrawFn, least: int = 1) -> tuple[int, int]:
    """A count and its total."""
    total = draw(st.integers(least, 3000))
    return draw(st.integers(0, total)), total


@given(seen(), confidences)
def test_the_exact_interval_is_scipys_of_the_binomial_test(part: tuple[int, int], confidence: float) -> None:
    oracle = stats.binomtest(*part).proportion_ci(confidence, method="exact")
    found = exact_interval(*part, confidence)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


@given(seen(), confidences)
def test_the_upper_bound_is_scipys_of_the_one_sided_test(part: tuple[int, int], confidence: float) -> None:
    oracle = stats.binomtest(*part, alternative="less").proportion_ci(confidence, method="exact")
    assert upper_bound(*part, confidence) == pytest.approx(oracle.high, abs=1e-9)


@given(st.integers(1, 40), st.floats(0.01, 0.99), confidences)
def test_the_true_rate_is_covered_as_often_as_promised(total: int, rate: float, confidence: float) -> None:
    chances = stats.binom.pmf(np.arange(total + 1), total, rate)
    intervals = [exact_interval(count, total, confidence) for count in range(total + 1)]
    inside = [interval is not None and interval.low <= rate <= interval.high for interval in intervals]
    below = [rate <= upper_bound(count, total, confidence) for count in range(total + 1)]
    assert chances[inside].sum() >= confidence - 1e-9
    assert chances[below].sum() >= confidence - 1e-9


def test_without_parts_nothing_is_known() -> None:
    assert exact_interval(0, 0) is None
    assert upper_bound(0, 0) == 1
    assert upper_bound(7, 7) == 1
    assert simultaneous_upper_bound(0, 0) == 1


def test_the_bounds_that_every_line_knows() -> None:
    assert upper_bound(0, 50) == pytest.approx(0.0582, abs=5e-5)
    assert upper_bound(0, 299) <= 0.01 < upper_bound(0, 298)
    assert parts_needed(0.01) == 299
    assert parts_needed(0.001) == 2995


@given(st.floats(0.02, 0.9), confidences, st.integers(0, 4))
def test_the_parts_needed_are_the_first_number_that_is_enough(rate: float, confidence: float, escapes: int) -> None:
    first = next(total for total in counting(escapes) if upper_bound(escapes, total, confidence) <= rate)
    assert parts_needed(rate, confidence, escapes) == first


@pytest.mark.parametrize(("rate", "escapes"), [(0.01, 0), (0.001, 0), (0.001, 3), (1e-6, 1)])
def test_one_part_less_than_needed_is_too_few(rate: float, escapes: int) -> None:
    parts = parts_needed(rate, escapes=escapes)
    assert upper_bound(escapes, parts) <= rate < upper_bound(escapes, parts - 1)


@given(seen(), confidences, st.integers(1, 9))
def test_the_simultaneous_bound_is_the_weighted_quantile(
    part: tuple[int, int], confidence: float, families: int
) -> None:
    count, total = part[0] % 30, part[1] + 30
    tail = (1 - confidence) / families * 6 / (np.pi * (count + 1)) ** 2
    expected = stats.beta.ppf(1 - tail, count + 1, total - count)
    assert simultaneous_upper_bound(count, total, confidence, families) == pytest.approx(expected, rel=1e-5)


@given(seen(least=2), st.integers(1, 9))
def test_a_bound_for_more_claims_is_never_lower(part: tuple[int, int], families: int) -> None:
    bounds = [upper_bound(*part), *(simultaneous_upper_bound(*part, families=k) for k in (families, families + 1))]
    assert bounds == sorted(bounds)


def any_threshold_breaks(scores: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether, in a row of uniform scores, some t has P(score < t) = t above the bound of the count below t."""
    return (np.sort(scores, axis=1) > bounds).any(axis=1)  # with k below it, t reaches the (k + 1)-th score


@pytest.mark.parametrize("size", [5, 30, 200])
def test_no_threshold_breaks_the_simultaneous_bound_more_often_than_promised(size: int) -> None:
    confidence, draws = 0.9, 4000
    scores = np.random.default_rng(size).random((2, draws, size))
    one, two, naive = (
        np.array([bound(count) for count in range(size)])
        for bound in (
            lambda count: simultaneous_upper_bound(count, size, confidence),
            lambda count: simultaneous_upper_bound(count, size, confidence, families=2),
            lambda count: upper_bound(count, size, confidence),
        )
    )
    most = stats.binom.ppf(1 - 1e-6, draws, 1 - confidence)
    assert any_threshold_breaks(scores[0], one).sum() <= most
    assert (any_threshold_breaks(scores[0], two) | any_threshold_breaks(scores[1], two)).sum() <= most
    assert any_threshold_breaks(scores[0], naive).sum() > most  # the test would see a bound for one threshold fail


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: exact_interval(3, 2), "3 of 2: expected a count from 0 to the total"),
        (lambda: upper_bound(-1, 2), "-1 of 2"),
        (lambda: upper_bound(1, 2, confidence=95), "confidence=95: expected a share above 0 and below 1"),
        (lambda: parts_needed(0), "rate=0: expected a share"),
        (lambda: parts_needed(0.1, escapes=-1), "-1 of 0"),
        (lambda: simultaneous_upper_bound(1, 2, families=0), "families=0: expected how many classes"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
