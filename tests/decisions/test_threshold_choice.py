import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import f1_score

from fancnn.decisions.line_costs import Costs
from fancnn.decisions.threshold_choice import (
    MARGIN,
    candidates,
    halfway_below,
    max_f1_threshold,
    min_cost_threshold,
    threshold_for_escape_rate,
    threshold_for_overkill_rate,
)
from fancnn.errors import UserError
from fancnn.metrics.thresholds import Thresholds

probabilities_of = st.integers(0, 20).map(lambda i: i / 20)  # 0 and 1 among them
tables = (
    st.lists(st.tuples(st.integers(0, 1), probabilities_of), min_size=2, max_size=25)
    .filter(lambda table: len({label for label, _ in table}) == 2)
    .map(lambda table: (np.array([y for y, _ in table]), np.array([p for _, p in table])))
)
Table = tuple[np.ndarray, np.ndarray]
money = st.integers(0, 20).map(float)


@given(st.lists(st.sampled_from([0.0, 1.0]) | st.floats(0, 1), min_size=1, max_size=20))
def test_candidates_reach_every_way_to_divide_the_images_that_any_threshold_has(scores: list[float]) -> None:
    places = candidates(scores)
    assert ((places >= 0) & (places <= 1)).all()
    levels = sorted(set(scores))
    reached = {tuple(score > place for score in levels) for place in places}
    assert reached == {tuple(score > place for score in levels) for place in (0.0, *levels)}


@given(tables)
def test_no_threshold_has_a_greater_f1(table: Table) -> None:
    labels, probabilities = table
    chosen = max_f1_threshold(labels, probabilities).thresholds.upper
    best = max(f1_score(labels, probabilities > place, zero_division=0) for place in candidates(probabilities))
    assert f1_score(labels, probabilities > chosen, zero_division=0) == pytest.approx(best)


def brute_force(table: Table, costs: Costs, ng_rate: float, most: float) -> float:
    """Least cost over all pairs of thresholds that are a score, 0 or 1: with `score > threshold` these are all."""
    labels, probabilities = table
    ng, go = probabilities[labels == 1], probabilities[labels == 0]
    places, least = np.unique([0.0, *probabilities, 1.0]), math.inf
    for i, lower in enumerate(places):
        for upper in places[i:] if costs.look is not None else [lower]:
            ng_looked, go_looked = (np.mean((scores > lower) & (scores <= upper)) for scores in (ng, go))
            looks = ng_rate * ng_looked + (1 - ng_rate) * go_looked
            mistakes = ng_rate * costs.escape * np.mean(ng <= lower)
            mistakes += (1 - ng_rate) * costs.overkill * np.mean(go > upper)
            if looks <= most + 1e-12:
                least = min(least, mistakes + (costs.look or 0) * looks)
    return float(least)


def expected_cost(
    labels: ArrayLike, probabilities: ArrayLike, thresholds: Thresholds, costs: Costs, ng_rate: float
) -> float:
    """What a part of the line costs on average at these thresholds; as in `min_cost_threshold`."""
    truth = np.asarray(labels).astype(bool)
    ranks = thresholds.ranks(probabilities)
    ng, go = ranks[truth], ranks[~truth]
    looked = ng_rate * np.mean(ng == 1) + (1 - ng_rate) * np.mean(go == 1)
    mistakes = costs.escape * ng_rate * np.mean(ng == 0) + costs.overkill * (1 - ng_rate) * np.mean(go == 2)
    return float(mistakes + (costs.look or 0.0) * looked)


