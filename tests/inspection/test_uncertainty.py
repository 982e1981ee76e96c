import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import bootstrap_intervals
from fancnn.inspection.scores import confusion, rates, score
from fancnn.inspection.uncertainty import bootstrapped, exact_intervals, sampled_scores

chances = st.integers(0, 20).map(lambda i: i / 20)
tables = st.lists(st.tuples(st.integers(0, 1), chances), min_size=1, max_size=40)
Table = list[tuple[int, float]]
HALF = Thresholds.single(0.5)
pairs = st.tuples(chances, chances).map(lambda pair: Thresholds(min(pair), max(pair)))


def noisy(size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(size)
    labels = (generator.random(size) < 0.3).astype(np.int64)
    return labels, np.clip(generator.normal(0.3 + 0.4 * labels, 0.2), 0, 1)


@given(tables, st.lists(st.integers(0, 10**6), max_size=60), pairs)
def test_the_quick_scores_of_a_sample_are_the_scores_of_its_pictures(
    table: Table, draws: list[int], thresholds: Thresholds
) -> None:
    labels, probabilities = np.array([y for y, _ in table]), np.array([p for _, p in table])
    sample = np.array([draw % len(table) for draw in draws], dtype=np.intp)
    expected = score(labels[sample], probabilities[sample], thresholds)
    for name, value in sampled_scores(labels, probabilities, thresholds)(sample).items():
        assert value == (None if expected[name] is None else pytest.approx(expected[name], abs=1e-12)), name


def test_every_score_has_an_interval_of_one_kind() -> None:
    labels, probabilities = noisy(60)
    exact = exact_intervals(confusion(labels, probabilities, HALF))
    drawn = bootstrapped(labels, probabilities, HALF, draws=50)
    assert sorted([*exact, *drawn, "calibration_error"]) == sorted(score(labels, probabilities, HALF))


@given(tables)
def test_exact_intervals_hold_their_rates_and_are_none_where_those_are(table: Table) -> None:
    counts = confusion([y for y, _ in table], [p for _, p in table], HALF)
    for name, interval in exact_intervals(counts).items():
        rate = rates(counts)[name]
        assert (rate is None) == (interval is None)
        assert rate is None or interval is None or interval.low <= rate <= interval.high


def test_the_interval_of_recall_is_scipys() -> None:
    counts = confusion([1] * 60 + [0] * 60, [0.9] * 48 + [0.1] * 70 + [0.9] * 2, HALF)
    oracle = stats.binomtest(48, 60).proportion_ci(0.9, method="exact")
    found = exact_intervals(counts, confidence=0.9)["recall"]
    assert found is not None
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))


def test_bootstrap_intervals_are_those_of_scoring_every_draw() -> None:
    labels, probabilities = noisy(80)
    slow = bootstrap_intervals(lambda s: score(labels[s], probabilities[s], HALF), None, 80, draws=100, seed=2)
    for name, interval in bootstrapped(labels, probabilities, HALF, draws=100, seed=2).items():
        expected = slow[name]
        assert interval is not None
        assert expected is not None
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12), name


def test_one_class_alone_has_no_interval_of_what_needs_both() -> None:
    found = bootstrapped([1] * 20, np.linspace(0, 1, 20), HALF, draws=20)
    undefined = {name for name, interval in found.items() if interval is None}
    assert undefined == {"balanced_accuracy", "mcc", "auroc"}


def test_a_score_that_is_the_same_in_every_sample_has_no_interval() -> None:
    labels = [0, 1] * 10
    assert bootstrapped(labels, [0.1, 0.9] * 10, HALF)["auroc"] is None  # perfect here is not perfect for certain


def test_groups_of_like_pictures_make_intervals_wider() -> None:
    labels, probabilities = noisy(60)
    copied = np.repeat(labels, 5), np.repeat(probabilities, 5)
    widths = []
    for groups in (None, [str(i // 5) for i in range(300)]):
        interval = bootstrapped(*copied, HALF, groups, draws=300)["auroc"]
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[1] > 1.5 * widths[0]
