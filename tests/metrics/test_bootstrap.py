from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count as counting
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fancnn.metrics.bootstrap import bootstrap_intervals
from fancnn.metrics.intervals import Interval

values = np.random.default_rng(0).normal(10, 2, 200)


def mean(sample: NDArray[np.intp]) -> dict[str, float | None]:
    return {"mean": float(values[sample].mean())}


def test_the_bootstrap_of_a_mean_is_that_of_scipy() -> None:
    oracle = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    found = bootstrap_intervals(mean, None, 200, draws=4000)["mean"]
    assert found is not None
    error = 2 / 200**0.5  # of the mean; the percentiles of two sets of 4,000 draws differ by some hundredths of it
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.15 * error)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    first, again = (bootstrap_intervals(mean, None, 200, draws=20, seed=3) for _ in range(2))
    assert first == again != bootstrap_intervals(mean, None, 200, draws=20, seed=4)


@given(st.lists(st.sampled_from("abcde"), min_size=2, max_size=30), st.integers(0, 5))
def test_groups_are_drawn_whole(groups: list[str], seed: int) -> None:
    drawn: list[Counter[int]] = []

    def keep(sample: NDArray[np.intp]) -> dict[str, float | None]:
        drawn.append(Counter(sample.tolist()))
        return {}

    bootstrap_intervals(keep, groups, len(groups), draws=5, seed=seed)
    for counts in drawn[1:]:
        times = {group: {counts[i] for i, name in enumerate(groups) if name == group} for group in set(groups)}
        assert all(len(each) == 1 for each in times.values())
        assert sum(each.pop() for each in times.values()) == len(set(groups))


@given(st.integers(2, 40), st.integers(0, 5))
def test_images_without_a_group_are_drawn_one_by_one(size: int, seed: int) -> None:
    alone = [bootstrap_intervals(mean, groups, size, draws=9, seed=seed) for groups in (None, [""] * size)]
    assert alone[0] == alone[1] == bootstrap_intervals(mean, [f"p{i}" for i in range(size)], size, draws=9, seed=seed)


def test_images_that_are_copies_do_not_make_the_mean_surer() -> None:
    once = bootstrap_intervals(mean, None, 200, seed=1)
    copied = bootstrap_intervals(lambda sample: mean(sample % 200), [str(i % 200) for i in range(800)], 800, seed=1)
    assert copied["mean"] is not None
    assert once["mean"] is not None
    assert (copied["mean"].low, copied["mean"].high) == pytest.approx((once["mean"].low, once["mean"].high))


def test_samples_where_a_value_is_undefined_are_left_out_up_to_half_of_them() -> None:
    calls = counting()

    def sometimes(sample: NDArray[np.intp]) -> dict[str, float | None]:
        number = next(calls)
        return {"half": 1.0 if number % 2 else None, "rare": 1.0 if number % 5 < 2 else None, "never": None}

    found = bootstrap_intervals(sometimes, None, 5, draws=100)
    assert found == {"half": Interval(1, 1), "rare": None, "never": None}


@pytest.mark.parametrize(("groups", "size"), [(None, 0), ([], 0), (None, 1), (["lot"] * 4, 4)])
def test_nothing_to_draw_from_gives_no_interval(groups: list[str] | None, size: int) -> None:
    assert bootstrap_intervals(lambda sample: {"size": float(sample.size)}, groups, size) == {"size": None}


@pytest.mark.parametrize(
    ("groups", "options", "text"),
    [
        (None, {"draws": 0}, "draws=0: expected at least 1"),
        (None, {"confidence": 95}, "confidence=95: expected a share above 0 and below 1"),
        (["a"], {}, "1 groups for 2 images"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(
    groups: Sequence[str] | None, options: Mapping[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        bootstrap_intervals(lambda sample: {}, groups, 2, **options)
