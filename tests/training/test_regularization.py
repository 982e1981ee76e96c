import pytest
import torch
from torch import nn

from fancnn.training.regularization import KernelPenalty, kernels, optimizer_of


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4, 1))


def others(network: nn.Module) -> list[nn.Parameter]:
    kernel = {id(weight) for weight in kernels(network)}
    return [weight for weight in network.parameters() if id(weight) not in kernel]


def test_kernels_are_the_weights_of_convolutions_and_linear_layers(network: nn.Module) -> None:
    assert [weight.shape for weight in kernels(network)] == [(4, 3, 3, 3), (1, 4)]
    network[0].weight.requires_grad_(False)
    assert [weight.shape for weight in kernels(network)] == [(1, 4)], "what is frozen is no cost"


def test_the_penalty_and_its_gradient_are_as_written(network: nn.Module) -> None:
    penalty = KernelPenalty(l1=0.3, l2=0.2)(network)
    flat = torch.cat([weight.detach().flatten() for weight in kernels(network)])
    torch.testing.assert_close(penalty.detach(), 0.3 * flat.abs().sum() + 0.2 * (flat**2).sum())
    penalty.backward()
    for weight in kernels(network):
        torch.testing.assert_close(weight.grad, 0.3 * weight.detach().sign() + 0.4 * weight.detach())
    assert all(weight.grad is None for weight in others(network))


@pytest.mark.parametrize("strength", [{"l1": 0.5}, {"l2": 0.5}])
def test_each_strength_acts_alone(strength: dict[str, float], network: nn.Module) -> None:
    both = KernelPenalty(l1=0.5, l2=0.5)(network)
    (other,) = {"l1", "l2"} - set(strength)
    torch.testing.assert_close(both, KernelPenalty(**strength)(network) + KernelPenalty(**{other: 0.5})(network))


def test_weight_decay_takes_its_share_of_kernels_and_leaves_biases_and_norms(network: nn.Module) -> None:
    """With gradients of 0, AdamW's step is the decay alone: w (1 - lr * decay)."""
    optimizer = optimizer_of(network, lambda groups: torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5))
    before = [weight.detach().clone() for weight in network.parameters()]
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    decayed = {id(weight) for weight in kernels(network)}
    for weight, old in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old * 0.95 if id(weight) in decayed else old, rtol=1e-6, atol=0)


def test_the_optimizer_has_every_weight_that_is_learnt_once(network: nn.Module) -> None:
    network[4].weight.requires_grad_(False)
    for decay in (0.0, 0.1):
        made = optimizer_of(network, lambda groups, decay=decay: torch.optim.SGD(groups, lr=0.1, weight_decay=decay))
        found = [id(weight) for group in made.param_groups for weight in group["params"]]
        assert sorted(found) == sorted(id(weight) for weight in network.parameters() if weight.requires_grad)
        assert len(made.param_groups) == (2 if decay else 1)
