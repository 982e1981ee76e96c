from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from fancnn.metrics.paired_differences import RATES, Difference, auroc_difference, rate_differences

Rows = list[tuple[int, int, int]]
rows_of_ranks = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=60)
levels = st.integers(0, 8).map(lambda level: level / 8)  # with ties
rows_of_scores = st.lists(st.tuples(st.integers(0, 1), levels, levels), min_size=4, max_size=40)


def columns(rows: Sequence[tuple[float, ...]]) -> list[NDArray[np.generic]]:
    return [np.array(column) for column in zip(*rows, strict=True)]


def width(found: Difference) -> float:
    assert found.interval is not None
    return found.interval.high - found.interval.low


@given(rows_of_ranks)
def test_differences_of_rates_are_those_of_scikit_learn(rows: Rows) -> None:
    labels, first, second = columns(rows)
    # who looks at a RECHECK is taken to be right
    called = [np.where(ranks == 1, labels, ranks == 2) for ranks in (first, second)]
    found = rate_differences(labels, first, second)
    accuracy = np.mean(called[1] == labels) - np.mean(called[0] == labels)
    assert found["accuracy"].value == pytest.approx(accuracy)
    for name, label, wrong in (("escape_rate", 1, 0), ("overkill_rate", 0, 1)):
        of_class = labels == label
        if not of_class.any():
            assert found[name] == Difference(None, None)
            continue
        shares = [np.mean(of[of_class] == wrong) for of in called]
        assert found[name].value == pytest.approx(shares[1] - shares[0])
    if (labels == 1).any():
        scores = [f1_score(labels, of) for of in called]
        assert found["f1"].value == pytest.approx(scores[1] - scores[0])
    else:
        assert found["f1"].value is None


@given(rows_of_scores)
def test_the_difference_of_auroc_is_that_of_scikit_learn(rows: list[tuple[int, float, float]]) -> None:
    labels, first, second = columns(rows)
    found = auroc_difference(labels, first, second)
    if len(set(labels.tolist())) < 2:
        assert found == Difference(None, None)
        return
    assert found.value == pytest.approx(roc_auc_score(labels, second) - roc_auc_score(labels, first), abs=1e-12)


@given(rows_of_ranks, rows_of_scores)
def test_an_interval_has_a_width_holds_its_value_and_turns_with_the_models(
    ranks: Rows, scores: list[tuple[int, float, float]]
) -> None:
    labels, first, second = columns(ranks)
    there, back = rate_differences(labels, first, second), rate_differences(labels, second, first)
    of_scores, one, other = columns(scores)
    there["auroc"], back["auroc"] = auroc_difference(of_scores, one, other), auroc_difference(of_scores, other, one)
    for name, found in there.items():
        if found.value is None or found.interval is None:
            assert back[name].interval is None
            continue
        assert -1 <= found.interval.low <= found.value <= found.interval.high <= 1
        assert width(found) > 0
        assert back[name].value == pytest.approx(-found.value)
        mirrored = back[name].interval
        assert mirrored is not None
        assert (mirrored.low, mirrored.high) == pytest.approx((-found.interval.high, -found.interval.low))


def test_five_ng_parts_that_both_find_leave_much_open() -> None:
    labels = np.repeat([1, 0], [5, 200])
    ranks, scores = 2 * labels, np.linspace(1, 0, 205)
    assert width(rate_differences(labels, ranks, ranks)["escape_rate"]) > 0.5
    assert width(auroc_difference(labels, scores, scores)) > 0.2


def test_the_interval_of_a_rate_is_that_of_bonett_and_price_with_students_t() -> None:
    # 40 parts, 7 that only the first misses and 2 that only the second does
    first, second = np.full(40, 2), np.full(40, 2)
    first[:7], second[7:9] = 0, 0
    found = rate_differences(np.ones(40, int), first, second)["escape_rate"]
    lost, gained = (2 + 1) / 42, (7 + 1) / 42
    half = stats.t.ppf(0.975, 41) * np.sqrt((lost + gained - (lost - gained) ** 2) / 42)
    assert found.interval is not None
    expected = (lost - gained - half, lost - gained + half)
    assert (found.interval.low, found.interval.high) == pytest.approx(expected)


def test_with_many_images_it_comes_to_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    hard = rng.normal(0, 1, labels.size)
    first, second = (hard + rng.normal(0, 1, labels.size) + of * labels for of in (0.8, 1.2))
    ranks = [2 * (of > 0.6) for of in (first, second)]
    found = {"auroc": auroc_difference(labels, first, second), **rate_differences(labels, *ranks)}

    def values(sample: NDArray[np.intp]) -> list[float]:
        truth = labels[sample]
        called = [of[sample] == 2 for of in ranks]
        scores = [f1_score(truth, of) for of in called]
        shares = [[np.mean(of == truth), np.mean(~of[truth == 1]), np.mean(of[truth == 0])] for of in called]
        areas = [roc_auc_score(truth, of[sample]) for of in (first, second)]
        accuracy, escape, overkill = np.subtract(shares[1], shares[0])
        return [areas[1] - areas[0], accuracy, scores[1] - scores[0], escape, overkill]

    drawn = np.array([values(rng.integers(0, labels.size, labels.size)) for _ in range(200)])
    for name, spread in zip(("auroc", *RATES), drawn.std(axis=0), strict=True):
        # 200 draws know a spread to about 5 %
        assert width(found[name]) / (2 * 1.96) == pytest.approx(spread, rel=0.2), name


def test_copies_in_groups_are_no_more_than_one_of_each() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    first, second = (rng.normal(0, 1, 60) + of * labels for of in (1.0, 1.5))
    groups = [str(number) for number in range(60)]
    copied = [np.repeat(column, 4) for column in (labels, first, second)]
    lots = [name for name in groups for _ in range(4)]
    alone, together = auroc_difference(labels, first, second), auroc_difference(*copied, groups=lots)
    assert together.interval is not None
    assert alone.interval is not None
    assert (together.interval.low, together.interval.high) == pytest.approx((alone.interval.low, alone.interval.high))
    of_rates = [
        rate_differences(of, 2 * (a > 0.5), 2 * (b > 0.5), of_lots)
        for of, a, b, of_lots in ((labels, first, second, None), (*copied, lots))
    ]
    for name in RATES:
        assert width(of_rates[0][name]) == pytest.approx(width(of_rates[1][name])), name


def test_one_group_gives_a_value_and_no_interval() -> None:
    found = rate_differences([1, 1, 0, 0], [2, 2, 0, 0], [0, 2, 0, 0], groups=["a", "a", "b", "c"])
    assert found["escape_rate"] == Difference(0.5, None)
    assert found["overkill_rate"].interval is not None
    assert auroc_difference([1, 0, 0], [0.9, 0.1, 0.2], [0.9, 0.1, 0.2]) == Difference(0.0, None)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one row an image, got 1 and 2 and 1"):
        auroc_difference([1], [0.1, 0.2], [0.3])
    with pytest.raises(ValueError, match="expected one row an image, got 2 and 2 and 1"):
        rate_differences([1, 0], [2, 0], [2])
    with pytest.raises(ValueError, match="1 groups for 2 images"):
        auroc_difference([1, 0], [0.1, 0.2], [0.3, 0.4], ["a"])
