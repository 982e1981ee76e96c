"""What filters are worth, against brute force and by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from fancnn.networks import ConvNet, ResidualNet
from fancnn.networks.channel_importance import CRITERIA, OF_SCORES, OF_VALUES, measured
from fancnn.networks.dependency_groups import channel_groups

SIZE = (12, 10)


def network_of(kind: str = "conv", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    made = {
        "conv": lambda: ConvNet(SIZE, **{"filters": (4,), "hidden": (3,), **options}),
        "residual": lambda: ResidualNet(SIZE, **{"widths": (3, 4), "depths": 2, "stem_stride": 1, **options}),
    }[kind]()
    for value in made.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) - 0.3 + 0.31 * (value.ndim == 1))
    return made.double().eval()


def batches_of(count: int = 7) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    images, labels = torch.rand(count, 3, *SIZE, dtype=torch.float64), torch.arange(count) % 2
    return [(images[:4], labels[:4].float()), (images[4:], labels[4:].float())]


def output(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    with torch.no_grad():
        return network(images), labels


def test_kernels_are_measured_as_by_hand() -> None:
    network = ConvNet(SIZE, filters=(3,), hidden=())
    kernel = torch.zeros(3, 3, 3, 3)
    kernel[0, 0, 0, :2], kernel[1, 0, 0, :2] = torch.tensor([3.0, -4.0]), torch.tensor([6.0, -8.0])
    kernel[2, 1, 1, 1] = 1.0
    network.blocks[0][0].weight.data = kernel  # type: ignore[index, union-attr]
    (group,) = channel_groups(network)
    found = measured(network, network, [group], [], ("order", "l1", "l2", "similarity"))[group]
    assert {name: values.tolist() for name, values in found.items()} == {
        "order": [0, 1, 2],
        "l1": [7, 14, 1],
        "l2": [5, 10, 1],
        "similarity": pytest.approx([1, 1, 0]),
    }


@pytest.mark.parametrize("kind", ["conv", "residual"])
def test_performance_is_what_brute_force_finds_with_the_readers_weights_zeroed(kind: str) -> None:
    network, batches = network_of(kind), batches_of()
    logits, labels = output(network, batches)
    loss, area = nn.functional.binary_cross_entropy_with_logits(logits, labels.double()), roc_auc_score(labels, logits)
    groups = channel_groups(network)
    for group, found in measured(network, network, groups, batches, OF_SCORES).items():
        for channel in range(group.width(network)):
            other = network_of(kind)
            for name in group.consumers:
                kernel = other.get_submodule(name).weight.data
                kernel.view(len(kernel), group.width(network), -1)[:, channel] = 0
            without, _ = output(other, batches)
            rise = nn.functional.binary_cross_entropy_with_logits(without, labels.double()) - loss
            assert found["performance"][channel] == pytest.approx(rise.item(), abs=1e-9)
            assert found["performance_auroc"][channel] == pytest.approx(area - roc_auc_score(labels, without))


@pytest.mark.parametrize("kind", ["conv", "residual"])
@pytest.mark.parametrize("order", ["pre", "post"])
def test_taylor_is_the_slope_of_each_images_loss_as_the_channel_is_turned_down(kind: str, order: str) -> None:
    """By finite differences in the weights of the layers that read it."""
    options = {"order": order} if kind == "residual" else {"head": "average" if order == "pre" else "max"}
    network, batches, small = network_of(kind, **options), batches_of(), 1e-6
    for group, found in measured(network, network, channel_groups(network), batches, OF_VALUES).items():
        for channel in range(group.width(network)):
            losses = []
            for share in (1 - small, 1 + small):
                other = network_of(kind, **options)
                for name in group.consumers:
                    kernel = other.get_submodule(name).weight.data
                    kernel.view(len(kernel), group.width(network), -1)[:, channel] *= share
                logits, labels = output(other, batches)
                losses.append(nn.functional.binary_cross_entropy_with_logits(logits, labels.double(), reduction="none"))
            slopes = (losses[1] - losses[0]) / (2 * small)
            assert found["taylor"][channel] == pytest.approx(slopes.abs().mean().item(), rel=1e-5, abs=1e-8)


def test_taylor_of_the_last_layer_is_error_times_weight_times_value() -> None:
    """The logit is linear in it: dL/dz = p - y, dz/da = w."""
    network, batches = network_of(hidden=(5,)), batches_of()
    group = channel_groups(network)[-1]
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    with torch.no_grad():
        values = network.hidden(network.blocks(images))  # type: ignore[operator]
    error = network(images).sigmoid().detach() - labels
    by_hand = (error[:, None] * network.logit.weight[0].detach() * values).abs().mean(0)  # type: ignore[index, union-attr]
    found = measured(network, network, [group], batches, OF_VALUES)[group]
    np.testing.assert_allclose(found["taylor"], by_hand.numpy())
    np.testing.assert_allclose(found["activation"], values.abs().mean(0).numpy())
    np.testing.assert_allclose(found["sparsity"], (values == 0).double().mean(0).numpy())


def test_a_filter_that_never_answers_is_all_zeros_and_worth_nothing() -> None:
    network, batches = network_of(), batches_of()
    network.blocks[0][0].bias.data[2] = -1e3  # type: ignore[index, union-attr]
    group = channel_groups(network)[0]
    found = measured(network, network, [group], batches, [*OF_VALUES, *OF_SCORES])[group]
    assert [found[name][2] for name in found] == [0, 0, 1, 0, 0]
    assert CRITERIA["sparsity"].ranks(found["sparsity"])[2] == 4


def test_measuring_leaves_no_gradients_and_does_not_depend_on_the_batches_nor_on_what_is_frozen() -> None:
    network, batches = network_of(freeze_first_layer=True), batches_of()
    groups, names = channel_groups(network), tuple(CRITERIA)
    one = measured(network, network, groups, batches, names)
    whole = [tuple(torch.cat(part) for part in zip(*batches, strict=True))]
    again = measured(network, network, groups, whole, names)  # type: ignore[arg-type]
    assert all(weight.grad is None for weight in network.parameters())
    for group in groups:
        for name in names:
            np.testing.assert_allclose(one[group][name], again[group][name], atol=1e-12)


@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=12), name=st.sampled_from(sorted(CRITERIA)))
def test_a_rank_counts_the_filters_worth_more_and_half_of_the_equal_ones(values: list[int], name: str) -> None:
    criterion = CRITERIA[name]
    worth = [value if criterion.greater_is_worth_more else -value for value in values]
    expected = [1 + sum(other > own for other in worth) + (worth.count(own) - 1) / 2 for own in worth]
    assert criterion.ranks(np.array(values, dtype=np.float64)).tolist() == expected
    by_sorting = sorted(range(len(values)), key=lambda index: (-worth[index], index))
    assert criterion.order(np.array(values, dtype=np.float64)).tolist() == by_sorting
