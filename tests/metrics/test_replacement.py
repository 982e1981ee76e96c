import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from fancnn.metrics.replacement import (
    MOST_DRAWS,
    VERDICTS,
    NewMistakes,
    Verdict,
    bound_in_groups,
    new_mistakes,
    verdict_on,
)


def flags(count: int, parts: int) -> list[bool]:
    return [True] * count + [False] * (parts - count)


def clopper_pearson(count: int, parts: int, confidence: float) -> float:
    return float(stats.beta.ppf(confidence, count + 1, parts - count)) if count < parts else 1.0


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([0.9, 0.95, 0.99]))
def test_without_groups_the_bound_is_exact(count: int, passed: int, confidence: float) -> None:
    parts = count + passed
    alone = [str(number) for number in range(parts)]
    for groups in (None, [""] * parts, alone):
        found = bound_in_groups(flags(count, parts), groups, confidence)
        assert found == pytest.approx(clopper_pearson(count, parts, confidence))


@given(st.integers(0, 20), st.integers(1, 20), st.integers(2, 5))
def test_groups_flagged_as_a_whole_count_once(count: int, passed: int, size: int) -> None:
    lots = [f"lot {number}" for number in range(count + passed) for _ in range(size)]
    found = bound_in_groups([flag for flag in flags(count, count + passed) for _ in range(size)], lots)
    assert found == pytest.approx(clopper_pearson(count, count + passed, 0.95))


@settings(max_examples=20)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=12))
def test_the_drawn_quantile_is_right_where_it_can_be_computed(sizes: list[int]) -> None:
    """None flagged: P(w_0 m (1 - r) >= r sum of w_g n_g) is a product, for weights that are exponentials."""
    largest = max(sizes)

    def above(rate: float) -> float:
        odds = rate / (1 - rate) / largest
        return float(np.prod([1 / (1 + odds * size) for size in sizes])) - 0.05

    exact = optimize.brentq(above, 1e-9, 1 - 1e-9)
    lots = [f"lot {number}" for number, size in enumerate(sizes) for _ in range(size)]
    found = bound_in_groups([False] * sum(sizes), lots)
    assert exact - 1e-9 <= found <= exact * 1.05 + 1e-9


def test_the_bound_is_of_parts_and_one_large_group_that_passes_counts() -> None:
    lots = ["large"] * 40 + [f"lot {number}" for number in range(60)]
    found = bound_in_groups(flags(40, 100), lots)
    assert found > 0.4, "four of ten parts pass, though one of 61 groups does"


def test_more_confidence_than_draws_can_show_is_none() -> None:
    lots = ["a", "a", "b", "c", "d", "d", "d"]
    assert bound_in_groups([True, *[False] * 6], lots, 1 - 1 / (10 * MOST_DRAWS)) == 1.0


def test_one_model_without_margin_has_its_own_bound() -> None:
    (found,) = new_mistakes([flags(1, 50)])
    assert found == NewMistakes(1, 50, 50, pytest.approx(clopper_pearson(1, 50, 0.95)), pytest.approx(0.95))


def test_without_margins_bounds_are_corrected_for_all_models() -> None:
    found = new_mistakes([flags(0, 50), flags(2, 50), flags(5, 50)])
    for item, count in zip(found, (0, 2, 5), strict=True):
        assert item.level == pytest.approx(1 - 0.05 / 3)
        assert item.bound == pytest.approx(clopper_pearson(count, 50, 1 - 0.05 / 3))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=5), st.sampled_from([0.01, 0.03, 0.05, 0.1]))
def test_a_margin_is_tested_step_by_step(counts: list[int], margin: float) -> None:
    found = new_mistakes([flags(count, 120) for count in counts], margin=margin)
    p_values = [float(stats.binom.cdf(count, 120, margin)) for count in counts]
    rejected: set[int] = set()
    for step, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] >= 0.05 / (len(counts) - step):
            break
        rejected.add(int(place))
    assert {place for place, item in enumerate(found) if item.within} == rejected
    remaining = len(counts) - len(rejected)
    for place, item in enumerate(found):
        if place in rejected and remaining:
            assert item.bound == margin, "no more is said of it, so that all of it holds together"
        else:
            level = 1 - 0.05 / (remaining or len(counts))
            assert item.level == pytest.approx(level)
            bound = clopper_pearson(counts[place], 120, level)
            assert item.bound == pytest.approx(min(bound, margin) if item.within else bound)


@pytest.mark.parametrize(
    ("escapes", "overkills", "margins", "more", "expected"),
    [
        ((0, 200), (0, 200), (None, None), {}, "passes"),
        ((1, 200), (0, 200), (None, None), {}, "new escapes"),
        ((0, 200), (3, 200), (None, None), {"overkills_gone": 3}, "passes"),
        ((0, 200), (4, 200), (None, None), {"overkills_gone": 3}, "new overkills"),
        ((0, 20), (20, 20), (None, None), {}, "new overkills"),
        ((0, 0), (0, 20), (None, None), {}, "not proven"),
        ((0, 20), (0, 0), (None, None), {}, "not proven"),
        ((0, 20), (0, 20), (None, None), {"excluded": 1}, "not all compared"),
        ((0, 20), (0, 20), (None, None), {"trained_on": 1}, "not proven"),
        ((0, 200), (0, 200), (0.02, 0.02), {}, "passes"),
        ((0, 20), (0, 200), (0.02, 0.02), {}, "not proven"),
        ((0, 200), (0, 20), (0.02, 0.02), {}, "not proven"),
        ((3, 200), (0, 200), (0.02, 0.02), {}, "not proven"),  # 1.5 % seen, and more is compatible
        ((4, 200), (0, 200), (0.02, 0.02), {}, "new escapes"),
        ((3, 2000), (9, 2000), (0.02, 0.02), {}, "passes"),
        ((0, 200), (20, 200), (0.02, 0.02), {"overkills_gone": 90}, "new overkills"),
        ((0, 200), (0, 200), (0.02, None), {"excluded": 1}, "not all compared"),
    ],
)
def test_the_verdict_tells_apart_what_was_seen_and_what_is_open(
    escapes: tuple[int, int],
    overkills: tuple[int, int],
    margins: tuple[float | None, float | None],
    more: dict[str, int],
    expected: Verdict,
) -> None:
    of_ng, of_go = (
        new_mistakes([flags(*seen)], margin=margin)[0]
        for seen, margin in zip((escapes, overkills), margins, strict=True)
    )
    given_ = {"overkills_gone": 0, "excluded": 0, "trained_on": 0, **more}
    assert expected in VERDICTS
    assert verdict_on(of_ng, of_go, **given_) == expected


def test_groups_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 groups for 2 images: expected one for each"):
        new_mistakes([[True, False]], ["a"])
    with pytest.raises(ValueError, match="confidence=1"):
        new_mistakes([[True, False]], confidence=1.0)
