import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fancnn.decisions.certificates import certified
from fancnn.decisions.sampling_plans import Plan, boundary, cheapest, escapes_claimed, plan, sequential_plan, stopping
from fancnn.decisions.sequential import log_e_value, parts_needed_sequential, upper_bound_sequential
from fancnn.metrics.intervals import upper_bound
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds

plans = st.tuples(st.integers(0, 12), st.sampled_from([0.002, 0.01, 0.05, 0.2]), st.sampled_from([0.8, 0.95, 0.99]))


def rows(parts: int, escapes: int) -> list[Prediction]:
    return [Prediction(f"{i}", 0.2 if i < escapes else 0.8, split="test", label=1) for i in range(parts)]


@pytest.mark.parametrize(("accept", "parts"), [(0, 299), (1, 473), (2, 628)])
def test_a_plan_promises_what_the_certificate_grants(accept: int, parts: int) -> None:
    assert plan(accept, 0.01) == Plan(accept, parts)
    fixed = Thresholds.single(0.5)
    assert certified(rows(parts, accept), 0.01, thresholds=fixed).granted
    assert not certified(rows(parts, accept + 1), 0.01, thresholds=fixed).granted
    assert not certified(rows(parts - 1, accept), 0.01, thresholds=fixed).granted


@given(plans)
def test_no_smaller_sample_would_do(asked: tuple[int, float, float]) -> None:
    accept, rate, confidence = asked
    parts = plan(accept, rate, confidence).parts
    assert upper_bound(accept, parts, confidence) <= rate
    assert stats.binom.cdf(accept, parts, rate) <= 1 - confidence + 1e-12
    assert parts == accept + 1 or stats.binom.cdf(accept, parts - 1, rate) > 1 - confidence


@given(st.integers(0, 4), st.sampled_from([0.01, 0.05, 0.2]), st.integers(5, 120), st.sampled_from([0.05, 0.7]))
def test_no_smaller_sample_of_a_lot_would_do(accept: int, rate: float, lot: int, risk: float) -> None:
    found, false = plan(accept, rate, 1 - risk, lot), escapes_claimed(rate, lot) + 1
    chances = [stats.hypergeom.cdf(accept, lot, false, parts) for parts in range(lot + 1)]
    if found is None:
        assert accept >= false
    else:
        assert found.parts == next(parts for parts in range(accept + 1, lot + 1) if chances[parts] <= risk)
        # the promise, for every false lot
        assert np.all(found.granted(np.arange(false, lot + 1) / lot) <= risk)


def test_a_lot_takes_fewer_parts_than_a_line_and_a_large_one_as_many() -> None:
    assert plan(0, 0.01, lot=500).parts < plan(0, 0.01, lot=5000).parts < 299
    assert plan(0, 0.01, lot=10**7).parts == pytest.approx(299, abs=1)
    assert plan(6, 0.01, lot=500) is None  # six escapes of 500 are more than 1 %, whatever the rest


def test_a_share_of_a_lot_is_counted_as_it_is_written() -> None:
    assert [escapes_claimed(0.07, 100), escapes_claimed(0.29, 100), escapes_claimed(0.01, 250)] == [7, 29, 2]


