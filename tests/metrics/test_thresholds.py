import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.score_registry import score
from fancnn.metrics.thresholds import DECISIONS, Thresholds

shares = st.integers(0, 10).map(lambda i: i / 10)
pairs = st.tuples(shares, shares).map(lambda pair: Thresholds(min(pair), max(pair)))


@given(pairs, shares)
def test_a_higher_probability_is_never_decided_more_kindly(thresholds: Thresholds, probability: float) -> None:
    ranks = thresholds.ranks([probability, min(probability + 0.05, 1.0)])
    assert ranks[0] <= ranks[1]
    assert thresholds.decide(probability) == DECISIONS[ranks[0]]


@given(shares, shares)
def test_equal_thresholds_leave_no_recheck(threshold: float, probability: float) -> None:
    single = Thresholds.single(threshold)
    assert not single.has_recheck
    assert single.decide(probability) == ("NG" if probability > threshold else "GO")


@pytest.mark.parametrize("pair", [(0.6, 0.5), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_thresholds_in_the_wrong_order_are_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"should be 0 <= lower <= upper <= 1"):
        Thresholds(*pair)


def test_a_recheck_is_neither_escape_nor_overkill() -> None:
    labels, probabilities, thresholds = [1, 1, 1, 0, 0, 0], [0.1, 0.5, 0.9, 0.1, 0.5, 0.9], Thresholds(0.3, 0.7)
    counts = ConfusionCounts.of(labels, probabilities, thresholds)
    assert (counts.escapes, counts.ng_rechecked, counts.ng_found) == (1, 1, 1)
    assert (counts.go_passed, counts.go_rechecked, counts.overkills) == (1, 1, 1)
    assert counts.in_words() == (
        "1 of 3 NG parts found, 1 to RECHECK, 1 escape; 1 of 3 GO parts passed, 1 to RECHECK, 1 overkill"
    )
    scores = score(labels, probabilities, thresholds)
    assert (scores["recall"], scores["specificity"], scores["recheck_rate"]) == pytest.approx((2 / 3, 2 / 3, 1 / 3))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_no_decision(value: float) -> None:
    for thresholds in (Thresholds.single(0.5), Thresholds(0.2, 0.7), Thresholds.single(0.0)):
        with pytest.raises(ValueError, match="no decision: expected probabilities"):
            thresholds.decide(value)
        with pytest.raises(ValueError, match="no decision: expected probabilities"):
            thresholds.ranks([0.1, value])
    assert Thresholds.single(0.5).ranks([]).tolist() == []
