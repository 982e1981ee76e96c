import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_losses import (
    binary_cross_entropy,
    binary_gradient_of_logits,
    binary_gradient_of_probabilities,
    categorical_cross_entropy,
    categorical_gradient_of_logits,
    categorical_gradient_of_probabilities,
)
from sklearn.metrics import log_loss

from fancnn.metrics.cross_entropy import binary_cross_entropy_of_logits, sigmoid, softmax

LABELS, CHANCES = [1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2]
logits = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


def by_differences(function, values: np.ndarray, width: float = 1e-6) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Central differences of `function` at `values`, one value at a time."""
    gradient = np.empty_like(values)
    for place in np.ndindex(values.shape):
        up, down = values.copy(), values.copy()
        up[place] += width
        down[place] -= width
        gradient[place] = (function(up) - function(down)) / (2 * width)
    return gradient


def test_the_values_of_the_original() -> None:
    assert binary_cross_entropy(LABELS, CHANCES) == pytest.approx(0.16425203, abs=5e-9)
    rows = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]]
    assert categorical_cross_entropy([0, 1, 2], rows) == pytest.approx(0.42432, abs=5e-6)


def test_the_gradient_by_probability_is_as_the_original_has_it() -> None:
    y, p = np.array(LABELS), np.array(CHANCES)
    assert binary_gradient_of_probabilities(y, p) == pytest.approx((-y / p + (1 - y) / (1 - p)) / 4)
    assert binary_gradient_of_probabilities(y, p) == pytest.approx([-1 / 3.6, 1 / 3.6, -1 / 3.2, 1 / 3.2])


@given(logits)
def test_gradients_are_the_slopes_of_the_losses(values: list[float]) -> None:
    z = np.array(values)
    y = np.arange(z.size) % 2
    slopes = by_differences(lambda at: binary_cross_entropy_of_logits(y, at), z)
    assert binary_gradient_of_logits(y, z) == pytest.approx(slopes, abs=1e-7)
    p = sigmoid(z).clip(0.05, 0.95)
    slopes = by_differences(lambda at: binary_cross_entropy(y, at), p)
    assert binary_gradient_of_probabilities(y, p) == pytest.approx(slopes, rel=1e-5)


@given(logits)
def test_the_loss_of_logits_is_that_of_their_probabilities_and_scikit_learns(values: list[float]) -> None:
    z = np.array(values)
    y = np.arange(z.size) % 2
    expected = log_loss(y, sigmoid(z), labels=[0, 1])
    assert binary_cross_entropy(y, sigmoid(z)) == pytest.approx(expected, rel=1e-6)
    assert binary_cross_entropy_of_logits(y, z) == pytest.approx(expected, rel=1e-6)


def test_two_classes_by_softmax_are_one_by_sigmoid() -> None:
    z = np.array([-3.0, 0.2, 5.0])
    pairs, y = np.stack([np.zeros(3), z], axis=1), [0, 1, 1]
    assert categorical_cross_entropy(y, softmax(pairs)) == pytest.approx(binary_cross_entropy(y, sigmoid(z)))
    assert categorical_gradient_of_logits(y, pairs)[:, 1] == pytest.approx(binary_gradient_of_logits(y, z))


def test_categorical_gradients_are_slopes() -> None:
    z, y = np.array([[0.3, -1.0, 2.0], [1.0, 1.0, -1.0]]), [2, 0]
    slopes = by_differences(lambda at: categorical_cross_entropy(y, softmax(at)), z)
    assert categorical_gradient_of_logits(y, z) == pytest.approx(slopes, abs=1e-8)
    p = softmax(z)
    slopes = by_differences(lambda at: categorical_cross_entropy(y, at), p)
    assert categorical_gradient_of_probabilities(y, p) == pytest.approx(slopes, abs=1e-6)


def test_certainty_that_is_right_costs_nothing_and_wrong_is_infinite() -> None:
    assert binary_cross_entropy([1, 0], [1, 0]) == 0
    assert binary_cross_entropy([1], [0]) == float("inf")
    assert binary_cross_entropy_of_logits([0, 1], [800, 800]) == 400


@pytest.mark.parametrize(
    ("labels", "chances", "text"),
    [
        ([1], [0.5, 0.5], "as many labels as probabilities"),
        ([], [], "at least one"),
        ([1], [1.5], "probabilities should be in [0, 1]; got 1.5 to 1.5"),
        ([2], [0.5], "labels should be in"),
    ],
)
def test_what_is_no_probability_is_refused(labels: list[float], chances: list[float], text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the text is looked at
        binary_cross_entropy(labels, chances)
    assert text in str(refused.value)
