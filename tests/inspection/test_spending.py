import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.inspection.spending import spent_alpha

ALPHAS = st.floats(1e-6, 0.5)


@given(ALPHAS)
def test_all_looks_together_spend_what_was_asked_for_and_no_more(alpha: float) -> None:
    count = 10_000
    spent = math.fsum(spent_alpha(alpha, number) for number in range(1, count + 1))
    rest = alpha * 6 / math.pi**2 / count  # the sum of 1 / k**2 beyond n is between 1 / (n + 1) and 1 / n
    assert alpha - rest <= spent < alpha


@given(ALPHAS, st.integers(1, 200))
def test_looks_that_were_planned_share_it_evenly(alpha: float, planned: int) -> None:
    shares = [spent_alpha(alpha, number, planned) for number in range(1, planned + 1)]
    assert math.fsum(shares) == pytest.approx(alpha)
    assert len(set(shares)) == 1


@given(ALPHAS, st.integers(1, 10_000))
def test_a_later_look_has_less(alpha: float, number: int) -> None:
    assert 0 < spent_alpha(alpha, number + 1) < spent_alpha(alpha, number) < alpha


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0, 1), "alpha=0.0: expected an error probability above 0 and below 1"),
        ((1.0, 1), "alpha=1.0"),
        ((0.05, 0), "number=0: expected a look from 1"),
        ((0.05, 5, 4), "number=5: expected a look from 1 to 4"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[float, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        spent_alpha(*arguments)
