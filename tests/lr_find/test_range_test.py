import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.lr_find.range_test import smoothed, steepest_rate

RATES = [10 ** (k / 16 - 6) for k in range(97)]


@given(st.floats(-4.5, -1.5))
def test_the_rate_of_the_steepest_fall_is_found(place: float) -> None:
    losses = [0.7 / (1 + rate / 10**place) for rate in RATES]
    found = steepest_rate(RATES, losses)
    assert found is not None
    assert found / 10**place == pytest.approx(1, rel=0.1)


def test_a_fall_after_the_least_loss_does_not_count_nor_what_comes_after_a_loss_that_is_none() -> None:
    falls_then_jumps = [0.7 / (1 + rate / 1e-4) if rate < 1e-2 else 5 - 4 * (rate - 1e-2) for rate in RATES]
    assert steepest_rate(RATES, falls_then_jumps) == pytest.approx(1e-4, rel=0.15)
    broken = [loss if rate < 1e-2 else float("nan") for rate, loss in zip(RATES, falls_then_jumps, strict=True)]
    assert steepest_rate(RATES, broken) == pytest.approx(1e-4, rel=0.15)


@pytest.mark.parametrize("losses", [[0.5 + rate for rate in RATES], [float("nan")] * 97, [0.5] * 3])
def test_where_nothing_falls_nothing_is_suggested(losses: list[float]) -> None:
    assert steepest_rate(RATES, losses) is None


def test_smoothing_does_not_lag_and_keeps_a_level() -> None:
    step = [1.0] * 40 + [0.0] * 40
    averages = smoothed(step)
    assert averages[:30] == pytest.approx([1.0] * 30)
    assert averages[39] + averages[40] == pytest.approx(1)