@settings(max_examples=200)
@given(
    tables, money, money, st.none() | money, st.sampled_from([0.01, 0.3, 0.5]), st.sampled_from([0.0, 0.1, 0.4, 1.0])
)
def test_no_pair_of_thresholds_costs_less(
    table: Table, escape: float, overkill: float, look: float | None, ng_rate: float, most: float
) -> None:
    costs = Costs(escape, overkill, look)
    chosen = min_cost_threshold(*table, costs, ng_rate, most).thresholds
    found = expected_cost(*table, chosen, costs, ng_rate)
    assert found == pytest.approx(brute_force(table, costs, ng_rate, most), abs=1e-9)
    single = min_cost_threshold(*table, Costs(escape, overkill), ng_rate).thresholds
    assert found <= expected_cost(*table, single, costs, ng_rate) + 1e-9
    ranks = chosen.ranks(table[1])
    looked = ng_rate * np.mean(ranks[table[0] == 1] == 1) + (1 - ng_rate) * np.mean(ranks[table[0] == 0] == 1)
    assert looked <= most + 1e-9


def test_a_rare_defect_on_the_line_moves_the_threshold_though_the_images_are_half_ng() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    probabilities = np.clip(generator.normal(0.35 + 0.3 * labels, 0.15), 0, 1)
    costs = Costs(escape=10, overkill=1)
    even, rare = (min_cost_threshold(labels, probabilities, costs, rate).thresholds.upper for rate in (0.5, 0.01))
    assert rare > even + 0.1


@pytest.mark.parametrize("labels", [[1, 1], [0, 0]])
def test_costs_need_both_classes(labels: list[int]) -> None:
    with pytest.raises(UserError, match="needs GO and NG images; here are only"):
        min_cost_threshold(labels, [0.1, 0.9], Costs(1, 1), 0.1)


def test_f1_needs_ng_images() -> None:
    with pytest.raises(UserError, match="needs NG images"):
        max_f1_threshold([0, 0], [0.1, 0.9])


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 299), (0.001, 2995)])
def test_one_image_too_few_is_refused_with_the_number_needed(rate: float, needed: int) -> None:
    scores = np.linspace(0.5, 0.9, needed)
    assert (scores > threshold_for_escape_rate(scores, rate).thresholds.upper).all()
    with pytest.raises(UserError, match=f"{needed - 1:,} NG parts cannot prove .*: {needed:,} NG parts are needed"):
        threshold_for_escape_rate(scores[1:], rate)


def test_parts_that_are_certain_to_pass_cannot_be_promised_away() -> None:
    scores = np.r_[np.zeros(10), np.linspace(0.5, 1, 290)]
    with pytest.raises(UserError, match="10 of 300 NG parts have probability 0 and pass at any threshold"):
        threshold_for_escape_rate(scores, 0.01)


@given(st.floats(0, 1), st.lists(st.floats(0, 1), max_size=20))
def test_a_threshold_lies_halfway_and_never_close_below_the_score_that_must_not_pass(
    score: float, known: list[float]
) -> None:
    place = halfway_below(score, known)
    assert 0 <= place <= max(0.0, score - min(MARGIN, score) + 1e-15)
    if score >= 2 * MARGIN:
        assert score - place >= MARGIN
        lower = [other for other in (0.0, *known) if other < score and (score - other) / 2 >= MARGIN * (1 + 1e-9)]
        assert place >= score - (score - max(lower)) / 2 - 1e-12  # halfway to the next one that is far enough


def test_parts_at_the_boundary_keep_their_decision_where_a_runtime_computes_a_little_differently() -> None:
    scores = np.linspace(0.3, 0.9, 400)
    chosen = threshold_for_escape_rate(scores, 0.02, go_probabilities=np.linspace(0.0, 0.31, 300)).thresholds
    beyond = scores > chosen.upper
    for difference in (-2e-5, 2e-5):
        np.testing.assert_array_equal((scores + difference > chosen.upper)[beyond], True)


