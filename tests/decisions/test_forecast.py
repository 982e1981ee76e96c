from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fancnn.decisions.forecast import Estimate, effective_parts, forecast
from fancnn.decisions.line_costs import Costs, Line
from fancnn.errors import UserError
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.thresholds import Thresholds

LINE = Line(ng_rate=0.02, parts_per_shift=1000, shifts_per_month=40)
COSTS = Costs(escape=100, overkill=3, look=0.5)
TESTED = ConfusionCounts(ng_found=90, escapes=3, overkills=5, go_passed=180, ng_rechecked=7, go_rechecked=15)
counts = st.integers(0, 300)
tests = st.builds(ConfusionCounts, st.integers(1, 300), counts, counts, st.integers(1, 300), counts, counts)


def known(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


def test_values_are_the_rates_of_the_test_put_into_the_line() -> None:
    found = forecast(TESTED, LINE, COSTS, draws=100)
    values = {name: known(estimate).value for name, estimate in found.items()}
    assert values == pytest.approx(
        {
            "escapes_per_million": 1e6 * 0.02 * 0.03,
            "escapes_per_shift": 20 * 0.03,
            "false_rejects_per_shift": 980 * 5 / 200,
            "looks_per_shift": 20 * 0.07 + 980 * 15 / 200,
            "cost_per_month": 40 * (100 * 20 * 0.03 + 3 * 980 * 5 / 200 + 0.5 * (20 * 0.07 + 980 * 15 / 200)),
        }
    )


@given(tests)
def test_intervals_hold_their_values_and_nothing_is_negative(tested: ConfusionCounts) -> None:
    for estimate in forecast(tested, LINE, COSTS, draws=200).values():
        interval = known(estimate).interval
        assert 0 <= interval.low <= known(estimate).value <= interval.high


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_of_escapes_is_that_of_the_beta_distribution(confidence: float) -> None:
    found = known(forecast(TESTED, LINE, draws=200_000, confidence=confidence)["escapes_per_million"]).interval
    tail = (1 - confidence) / 2
    low, high = stats.beta.ppf([tail, 1 - tail], 3.5, 7.5 + 90.5)  # what Dirichlet says of one of its three shares
    assert (found.low, found.high) == pytest.approx((20_000 * low, 20_000 * high), rel=0.02)


def test_without_recheck_the_prior_has_two_outcomes() -> None:
    tested = ConfusionCounts(97, 3, 10, 190)
    found = forecast(tested, LINE, draws=200_000)
    interval = known(found["false_rejects_per_shift"]).interval
    low, high = stats.beta.ppf([0.025, 0.975], 10.5, 190.5)
    assert (interval.low, interval.high) == pytest.approx((980 * low, 980 * high), rel=0.02)
    looks = known(found["looks_per_shift"])
    assert (looks.value, looks.interval.low, looks.interval.high) == (0, 0, 0)


def test_a_recheck_that_can_happen_and_did_not_is_possible_still() -> None:
    looks = known(forecast(ConfusionCounts(97, 3, 10, 190), LINE, draws=1000, recheck=True)["looks_per_shift"])
    assert looks.value == looks.interval.low == 0 < looks.interval.high


def test_no_escape_among_few_parts_promises_little() -> None:
    escapes = known(forecast(ConfusionCounts(50, 0, 10, 190), LINE)["escapes_per_million"])
    assert escapes.value == escapes.interval.low == 0
    assert escapes.interval.high == pytest.approx(20_000 * stats.beta.ppf(0.975, 0.5, 50.5), rel=0.05)


def test_more_parts_make_the_interval_narrower() -> None:
    few, many = (
        forecast(ConfusionCounts(*(np.array([90, 3, 5, 180, 7, 15]) * k).tolist()), LINE, COSTS) for k in (1, 100)
    )
    for name, estimate in few.items():
        wide, narrow = known(estimate).interval, known(many[name]).interval
        assert narrow.high - narrow.low < 0.2 * (wide.high - wide.low), name


def test_the_same_arguments_give_the_same_forecast_and_another_seed_another() -> None:
    first = forecast(TESTED, LINE, COSTS, draws=100)
    assert first == forecast(TESTED, LINE, COSTS, draws=100) != forecast(TESTED, LINE, COSTS, draws=100, seed=1)


def test_without_costs_the_money_is_undefined_and_the_rest_is_the_same() -> None:
    with_costs, without = (forecast(TESTED, LINE, costs, draws=100) for costs in (COSTS, None))
    assert without["cost_per_month"] is None
    assert {**without, "cost_per_month": with_costs["cost_per_month"]} == with_costs


def test_looks_without_a_price_are_refused_where_there_are_looks() -> None:
    costs = Costs(escape=100, overkill=3)
    with pytest.raises(UserError, match="line.costs.look is not set, but parts are rechecked"):
        forecast(TESTED, LINE, costs)
    assert forecast(ConfusionCounts(97, 3, 10, 190), LINE, costs, draws=10)["cost_per_month"] is not None


def test_a_forecast_needs_both_classes() -> None:
    with pytest.raises(UserError, match="no NG parts were tested"):
        forecast(replace(TESTED, ng_found=0, escapes=0, ng_rechecked=0), LINE)
    with pytest.raises(UserError, match="no GO parts were tested"):
        forecast(replace(TESTED, overkills=0, go_passed=0, go_rechecked=0), LINE)


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="expected counts from 0"):
        forecast(replace(TESTED, escapes=-1), LINE)
    with pytest.raises(ValueError, match="recheck=False, but parts were rechecked"):
        forecast(TESTED, LINE, recheck=False)
    with pytest.raises(ValueError, match="draws=0, confidence=0.95"):
        forecast(TESTED, LINE, draws=0)


def test_parts_of_few_lots_make_the_interval_wider_and_leave_the_value() -> None:
    labels, chances = np.repeat([1, 0], 200), np.full(400, 0.9)
    chances[:20], chances[200:], chances[200:240] = 0.1, 0.1, 0.6  # two lots pass, and four good ones are rejected
    lots = [f"lot {part // 10}" for part in range(400)]
    worth = effective_parts(labels, chances, Thresholds.single(0.5), lots)
    assert worth == pytest.approx((20, 20))  # all parts of a lot are decided alike
    alone, grouped = (forecast(ConfusionCounts(180, 20, 40, 160), LINE, COSTS, worth=of) for of in (None, worth))
    for name in ("escapes_per_shift", "false_rejects_per_shift", "cost_per_month"):
        narrow, wide = known(alone[name]), known(grouped[name])
        assert wide.value == narrow.value
        assert wide.interval.high - wide.interval.low > 2 * (narrow.interval.high - narrow.interval.low), name


def test_independent_parts_are_worth_themselves() -> None:
    assert effective_parts([0, 1], [0.1, 0.9], Thresholds.single(0.5), None) is None
    as_one = forecast(TESTED, LINE, draws=100, worth=(100, 200))
    assert as_one == forecast(TESTED, LINE, draws=100)
    with pytest.raises(ValueError, match="expected numbers of parts above 0"):
        forecast(TESTED, LINE, worth=(0, 3))
