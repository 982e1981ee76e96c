"""One training step of the original, written out without autograd."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from samples import compose_train
from torch import Tensor

from fancnn import assembly
from fancnn.training.classifier import Classifier

Cache = list[tuple[Tensor, ...]]


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    """The basic model and its optimizer on 14x14 images, in float64."""
    small = ["data.image_size=[14,14]", "model.network.filters=[2,3]", "model.network.hidden=[4]"]
    settings = compose_train(tmp_path, "model=basic", *small)
    return assembly.classifier(settings, assembly.model(settings, ("GO", "NG")), {}).double()


def block_forward(images: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Convolution as a matrix product over patches, ReLU, and the maximum of each 2x2."""
    columns = F.unfold(images, 3)  # (batch, channels * 9, positions)
    side = images.shape[-1] - 2
    linear = (weight.flatten(1) @ columns + bias[:, None]).unflatten(2, (side, side))
    active = linear.clamp(min=0)
    half = side // 2
    cells = active[..., : 2 * half, : 2 * half].unflatten(-1, (half, 2)).unflatten(-3, (half, 2))
    pooled = cells.amax(dim=(-3, -1))
    return pooled, (columns, linear, cells, pooled)


def block_backward(images: Tensor, weight: Tensor, kept: tuple[Tensor, ...], grad: Tensor) -> tuple[Tensor, ...]:
    columns, linear, cells, pooled = kept
    side = linear.shape[-1]
    winners = cells == pooled[..., :, None, :, None]
    inner = (winners * grad[..., :, None, :, None]).flatten(-4, -3).flatten(-2, -1)
    padded = F.pad(inner, (0, side - inner.shape[-1], 0, side - inner.shape[-2]))
    linear_grad = (padded * (linear > 0)).flatten(2)  # (batch, filters, positions)
    weight_grad = (linear_grad @ columns.transpose(1, 2)).sum(0).view_as(weight)
    images_grad = F.fold(weight.flatten(1).T @ linear_grad, images.shape[-2:], 3)
    return weight_grad, linear_grad.sum((0, 2)), images_grad


def gradients_by_hand(weights: list[Tensor], images: Tensor, labels: Tensor) -> list[Tensor]:
    """Of the mean binary cross-entropy with respect to each weight, in the network's order."""
    w1, b1, w2, b2, w3, b3, w4, b4 = weights
    first, kept1 = block_forward(images, w1, b1)
    second, kept2 = block_forward(first, w2, b2)
    flat = second.flatten(1)
    linear = flat @ w3.T + b3
    hidden = linear.clamp(min=0)
    logits = (hidden @ w4.T + b4).squeeze(1)
    logit_grad = ((1 / (1 + (-logits).exp())) - labels)[:, None] / len(labels)  # (p - y) / n
    hidden_grad = (logit_grad @ w4) * (linear > 0)
    dw2, db2, first_grad = block_backward(first, w2, kept2, (hidden_grad @ w3).view_as(second))
    dw1, db1, _ = block_backward(images, w1, kept1, first_grad)
    dense = [hidden_grad.T @ flat, hidden_grad.sum(0), logit_grad.T @ hidden, logit_grad.sum(0)]
    return [dw1, db1, dw2, db2, *dense]


def test_one_step_of_basic_is_adams_on_the_gradients_written_out(classifier: Classifier) -> None:
    torch.manual_seed(1)
    images, labels = torch.randint(0, 256, (6, 3, 14, 14), dtype=torch.uint8), torch.tensor([1.0, 0, 1, 0, 0, 1])
    before = [weight.detach().clone() for weight in classifier.model.network.parameters()]
    pixels = images.double() / 255
    by_hand = gradients_by_hand(before, pixels, labels.double())

    optimizer = classifier.configure_optimizers()["optimizer"]
    classifier.loss(classifier.model.network(pixels), labels.double()).backward()
    for weight, expected in zip(classifier.model.network.parameters(), by_hand, strict=True):
        torch.testing.assert_close(weight.grad, expected, rtol=1e-6, atol=1e-9)

    optimizer.step()
    for weight, old, gradient in zip(classifier.model.network.parameters(), before, by_hand, strict=True):
        mean, square = 0.1 * gradient, 0.001 * gradient**2
        expected = old - 1e-3 * (mean / 0.1) / ((square / 0.001).sqrt() + 1e-7)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-6, atol=1e-8)
