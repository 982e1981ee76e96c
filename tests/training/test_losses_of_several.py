"""The losses of several logits against the numpy reference, and against those of one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference_losses import categorical_cross_entropy, categorical_gradient_of_logits
from torch import Tensor, nn

from fancnn.data.class_weights import balanced_weights
from fancnn.errors import UserError
from fancnn.metrics.cross_entropy import softmax
from fancnn.training.losses import CrossEntropy, FocalLoss, with_balanced_weights

Rows = tuple[NDArray[np.float64], NDArray[np.int64]]


@st.composite
def rows(draw: Callable[..., Any], most: float = 30) -> Rows:
    """Logits `(n, k)` and the right class of each row."""
    count, classes = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    logits = draw(st.lists(st.floats(-most, most), min_size=count * classes, max_size=count * classes))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return np.array(logits).reshape(count, classes), np.array(labels)


def value_and_gradient(
    loss: nn.Module, logits: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    z = torch.tensor(logits, requires_grad=True)
    value: Tensor = loss(z, torch.tensor(shares))
    value.backward()
    assert z.grad is not None
    return value.item(), z.grad.numpy()


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    return np.eye(classes)[labels]


@pytest.mark.parametrize("loss", [CrossEntropy(), FocalLoss(gamma=0)], ids=["bce", "focal with gamma 0"])
@given(batch=rows())
def test_loss_and_gradient_are_those_of_the_reference(loss: nn.Module, batch: Rows) -> None:
    logits, labels = batch
    value, gradient = value_and_gradient(loss, logits, one_hot(labels, logits.shape[1]))
    assert value == pytest.approx(categorical_cross_entropy(labels, softmax(logits)), abs=1e-9)
    assert gradient == pytest.approx(categorical_gradient_of_logits(labels, logits), abs=1e-9)


LOSSES = [
    *[CrossEntropy(), CrossEntropy(smoothing=0.2), CrossEntropy(pos_weight=3, neg_weight=0.5)],
    *[CrossEntropy(0.1, pos_weight=[2.0]), FocalLoss(2, 0.3), FocalLoss(0.5)],
]


@pytest.mark.parametrize("loss", LOSSES)
@given(logits=st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 1)), min_size=1))
def test_two_logits_lose_what_their_difference_loses_as_one(
    loss: nn.Module, logits: list[tuple[float, float, float]]
) -> None:
    """Mixed labels, weights, smoothing and all."""
    go, ng, share = np.array(logits).T
    two, gradient_of_two = value_and_gradient(loss, np.stack([go, ng], 1), np.stack([1 - share, share], 1))
    one, gradient_of_one = value_and_gradient(loss, ng - go, share)
    assert two == pytest.approx(one, rel=1e-9, abs=1e-12)
    assert gradient_of_two[:, 1] == pytest.approx(gradient_of_one, abs=1e-9)


@given(batch=rows(), smoothing=st.floats(0, 0.9))
def test_smoothing_is_torchs(batch: Rows, smoothing: float) -> None:
    logits, labels = batch
    value, _ = value_and_gradient(CrossEntropy(smoothing), logits, one_hot(labels, logits.shape[1]))
    expected = F.cross_entropy(torch.tensor(logits), torch.tensor(labels), label_smoothing=smoothing)
    assert value == pytest.approx(expected.item(), abs=1e-9)


def test_balanced_weights_make_all_classes_pull_equally_at_the_start() -> None:
    counts = (60, 30, 9, 1)
    arguments = with_balanced_weights({"pos_weight": "balanced", "smoothing": 0.0}, counts)
    shares = one_hot(np.repeat(np.arange(4), counts), 4)
    value, gradient = value_and_gradient(CrossEntropy(**arguments), np.zeros((100, 4)), shares)
    assert value == pytest.approx(np.log(4))  # the mean weight is 1
    assert gradient.sum(0) == pytest.approx([0] * 4, abs=1e-12)
    assert (arguments["neg_weight"], *arguments["pos_weight"]) == balanced_weights(counts)


def test_a_weight_of_ng_is_that_of_every_type() -> None:
    logits, shares = np.zeros((3, 3)), np.eye(3)
    _, plain = value_and_gradient(CrossEntropy(), logits, shares)
    _, weighted = value_and_gradient(CrossEntropy(pos_weight=3), logits, shares)
    assert weighted == pytest.approx(plain * [[1], [3], [3]])


@given(batch=rows(most=15), gamma=st.floats(0, 5), alpha=st.floats(0.01, 0.99))
def test_focal_loss_is_equation_5_of_the_paper(batch: Rows, gamma: float, alpha: float) -> None:
    logits, labels = batch
    right = softmax(logits)[np.arange(len(labels)), labels]
    wrong = np.array([np.delete(row, label).sum() for row, label in zip(softmax(logits), labels, strict=True)])
    expected = np.mean(-np.where(labels > 0, alpha, 1 - alpha) * wrong**gamma * np.log(right))
    value, _ = value_and_gradient(FocalLoss(gamma, alpha), logits, one_hot(labels, logits.shape[1]))
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_focal_loss_stays_finite() -> None:
    value, gradient = value_and_gradient(FocalLoss(0.5), np.array([[2000.0, -2000.0, 0.0]] * 2), np.eye(3)[:2])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_weights_for_another_number_of_types_are_said() -> None:
    with pytest.raises(UserError, match="has 2 numbers for 3 kinds of NG: say as many"):
        CrossEntropy(pos_weight=[1.0, 2.0])(torch.zeros(2, 4), torch.eye(4)[:2])