@pytest.mark.slow
@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(("count", "rate", "confidence"), [(299, 0.01, 0.95), (400, 0.02, 0.95), (150, 0.05, 0.9)])
def test_the_promise_is_broken_no_more_often_than_said(
    count: int, rate: float, confidence: float, coarse: bool
) -> None:
    draws = 2000
    generator = np.random.default_rng(count)
    scores = generator.beta(3, 1, (draws, count))
    if coarse:  # many equal scores: the promise holds for them too
        scores = np.ceil(scores * 200) / 200
    broken, everywhere = 0, np.linspace(0, 1, 2001)  # GO images leave no room to be cautious by going halfway
    for sample in scores:
        choice = threshold_for_escape_rate(sample, rate, confidence, go_probabilities=everywhere)
        threshold = choice.thresholds.upper
        below = np.floor(threshold * 200) / 200 if coarse else threshold
        broken += stats.beta.cdf(below, 3, 1) > rate  # the true escape rate
    margin = stats.binom.ppf(0.999, draws, 1 - confidence)
    assert broken <= margin
    assert coarse or broken >= stats.binom.ppf(0.001, draws, 0.5 * (1 - confidence))  # nor is it empty caution


def test_expected_cost_counts_looks() -> None:
    labels, probabilities = [1, 1, 0, 0], [0.2, 0.5, 0.5, 0.9]
    cost = expected_cost(labels, probabilities, Thresholds(0.3, 0.7), Costs(100, 10, 1), 0.1)
    assert cost == pytest.approx(0.1 * (0.5 * 100 + 0.5 * 1) + 0.9 * (0.5 * 10 + 0.5 * 1))


# Overkills


@pytest.mark.parametrize(("count", "rate", "place"), [(19, 0.05, 1), (38, 0.05, 1), (39, 0.05, 2), (200, 0.1, 20)])
def test_new_good_parts_are_rejected_as_often_as_order_statistics_say(count: int, rate: float, place: int) -> None:
    """Of uniform scores the share above a threshold is known: it is Beta(r, n - r + 1), whatever the distribution."""
    random, confidence = np.random.default_rng(0), 0.9
    chosen = [threshold_for_overkill_rate(random.random(count), rate, confidence) for _ in range(4000)]
    shares = np.array([1 - item.thresholds.upper for item in chosen])
    assert stats.kstest(shares, stats.beta(place, count - place + 1).cdf).pvalue > 0.001
    assert shares.mean() == pytest.approx(place / (count + 1), rel=0.05)
    assert place / (count + 1) <= rate + 1e-12 < (place + 1) / (count + 1)
    bound = stats.beta.ppf(confidence, place, count - place + 1)
    assert np.mean(shares > bound) == pytest.approx(1 - confidence, abs=0.02)
    stated = float(chosen[0].reason.split("; <= ")[1].split(" %")[0]) / 100
    assert bound <= stated <= bound + 0.001 + 0.01 * bound


@given(st.lists(probabilities_of, min_size=1, max_size=60), st.floats(0.02, 0.9))
def test_no_lower_threshold_keeps_the_overkill_rate_and_equal_scores_pass_together(
    scores: list[float], rate: float
) -> None:
    try:
        upper = threshold_for_overkill_rate(scores, rate).thresholds.upper
    except UserError:
        assert 1 / (len(scores) + 1) > rate
        return
    values = np.array(scores)
    assert np.sum(values > upper) <= rate * len(scores)
    lower = [score for score in scores if score < upper - 2 * MARGIN]
    assert all((np.sum(values > score) + 1) / (len(scores) + 1) > rate for score in lower if score < max(scores))


def test_too_few_good_parts_for_an_overkill_rate_are_refused_with_the_number_it_takes() -> None:
    with pytest.raises(UserError, match="18 GO parts cannot carry .* <= 5 %: 19 are needed.*overkill_rate=0.053"):
        threshold_for_overkill_rate([0.5] * 18, 0.05)
    with pytest.raises(UserError, match="3 groups with GO parts .* of groups <= 10 %: 9 are needed"):
        threshold_for_overkill_rate([0.5] * 3, 0.1, unit="group")
    threshold_for_overkill_rate([0.5] * 18, 0.053)
    with pytest.raises(UserError, match="0 GO parts cannot carry .*rule=fixed"):
        threshold_for_overkill_rate([], 0.05)
