from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from fancnn.inspection.imbalance import ClassCounts

counts = st.builds(ClassCounts, go=st.integers(1, 10_000), ng=st.integers(1, 10_000))


@given(counts)
def test_weights_are_scikit_learns_and_their_mean_is_one(found: ClassCounts) -> None:
    labels = np.repeat([0, 1], found)
    assert found.weights == pytest.approx(compute_class_weight("balanced", classes=np.array([0, 1]), y=labels))
    assert np.array(found.weights)[labels].mean() == pytest.approx(1)


@given(counts)
def test_the_logit_is_that_of_the_share_of_ng(found: ClassCounts) -> None:
    assert 1 / (1 + exp(-found.logit)) == pytest.approx(found.ng / sum(found))
