import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.decisions.look_spending import held_to, spent_alpha

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


@given(st.floats(0.5, 0.999999), st.integers(1, 10_000))
def test_what_a_look_is_held_to_spends_no_more_than_it_may_and_is_short_to_say(confidence: float, number: int) -> None:
    own = held_to(confidence, number)
    assert 0.99 * spent_alpha(1 - confidence, number) < 1 - own + 1e-15
    assert 1 - own <= spent_alpha(1 - confidence, number) * (1 + 1e-9) + 2**-52  # which 1 - own is rounded by
    assert held_to(confidence, 1, planned=1) == confidence


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
