import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fancnn.metrics.clusters import unit_numbers
from fancnn.metrics.score_differences import equal_overkill, holm, mcnemar, new_escapes, new_overkills

decisions = st.sampled_from(["GO", "RECHECK", "NG"])
tables = st.lists(st.tuples(st.integers(0, 1), decisions, decisions), max_size=40)
rights = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80)
Table = list[tuple[int, str, str]]
Rights = list[tuple[bool, bool]]


def columns(rows: list[tuple[object, ...]], width: int) -> list[NDArray[np.generic]]:
    return [np.array([row[i] for row in rows]) for i in range(width)]


@given(rights)
def test_mcnemar_is_the_binomial_test_of_the_discordant_images(table: Rights) -> None:
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


@given(tables)
def test_new_overkills_are_go_parts_that_only_the_second_rejects(table: Table) -> None:
    labels, first, second = columns(table, 3) if table else ([], [], [])  # type: ignore[arg-type]
    expected = [i for i, (label, a, b) in enumerate(table) if label == 0 and b == "NG" and a in ("GO", "RECHECK")]
    assert new_overkills(labels, first, second).tolist() == expected


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_mcnemar_by_group_tries_every_sign_of_every_group(table: list[tuple[bool, bool, int]]) -> None:
    first, second = columns([row[:2] for row in table], 2)  # type: ignore[arg-type]
    sums: dict[int, int] = {}
    for one, other, group in table:
        sums[group] = sums.get(group, 0) + int(one) - int(other)
    seen = abs(sum(sums.values()))
    signs = list(itertools.product((-1, 1), repeat=len(sums)))
    far = [abs(sum(sign * of for sign, of in zip(chosen, sums.values(), strict=True))) >= seen for chosen in signs]
    found = mcnemar(first, second, [f"lot {row[2]}" for row in table])
    assert found == pytest.approx(sum(far) / len(far), rel=1e-9)


@given(rights)
def test_mcnemar_by_groups_of_one_image_is_that_by_image(table: Rights) -> None:
    first, second = columns(table, 2)  # type: ignore[arg-type]
    for groups in ([""] * len(table), [str(number) for number in range(len(table))]):
        assert mcnemar(first, second, groups) == pytest.approx(mcnemar(first, second), rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_its_steps_reject(p_values: list[float], level: float) -> None:
    rejected = set()
    for step, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(int(place))
    assert {place for place, value in enumerate(holm(p_values)) if value <= level} == rejected


def test_images_of_a_group_are_one_unit_and_those_without_one_stand_alone() -> None:
    assert unit_numbers(["b", "", "b", "a", ""], 5).tolist() == [0, 1, 0, 2, 3]
    assert unit_numbers(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="2 groups for 3 images: expected one for each"):
        unit_numbers(["a", "b"], 3)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one row an image, got 2 and 1"):
        mcnemar([True, False], [True])
    with pytest.raises(ValueError, match="expected one row an image, got 2 and 2 and 1"):
        new_escapes([1, 0], ["GO", "GO"], ["GO"])


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
