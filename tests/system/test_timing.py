import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.system.timing import Result, in_turn, shown

figures = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=9)


@given(values=figures, factor=st.floats(0.01, 100))
def test_the_ratio_is_taken_pair_by_pair(values: list[float], factor: float) -> None:
    result = Result("epoch", "images/s", [value * factor for value in values], values, "a bare loop")
    assert result.ratio == pytest.approx(factor)
    assert result.median == statistics.median(result.values)
    assert result.as_json()["ratio"] == result.ratio


def test_without_a_limit_there_is_no_ratio() -> None:
    assert Result("epoch", "s", [1.0]).ratio is None
    assert Result("epoch", "s", [1.0]).cells()[-1] == ""


def test_works_take_turns_and_a_first_round_is_not_counted() -> None:
    calls: list[str] = []

    def work(name: str, value: float) -> float:
        calls.append(name)
        return value + len(calls)

    ours, bare = in_turn(2, lambda: work("ours", 0), lambda: work("bare", 0))
    assert calls == ["ours", "bare"] * 3
    assert (ours, bare) == ([3, 5], [4, 6])


@given(st.floats(1e-6, 1e7))
def test_figures_are_shown_with_three_digits_or_more(value: float) -> None:
    assert float(shown(value).replace(",", "")) == pytest.approx(value, rel=0.006)