@given(plans, st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_operating_characteristic_is_binomial_and_falls(
    asked: tuple[int, float, float], rates: list[float]
) -> None:
    found = plan(*asked)
    curve = found.granted(sorted(rates))
    assert curve == pytest.approx(stats.binom.cdf(found.accept, found.parts, sorted(rates)), abs=1e-9)
    assert np.all(np.diff(curve) <= 1e-12)


@given(st.integers(0, 3), st.integers(30, 300))
def test_the_operating_characteristic_of_a_lot_is_hypergeometric_and_falls(accept: int, lot: int) -> None:
    found = plan(accept, 0.2, lot=lot)
    curve = found.granted(np.arange(lot + 1) / lot)
    counted = [sum(_ways(lot, bad, found.parts, k) for k in range(accept + 1)) for bad in range(0, lot + 1, 7)]
    assert curve[::7] == pytest.approx(np.array([ways / math.comb(lot, found.parts) for ways in counted]))
    assert np.all(np.diff(curve) <= 1e-12)


def _ways(lot: int, bad: int, parts: int, k: int) -> int:
    return math.comb(bad, k) * math.comb(lot - bad, parts - k)


@given(plans, st.sampled_from([0.95, 0.9, 0.5, 0.1, 0.05]))
def test_the_rate_of_a_probability_is_where_the_curve_has_it(
    asked: tuple[int, float, float], probability: float
) -> None:
    found = plan(*asked)
    assert float(found.granted(found.rate_granted(probability))) == pytest.approx(probability)


def test_the_consumers_point_at_the_claims_confidence_is_just_below_the_claim() -> None:
    for accept in range(4):
        found = plan(accept, 0.01)
        assert 0.0098 < found.rate_granted(0.05) <= 0.01
        assert found.rate_granted(0.95) < found.rate_granted(0.10) < found.rate_granted(0.05)


def test_the_rates_of_a_lot_are_whole_parts_of_it() -> None:
    found = plan(1, 0.05, lot=200)
    granted = [stats.hypergeom.cdf(1, 200, bad, found.parts) for bad in range(201)]
    for probability in (0.95, 0.1, 0.05):
        assert found.rate_granted(probability) * 200 == pytest.approx(
            max(bad for bad, chance in enumerate(granted) if chance >= probability)
        )


@pytest.mark.parametrize("lot", [None, 2000])
@pytest.mark.parametrize("good", [0.0, 0.001, 0.003, 0.004])
def test_the_cheapest_plan_is_the_first_that_a_good_model_passes(good: float, lot: int | None) -> None:
    tried = [plan(accept, 0.01, lot=lot) for accept in range(18)]
    best = min((item for item in tried if item.granted_to(good) >= 0.95), key=lambda item: item.parts)
    assert cheapest(0.01, 0.95, good, 0.05, lot) == best


def test_a_model_has_its_chance_on_a_lot_by_what_each_part_risks() -> None:
    found = plan(0, 0.01, lot=500)
    draws = np.random.default_rng(0).binomial(500, 0.001, 40_000)  # escapes in each of so many lots
    granted = stats.hypergeom.pmf(0, 500, draws, found.parts).mean()
    assert found.granted_to(0.001) == pytest.approx(0.999**found.parts)
    assert found.granted_to(0.001) == pytest.approx(granted, abs=0.01)


def test_sizes_rise_with_the_acceptance_number() -> None:
    sizes = [plan(accept, 0.03).parts for accept in range(30)]
    assert sizes == sorted(set(sizes))


def test_where_no_plan_of_a_size_anybody_collects_is_good_enough_there_is_none() -> None:
    assert cheapest(0.01, 0.95, 0.005, 0.05, most=1000) is None
    # of 100 parts 0.0155 are two, and with two escapes a claim of 0.016 is false
    assert cheapest(0.016, 0.95, 0.0155, 0.05, lot=100) is None


def test_the_sequence_stops_where_it_is_proven_at_any_time_of_looking() -> None:
    stops = boundary(0.01, 0.95, 1500)
    assert list(stops) == [parts_needed_sequential(0.01, escapes=k) for k in range(len(stops))]
    assert all(upper_bound_sequential(k, parts) <= 0.01 for k, parts in enumerate(stops))
    assert parts_needed_sequential(0.01, escapes=len(stops)) > 1500


@pytest.mark.parametrize("true", [0.0, 0.02, 0.1, 0.3, 1.0])
def test_where_a_sequence_stops_is_what_going_part_by_part_gives(true: float) -> None:
    stops, most = boundary(0.3, 0.95, 120), 120
    alive, stopped = {0: 1.0}, dict.fromkeys(range(most + 1), 0.0)
    for parts in range(1, most + 1):
        following: dict[int, float] = {}
        for escapes, chance in alive.items():
            for more, weight in ((0, 1 - true), (1, true)):
                following[escapes + more] = following.get(escapes + more, 0.0) + chance * weight
        alive = following
        for escapes in [k for k in alive if log_e_value(k, parts, 0.3) >= math.log(20)]:
            stopped[parts] += alive.pop(escapes)
    places, probabilities = stopping(stops, true)
    assert dict(zip(places, probabilities, strict=True)) == pytest.approx(
        {parts: stopped[parts] for parts in places}, abs=1e-12
    )
    assert sum(stopped.values()) == pytest.approx(sum(probabilities))
    found = sequential_plan(0.3, 0.95, true, most=most)
    mean = sum(parts * chance for parts, chance in stopped.items()) + most * (1 - sum(stopped.values()))
    assert (found.granted, found.mean) == pytest.approx((sum(stopped.values()), mean))


def test_a_false_claim_is_proven_in_at_most_five_percent_however_long_the_sequence() -> None:
    assert sequential_plan(0.01, 0.95, 0.01, most=20_000).granted <= 0.05
    assert sequential_plan(0.01, 0.95, 0.012, most=20_000).granted < 0.02


def test_a_perfect_model_takes_the_fewest_and_a_good_one_is_granted_in_the_end() -> None:
    perfect, good = (sequential_plan(0.01, 0.95, true) for true in (0.0, 0.001))
    assert (perfect.mean, perfect.median, perfect.likely, perfect.granted) == (377, 377, 377, 1)
    assert good.granted == pytest.approx(1)
    assert (good.median, good.likely) == (377, 883)
    assert 377 < good.mean < 628  # the fixed plan that is granted with 95 %
    capped = sequential_plan(0.01, 0.95, 0.001, most=500)
    assert (capped.likely, capped.granted) == (None, pytest.approx(0.999**377))
    assert capped.mean == pytest.approx(377 * 0.999**377 + 500 * (1 - 0.999**377))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"accept": -1}, "accept=-1: expected how many may escape"),
        ({"lot": 0}, "lot=0: expected how many NG parts"),
        ({"rate": 1.0}, "rate=1.0: expected a share"),
        ({"confidence": 1.0}, "confidence=1.0: expected a share"),
        ({"rate": 0.0, "lot": 50}, "rate=0.0: expected a share"),
        ({"confidence": 0.0, "lot": 50}, "confidence=0.0: expected a share"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plan(**{"accept": 0, "rate": 0.01, **arguments})
