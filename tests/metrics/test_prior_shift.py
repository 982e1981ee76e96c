import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from fancnn.metrics.prior_shift import at_prior, mix_in_words

rates = st.floats(1e-4, 1 - 1e-4)
chances = st.floats(0, 1)


@given(st.lists(chances, min_size=1), rates, rates)
def test_the_odds_are_multiplied_by_the_ratio_of_the_priors(values: list[float], old: float, new: float) -> None:
    inside = np.clip(values, 1e-9, 1 - 1e-9)
    np.testing.assert_allclose(at_prior(inside, old, new), expit(logit(inside) + logit(new) - logit(old)), rtol=1e-6)


@given(st.lists(chances, min_size=2), rates, rates)
def test_the_order_stays_and_there_and_back_is_where_it_was(values: list[float], old: float, new: float) -> None:
    rising = np.sort(values)
    moved = at_prior(rising, old, new)
    assert (np.diff(moved) >= 0).all()
    assert ((moved >= 0) & (moved <= 1)).all()
    np.testing.assert_allclose(at_prior(moved, new, old), rising, atol=1e-9)
    np.testing.assert_allclose(at_prior(rising, old, old), rising, atol=1e-12)


def test_it_is_what_bayes_says_of_two_normal_distributions() -> None:
    measured = np.linspace(-4, 4, 50)
    of_ng, of_go = norm.pdf(measured, 1), norm.pdf(measured, -1)

    def posterior(rate: float) -> np.ndarray:
        return np.asarray(rate * of_ng / (rate * of_ng + (1 - rate) * of_go))

    np.testing.assert_allclose(at_prior(posterior(0.46), 0.46, 0.02), posterior(0.02), rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.5, 0.0, 0.5), "from_rate=0.0: expected a share of NG"),
        ((0.5, 0.5, 1.0), "to_rate=1.0: expected a share of NG"),
        ((0.5, 0.5, math.nan), "to_rate=nan: expected a share of NG"),
        ((1.5, 0.5, 0.5), r"expected probabilities in \[0, 1\]"),
        ((math.nan, 0.5, 0.5), r"expected probabilities in \[0, 1\]"),
    ],
)
def test_what_is_no_share_is_refused(arguments: tuple[float, float, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        at_prior(*arguments)


def test_the_mix_in_words_says_what_one_half_means() -> None:
    assert mix_in_words(0.46, 0.02) == (
        "P(NG) is for parts mixed like the validation images, 46 % NG; "
        "on a line with 2 % NG a part with 0.5 is NG in 2.3 %"
    )
    assert "0.0025 %" in mix_in_words(0.9, 0.000225)
