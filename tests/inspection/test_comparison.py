import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fancnn.inspection.comparison import Flip, equal_overkill, flips, mcnemar, new_escapes, paired_difference
from fancnn.inspection.scores import auroc

decisions = st.sampled_from(["GO", "RECHECK", "NG"])
tables = st.lists(st.tuples(st.integers(0, 1), decisions, decisions), max_size=40)
rights = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80)
Table = list[tuple[int, str, str]]
Rights = list[tuple[bool, bool]]


def columns(rows: list[tuple[object, ...]], width: int) -> list[NDArray[np.generic]]:
    return [np.array([row[i] for row in rows]) for i in range(width)]


@given(tables)
def test_flips_are_the_pictures_decided_differently(table: Table) -> None:
    paths = [f"{i}.png" for i in range(len(table))]
    found = flips(paths, *([row[i] for row in table] for i in range(3)))  # type: ignore[arg-type]
    assert found == [Flip(path, *row) for path, row in zip(paths, table, strict=True) if row[1] != row[2]]


def test_a_picture_of_unknown_truth_can_flip() -> None:
    assert flips(["a"], [None], ["GO"], ["RECHECK"]) == [Flip("a", None, "GO", "RECHECK")]


@given(rights)
def test_mcnemar_is_the_binomial_test_of_the_discordant_pictures(table: Rights) -> None:
    first, second = columns(table, 2)  # type: ignore[arg-type]
    one, other = sum(a and not b for a, b in table), sum(b and not a for a, b in table)
    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


@given(rights)
def test_mcnemar_does_not_care_which_model_is_the_first(table: Rights) -> None:
    first, second = columns(table, 2)  # type: ignore[arg-type]
    assert mcnemar(first, second) == mcnemar(second, first)


def test_models_that_are_right_together_do_not_differ() -> None:
    assert mcnemar([True, False], [True, False]) == 1
    assert mcnemar([], []) == 1


@given(tables)
def test_new_escapes_are_ng_parts_that_only_the_second_passes(table: Table) -> None:
    labels, first, second = columns(table, 3) if table else ([], [], [])  # type: ignore[arg-type]
    expected = [i for i, (label, a, b) in enumerate(table) if label == 1 and b == "GO" and a in ("NG", "RECHECK")]
    assert new_escapes(labels, first, second).tolist() == expected


def scored(size: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Labels, and probabilities of a poor and of a good model."""
    generator = np.random.default_rng(size)
    labels = np.arange(size) % 2
    hard = generator.normal(0, 1, size)
    poor, good = (1 / (1 + np.exp(-(hard + strength * (2 * labels - 1)))) for strength in (0.5, 1.0))
    return labels, poor, good


def test_the_better_model_is_better_beyond_chance() -> None:
    labels, poor, good = scored(300)
    value, interval = paired_difference(labels, poor, good, auroc, draws=200)
    assert value == pytest.approx(auroc(labels, good) - auroc(labels, poor))  # type: ignore[operator]
    assert interval is not None
    assert 0 < interval.low <= value <= interval.high


def test_both_models_are_scored_on_the_same_draws() -> None:
    labels, poor, _ = scored(300)
    value, interval = paired_difference(labels, poor, poor**2, auroc, draws=50)  # another scale, the same order
    assert interval is not None
    assert (value, interval.low, interval.high) == (0, 0, 0)


def test_swapping_the_models_turns_the_sign() -> None:
    labels, poor, good = scored(100)
    value, interval = paired_difference(labels, poor, good, auroc, draws=50)
    swapped, other = paired_difference(labels, good, poor, auroc, draws=50)
    assert interval is not None
    assert other is not None
    assert swapped == -value  # type: ignore[operator]
    assert (other.low, other.high) == pytest.approx((-interval.high, -interval.low))


def test_groups_are_kept_together_in_the_draws() -> None:
    labels, poor, good = (np.repeat(column, 4) for column in scored(60))
    widths = []
    for groups in (None, [str(i // 4) for i in range(240)]):
        _, interval = paired_difference(labels, poor, good, auroc, groups, draws=200)
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert widths[1] > 1.4 * widths[0]


def test_a_difference_of_the_undefined_is_undefined() -> None:
    assert paired_difference([1, 1], [0.1, 0.2], [0.3, 0.4], auroc, draws=9) == (None, None)
    assert paired_difference([], [], [], auroc, draws=9) == (None, None)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one row a picture, got 2 and 1"):
        mcnemar([True, False], [True])
    with pytest.raises(ValueError, match="expected one row a picture, got 2 and 2 and 1"):
        new_escapes([1, 0], ["GO", "GO"], ["GO"])
    with pytest.raises(ValueError, match="expected one row a picture, got 1 and 2 and 1"):
        paired_difference([1], [0.1, 0.2], [0.3], auroc)
    with pytest.raises(ValueError, match="shorter"):
        flips(["a", "b"], [1], ["GO"], ["NG"])


levels = st.integers(0, 8).map(lambda level: level / 8)  # with ties


@given(st.lists(levels, min_size=1, max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_equal_overkill_takes_the_lowest_thresholds_that_treat_no_more_good_parts_badly(
    chances: list[float], overkills: int, rechecked: int
) -> None:
    found = equal_overkill(chances, overkills, rechecked)
    assert found is not None
    for threshold, allowed in ((found.upper, overkills), (found.lower, overkills + rechecked)):
        enough = [place for place in (0.0, *chances) if sum(chance > place for chance in chances) <= allowed]
        assert threshold == min(enough)


def test_without_good_parts_there_is_no_equal_overkill() -> None:
    assert equal_overkill([], 0) is None
