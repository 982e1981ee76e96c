from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from fancnn.data.class_weights import balanced_weights, log_priors
from fancnn.metrics.cross_entropy import softmax

counts = st.lists(st.integers(1, 10_000), min_size=2, max_size=9)


@given(counts)
def test_weights_are_scikit_learns_and_their_mean_is_one(found: list[int]) -> None:
    classes = np.arange(len(found))
    labels = np.repeat(classes, found)
    weights = balanced_weights(found)
    assert weights == pytest.approx(compute_class_weight("balanced", classes=classes, y=labels))
    assert np.array(weights)[labels].mean() == pytest.approx(1)


@given(counts)
def test_priors_are_the_shares_of_the_classes(found: list[int]) -> None:
    assert softmax(log_priors(found)) == pytest.approx(np.array(found) / sum(found))


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_difference_of_two_is_the_logit_of_the_share_of_ng(go: int, ng: int) -> None:
    prior_of_go, prior_of_ng = log_priors((go, ng))
    assert 1 / (1 + exp(prior_of_go - prior_of_ng)) == pytest.approx(ng / (go + ng))
