"""The losses of training against the numpy reference."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference_losses import binary_gradient_of_logits

from fancnn.data.class_weights import balanced_weights
from fancnn.metrics.cross_entropy import binary_cross_entropy_of_logits, sigmoid
from fancnn.training.losses import CrossEntropy, FocalLoss

batches = st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 1) | st.sampled_from([0.0, 1.0])), min_size=1)


def value_and_gradient(loss: torch.nn.Module, logits: list[float], labels: list[float]) -> tuple[float, np.ndarray]:
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    value = loss(z, torch.tensor(labels, dtype=torch.float64))
    value.backward()
    assert z.grad is not None
    return value.item(), z.grad.numpy()


@pytest.mark.parametrize("loss", [CrossEntropy(), FocalLoss(gamma=0)], ids=["bce", "focal with gamma 0"])
@given(batch=batches)
def test_loss_and_gradient_are_those_of_the_reference(loss: torch.nn.Module, batch: list[tuple[float, float]]) -> None:
    logits, labels = (list(column) for column in zip(*batch, strict=True))
    value, gradient = value_and_gradient(loss, logits, labels)
    assert value == pytest.approx(binary_cross_entropy_of_logits(labels, logits), abs=1e-12)
    assert gradient == pytest.approx(binary_gradient_of_logits(labels, logits), abs=1e-12)


def test_the_default_is_torchs_own_to_the_last_bit() -> None:
    logits, labels = torch.randn(64, generator=torch.Generator().manual_seed(0)), torch.arange(64).float() % 2
    assert torch.equal(CrossEntropy()(logits, labels), torch.nn.BCEWithLogitsLoss()(logits, labels))


@given(batch=batches, smoothing=st.floats(0, 0.9))
def test_smoothing_is_the_cross_entropy_of_smoothed_labels(batch: list[tuple[float, float]], smoothing: float) -> None:
    logits, labels = (np.array(column) for column in zip(*batch, strict=True))
    softer = labels * (1 - smoothing) + smoothing / 2
    value, gradient = value_and_gradient(CrossEntropy(smoothing), logits.tolist(), labels.tolist())
    assert value == pytest.approx(binary_cross_entropy_of_logits(softer, logits), abs=1e-10)
    assert gradient == pytest.approx(binary_gradient_of_logits(softer, logits), abs=1e-10)


def test_smoothing_is_least_at_the_smoothed_label_and_not_at_certainty() -> None:
    loss = CrossEntropy(smoothing=0.1)
    _, gradient = value_and_gradient(loss, [float(np.log(0.95 / 0.05))], [1.0])
    assert gradient == pytest.approx([0], abs=1e-12)


def test_a_weight_of_ng_multiplies_its_gradient_alone() -> None:
    logits, labels = [0.3, -2.0, 1.0], [1.0, 0.0, 1.0]
    _, plain = value_and_gradient(CrossEntropy(), logits, labels)
    _, weighted = value_and_gradient(CrossEntropy(pos_weight=3), logits, labels)
    assert weighted == pytest.approx(plain * [3, 1, 3])
    torch_own = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))
    z, y = torch.tensor(logits), torch.tensor(labels)
    torch.testing.assert_close(CrossEntropy(pos_weight=3)(z, y), torch_own(z, y))


def test_balanced_weights_make_both_classes_pull_equally_at_the_start() -> None:
    go, ng = balanced_weights((90, 10))
    labels = [0.0] * 90 + [1.0] * 10
    value, gradient = value_and_gradient(CrossEntropy(pos_weight=ng, neg_weight=go), [0.0] * 100, labels)
    assert value == pytest.approx(np.log(2))  # the mean weight is 1
    assert gradient.sum() == pytest.approx(0, abs=1e-12)


@given(batch=batches, gamma=st.floats(0, 5), alpha=st.floats(0.01, 0.99))
def test_focal_loss_is_equation_5_of_the_paper(batch: list[tuple[float, float]], gamma: float, alpha: float) -> None:
    logits = np.array([logit for logit, _ in batch]).clip(-15, 15)
    labels = np.array([round(label) for _, label in batch])
    right = np.where(labels == 1, sigmoid(logits), sigmoid(-logits))
    weights = np.where(labels == 1, alpha, 1 - alpha)
    expected = np.mean(-weights * (1 - right) ** gamma * np.log(right))
    value, _ = value_and_gradient(FocalLoss(gamma, alpha), logits.tolist(), labels.astype(float).tolist())
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_focal_loss_cares_less_for_what_is_right_and_stays_finite() -> None:
    right, wrong = (FocalLoss(2)(torch.tensor([z]), torch.ones(1)).item() for z in (3.0, -3.0))
    plain = [CrossEntropy()(torch.tensor([z]), torch.ones(1)).item() for z in (3.0, -3.0)]
    assert right / wrong < 0.01 * plain[0] / plain[1]
    value, gradient = value_and_gradient(FocalLoss(0.5), [2000.0, -2000.0], [1.0, 1.0])
    assert value == pytest.approx(1000)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CrossEntropy(smoothing=1), "smoothing=1 should be from 0 to below 1"),
        (lambda: CrossEntropy(pos_weight=0), "pos_weight=0 should be null, balanced, or a number above 0"),
        (lambda: CrossEntropy(pos_weight="heavy"), "pos_weight='heavy' should be null"),  # type: ignore[arg-type]
        (lambda: CrossEntropy(pos_weight=[1.0, -1.0]), r"pos_weight=\[1.0, -1.0\] should be null"),
        (lambda: FocalLoss(gamma=-1), "gamma=-1 should be 0 or above"),
        (lambda: FocalLoss(alpha=1), "alpha=1 should be above 0 and below 1"),
    ],
)
def test_impossible_values_are_refused(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]
