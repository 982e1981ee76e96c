"""Rates by layer: factors, the optimizer's groups, a step, and what a range test makes of them."""

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from fancnn.lr_find.range_test import RangeTest
from fancnn.networks import ConvNet, TimmNet
from fancnn.training.classifier import Classifier
from fancnn.training.layer_rates import rate_factors
from fancnn.training.regularization import optimizer_of

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")


@needs_timm
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_factors_of_a_network_of_timm_are_timms_own(name: str) -> None:
    from timm.optim import param_groups_layer_decay

    net = TimmNet((80, 80), name)
    factors = rate_factors(net, 0.7)
    by_id = {id(weight): of for of, weight in net.named_parameters()}
    theirs = {
        by_id[id(weight)]: group["lr_scale"]
        for group in param_groups_layer_decay(net.network, layer_decay=0.7)
        for weight in group["params"]
    }
    assert factors == pytest.approx(theirs)
    assert max(factors.values()) == 1


def test_factors_fall_by_layer_with_a_kernel_in_other_networks_from_the_last_that_learns() -> None:
    net = ConvNet((16, 16), filters=[4, 4], hidden=[4], norm="batch")
    factors = rate_factors(net, 0.5)
    kernels = [factors[name] for name, weight in net.named_parameters() if weight.ndim > 1]
    assert kernels == [0.125, 0.25, 0.5, 1.0]
    names = list(factors)
    norm = next(name for name, weight in net.named_parameters() if weight.ndim == 1 and "blocks.0" in name)
    assert factors[norm] == factors[names[0]]
    for weight in list(net.parameters())[-2:]:
        weight.requires_grad_(False)
    assert max(rate_factors(net, 0.5).values()) == 1
    assert len(rate_factors(net, 0.5)) == len(factors) - 2


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_each_weight_steps_by_its_own_rate(weight_decay: float) -> None:
    """A step of gradient descent by hand: w - lr * factor * (gradient + decay * w of kernels)."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Linear(2, 1))
    factors = rate_factors(net, 0.5)
    made = optimizer_of(net, lambda groups: torch.optim.SGD(groups, lr=0.2, weight_decay=weight_decay), 0.5)
    assert made.param_groups[0]["lr"] == 0.2
    net(torch.randn(5, 3)).sum().backward()
    expected = {
        name: weight.detach()
        - 0.2 * factors[name] * (weight.grad + (weight_decay * weight.detach() if weight.ndim > 1 else 0))
        for name, weight in net.named_parameters()
        if weight.grad is not None
    }
    made.step()
    for name, weight in net.named_parameters():
        torch.testing.assert_close(weight.detach(), expected[name])


def test_a_decay_of_one_is_one_rate_and_no_weight_is_left_out_or_there_twice() -> None:
    net = ConvNet((16, 16), filters=[4, 4], hidden=[4])
    made = optimizer_of(net, lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5), 1.0)
    assert [group["lr"] for group in made.param_groups] == [0.1, 0.1]
    found = [id(weight) for group in made.param_groups for weight in group["params"]]
    assert sorted(found) == sorted(map(id, net.parameters()))


def test_a_range_test_keeps_the_factors_while_it_raises_the_rate() -> None:
    class Stand(nn.Module):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        layer_decay = 0.1

        @staticmethod
        def make_optimizer(groups: object) -> torch.optim.Optimizer:
            return torch.optim.SGD(groups, lr=1.0)  # type: ignore[arg-type]

    stand: Classifier = Stand()  # type: ignore[assignment]
    test = RangeTest(stand)
    made = test.configure_optimizers()
    for rate in (0.5, 2.0):
        for group in made.param_groups:
            group["lr"] = rate  # as Lightning's tuner does, to all of them
        test.on_before_optimizer_step(made)
        rates: list[Tensor] = [group["lr"] for group in made.param_groups]
        assert rates == pytest.approx([rate, rate * 0.1])
