"""Influence against the numerical derivatives of scikit-learn's weighted scores."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from fancnn.metrics.clusters import linearized
from fancnn.metrics.influence import Influence, auroc_influence, average_precision_influence

values = st.sampled_from(np.linspace(0, 1, 9).tolist())  # with many ties
tables = st.lists(st.tuples(st.integers(0, 1), values), min_size=2, max_size=30).filter(
    lambda table: 0 < sum(label for label, _ in table) < len(table)
)
Table = list[tuple[int, float]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("influence", "oracle"),
    [(auroc_influence, roc_auc_score), (average_precision_influence, average_precision_score)],
)
@given(tables)
def test_influence_is_the_derivative_of_the_weighted_score(
    influence: Callable[..., Influence], oracle: Callable[..., float], table: Table
) -> None:
    labels, chances = np.array([y for y, _ in table]), np.array([p for _, p in table])
    found = influence(labels, chances)
    assert found.value == pytest.approx(oracle(labels, chances))
    step = 1e-5
    for image, expected in enumerate(found.by_image):
        more, less = (np.ones(len(table)) for _ in range(2))
        more[image], less[image] = 1 + step, 1 - step
        rise = oracle(labels, chances, sample_weight=more) - oracle(labels, chances, sample_weight=less)
        assert rise / (2 * step) == pytest.approx(expected, abs=1e-6)


@given(tables.filter(lambda table: 1 < sum(label for label, _ in table) < len(table) - 1))
def test_the_variance_of_the_auroc_is_delongs(table: Table) -> None:
    labels, chances = np.array([y for y, _ in table]), np.array([p for _, p in table])
    ng, go = chances[labels == 1], chances[labels == 0]
    order = (ng[:, None] > go) + 0.5 * (ng[:, None] == go)
    delong = np.var(order.mean(axis=1), ddof=1) / ng.size + np.var(order.mean(axis=0), ddof=1) / go.size
    found = linearized(auroc_influence(labels, chances).by_image, labels, np.arange(labels.size))
    assert found is not None
    assert found.variance == pytest.approx(delong, abs=1e-12)
