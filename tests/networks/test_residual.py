"""The residual network by what makes it one."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.networks import ResidualNet
from fancnn.networks.residual import ResidualBlock


def small(**options: Any) -> ResidualNet:
    torch.manual_seed(0)
    return ResidualNet((40, 32), **{"widths": (8, 12), "depths": (1, 2), **options})


def blocks(network: nn.Module) -> list[ResidualBlock]:
    return [module for module in network.modules() if isinstance(module, ResidualBlock)]


@pytest.mark.parametrize(("order", "total"), [("pre", 307_329), ("post", 307_489)])
def test_it_has_as_many_parameters_as_counted_by_hand(order: str, total: int) -> None:
    def block(a: int, b: int) -> int:
        norms = 2 * a + 2 * b if order == "pre" else 4 * b
        after_shortcut = b if order == "pre" else 2 * b  # a bias, or a norm
        return 9 * a * b + 9 * b * b + norms + (0 if a == b else a * b + after_shortcut)

    ends = 27 * 32 + (32 + 2 * 128 if order == "pre" else 2 * 32) + 128 + 1
    by_hand = ends + block(32, 32) + block(32, 64) + block(64, 128)
    assert sum(weight.numel() for weight in ResidualNet((80, 80), order=order).parameters()) == by_hand == total


@pytest.mark.parametrize("options", [{}, {"order": "post"}, {"norm": "none"}, {"norm": "group", "order": "post"}])
def test_every_branch_starts_with_nothing_to_add(options: dict[str, Any]) -> None:
    network = small(**options)
    for block in blocks(network):
        channels = next(layer.in_channels for layer in block.branch if isinstance(layer, nn.Conv2d))
        features = torch.randn(3, channels, 9, 7)
        assert torch.count_nonzero(block.branch(features)) == 0
        torch.testing.assert_close(block(features), block.after(block.shortcut(features)))


@pytest.mark.parametrize("options", [{}, {"order": "post"}, {"norm": "none"}, {"norm": "layer"}])
def test_every_branch_comes_to_life_within_two_steps(options: dict[str, Any]) -> None:
    """A zero that no gradient passes would stay."""
    network = small(**options)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.rand(8, 3, 40, 32)).sub(torch.arange(8.0)).square().mean().backward()
        optimizer.step()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        # a bias before a norm over the same values does nothing; all else learns
        assert weight.ndim == 1 or torch.count_nonzero(weight.grad) > 0, name


@pytest.mark.parametrize(("stride", "size"), [(1, (39, 32)), (2, (20, 16)), (4, (10, 8))])
def test_the_stem_makes_images_smaller_by_its_stride_and_each_later_stage_by_two(
    stride: int, size: tuple[int, int]
) -> None:
    network = ResidualNet((39, 32), widths=(4, 4, 4), stem_stride=stride, stem_kernel_size=5)
    features: Tensor = network.stem(torch.zeros(1, 3, 39, 32))
    for index, stage in enumerate(network.stages):
        features = stage(features)
        assert tuple(features.shape[2:]) == tuple(-(-side // 2**index) for side in size)


def test_depths_say_how_many_blocks_a_stage_has() -> None:
    assert [len(list(stage.children())) for stage in small(widths=(4, 4, 4), depths=(1, 3, 2)).stages] == [1, 3, 2]
    assert [len(list(stage.children())) for stage in small(depths=2).stages] == [2, 2]


@pytest.mark.parametrize("order", ["post", "pre"])
def test_the_order_says_whether_the_sum_passes_an_activation(order: str) -> None:
    block = blocks(small(order=order))[1]
    answer = block(torch.randn(2, 8, 8, 8))
    assert bool((answer < 0).any()) == (order == "pre")


@pytest.mark.parametrize("order", ["post", "pre"])
def test_maps_stay_channels_last(order: str) -> None:
    """Convolutions are fastest in that order, and a layer that leaves it costs a copy before each of them."""
    network = small(order=order).to(memory_format=torch.channels_last)
    layouts: dict[str, bool] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d | ResidualBlock):
            layer.register_forward_hook(
                lambda _layer, _inputs, output, name=name: layouts.update(
                    {name: output.is_contiguous(memory_format=torch.channels_last)}
                )
            )
    network(torch.rand(2, 3, 40, 32).to(memory_format=torch.channels_last))
    assert layouts
    assert all(layouts.values()), layouts


@pytest.mark.parametrize("order", ["post", "pre"])
def test_an_image_is_scored_alone(order: str) -> None:
    network = small(order=order, dropout=0.5).eval()
    images = torch.rand(5, 3, 40, 32)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_dropout_acts_before_the_logit_and_in_training_alone() -> None:
    network = small(dropout=0.5, order="post")  # in `pre` a norm comes before the means
    assert [type(layer).__name__ for layer in network.head][-1] == "Dropout"
    features = torch.ones(64, 12, 2, 2)
    dropped = network.head(features)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(network.eval().head(features), torch.ones(64, 12))


@pytest.mark.parametrize(("head", "sums"), [("average", [4.0]), ("max", [9.0]), ("both", [4.0, 9.0])])
def test_the_head_says_what_is_left_of_a_channel(head: str, sums: list[float]) -> None:
    network = small(head=head, order="post")
    features = torch.tensor([0.0, 3.0, 4.0, 9.0]).view(1, 1, 2, 2).expand(1, 12, 2, 2)
    assert network.head(features).unique().tolist() == sums
    assert network.logit.in_features == 12 * len(sums)


def test_several_outputs_are_a_row_for_each_image() -> None:
    assert small(outputs=3)(torch.zeros(2, 3, 40, 32)).shape == (2, 3)
    assert small()(torch.zeros(2, 3, 40, 32)).shape == (2,)


def test_any_size_that_it_takes_trains_with_a_single_image() -> None:
    """Batch norm has no spread of a single value."""
    for side in range(1, 40):
        try:
            network = ResidualNet((side, 64), widths=(4, 4, 4))
        except ValueError:
            assert side < 17
            continue
        assert side >= 17
        network(torch.rand(1, 3, side, 64)).sum().backward()


MISTAKES = [
    ({"image_size": (16, 80)}, r"stage 3 of 3 gets 2x10 pixels and .*less than 2x2.*data\.image_size=\[16, 80\]"),
    ({"widths": ()}, r"widths=\[\] has no stage"),
    ({"widths": (8, 0)}, "widths must be 1 or more"),
    ({"depths": (1, 2)}, r"depths=\[1, 2\] has 2 values for 3 stages"),
    ({"depths": 0}, "depths must be 1 or more"),
    ({"stem_stride": 3}, "stem_stride=3 is none of 1, 2, 4"),
    ({"stem_kernel_size": 4}, "stem_kernel_size=4 must be odd"),
    ({"order": "both"}, "order='both' is none of post, pre"),
    ({"norm": "instance"}, "norm='instance' is none of none, batch, layer, group"),
    ({"activation": "swish"}, "activation='swish' is none of relu, "),
    ({"dropout": 1}, "dropout must be from 0 to below 1"),
    ({"outputs": 0}, "outputs must be 1 or more"),
]


@pytest.mark.parametrize(("arguments", "text"), MISTAKES, ids=[next(iter(arguments)) for arguments, _ in MISTAKES])
def test_a_mistake_is_told_by_its_name(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ResidualNet(**{"image_size": (80, 80), **arguments})


@pytest.mark.parametrize("channels_in", [1, 3, 7, 8])
def test_a_shortcut_of_few_channels_has_the_values_and_gradients_of_a_plain_convolution(channels_in: int) -> None:
    """Torch's own gradient of it, with channels last, was seen to end the process: that of the other order is asked."""
    block = ResidualBlock(channels_in, 5, 2, order="post", norm="none", activation="relu")
    layer = block.shortcut[0]  # type: ignore[index]
    assert isinstance(layer, nn.Conv2d)
    images = torch.rand(6, channels_in, 9, 8)
    here = images.to(memory_format=torch.channels_last).requires_grad_()
    there = images.clone().requires_grad_()
    expected = F.conv2d(there, layer.weight, layer.bias, stride=2)
    found = layer(here)
    torch.testing.assert_close(found, expected)
    (gradient,), (of_plain,) = (
        torch.autograd.grad(given.square().sum(), source) for given, source in ((found, here), (expected, there))
    )
    torch.testing.assert_close(gradient, of_plain)
