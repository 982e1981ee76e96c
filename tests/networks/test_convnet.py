import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fancnn.networks import ConvNet
from fancnn.networks.layers import ACTIVATIONS, MONOTONE

# by hand from the original's description: output shape and parameters of each layer at 80x80
BASIC = [
    ("blocks.0.0", (32, 78, 78), 3 * 3 * 3 * 32 + 32),
    ("blocks.0.2", (32, 39, 39), 0),
    ("blocks.1.0", (64, 37, 37), 3 * 3 * 32 * 64 + 64),
    ("blocks.1.2", (64, 18, 18), 0),
    ("hidden.0", (20736,), 0),
    ("hidden.1.0", (128,), 20736 * 128 + 128),
    ("logit", (1,), 128 + 1),
]


@pytest.mark.parametrize(("name", "shape", "parameters"), BASIC)
def test_each_layer_of_basic_is_the_originals(name: str, shape: tuple[int, ...], parameters: int) -> None:
    network, seen = ConvNet(image_size=(80, 80)), {}
    layer = network.get_submodule(name)
    layer.register_forward_hook(lambda _module, _inputs, output: seen.update(shape=tuple(output.shape[1:])))
    network(torch.zeros(2, 3, 80, 80))
    assert seen["shape"] == shape
    assert sum(weight.numel() for weight in layer.parameters()) == parameters


def test_basic_has_the_originals_number_of_parameters() -> None:
    assert sum(weight.numel() for weight in ConvNet(image_size=(80, 80)).parameters()) == 2_673_857


def test_kernels_start_glorot_uniform_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    for name, layer in ConvNet(image_size=(80, 80)).named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        area = math.prod(layer.weight.shape[2:])
        limit = math.sqrt(6 / (area * (layer.weight.shape[0] + layer.weight.shape[1])))
        assert layer.weight.abs().max() <= limit, name
        if layer.weight.numel() > 1000:  # enough values that the spread is close to its expectation
            assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05), name
        assert torch.count_nonzero(layer.bias) == 0, name


def test_the_first_weights_are_the_seeds_alone_in_the_order_of_the_layers() -> None:
    torch.manual_seed(7)
    network = ConvNet(image_size=(20, 20), filters=(4, 8), hidden=(16,))
    torch.manual_seed(7)
    layers = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 3), nn.Linear(72, 16), nn.Linear(16, 1)]
    expected = [nn.init.xavier_uniform_(layer.weight) for layer in layers]
    kernels = [weight for name, weight in network.named_parameters() if name.endswith("weight")]
    for ours, theirs in zip(kernels, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_pool_comes_first_only_before_activations_that_never_decrease(activation: str) -> None:
    values = ACTIVATIONS[activation]()(torch.linspace(-20, 20, 4001, dtype=torch.float64))
    assert bool((values.diff() >= 0).all()) == (activation in MONOTONE)
    block = ConvNet(image_size=(20, 20), activation=activation).blocks[0]
    kinds = [type(layer) for layer in block]  # type: ignore[union-attr]
    assert (kinds.index(nn.MaxPool2d) == 1) == (activation in MONOTONE)


@pytest.mark.parametrize("activation", sorted(MONOTONE))
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_pooling_first_is_pooling_last_forward_and_backward(activation: str, norm: str) -> None:
    torch.manual_seed(0)
    network = ConvNet((21, 18), filters=(4, 8), hidden=(16,), activation=activation, norm=norm).double()
    images, results = torch.rand(5, 3, 21, 18, dtype=torch.float64), []
    for swapped in (False, True):
        if swapped:
            for block in network.blocks:
                block[-2], block[-1] = block[-1], block[-2]  # type: ignore[index]
            assert isinstance(network.blocks[0][-1], nn.MaxPool2d)  # type: ignore[index]
        network.zero_grad()
        logits = network(images)
        logits.square().sum().backward()
        results.append([logits.detach(), *(weight.grad.clone() for weight in network.parameters())])  # type: ignore[union-attr]
    # to the bit but for exponentials, which a vector unit rounds by their place in memory
    tolerance = 0 if "relu" in activation else 1e-12
    for ours, originals in zip(*results, strict=True):
        torch.testing.assert_close(ours, originals, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_average_pooling_is_the_mean_of_what_was_activated(activation: str) -> None:
    network = ConvNet(image_size=(21, 18), filters=(4,), pooling="average", activation=activation)
    images = torch.rand(2, 3, 21, 18)
    active = ACTIVATIONS[activation]()(network.blocks[0][0](images))  # type: ignore[index]
    cells = active[..., :18, :16].unflatten(-1, (8, 2)).unflatten(-3, (9, 2))  # 19x16: the odd row is dropped
    torch.testing.assert_close(network.blocks(images), cells.mean(dim=(-3, -1)))


def test_strided_convolutions_halve_as_pools_do_and_learn() -> None:
    pooled, strided = (ConvNet((21, 18), filters=(4, 8), hidden=(16,), pooling=name) for name in ("max", "strided"))
    images = torch.rand(2, 3, 21, 18)
    assert pooled.blocks(images).shape == strided.blocks(images).shape
    assert not [layer for layer in strided.modules() if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)]
    strides = [layer.stride for layer in strided.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [(1, 1), (2, 2), (1, 1), (2, 2)]
    extra = sum(2 * 2 * width * width + width for width in (4, 8))
    assert _parameters(strided) - _parameters(pooled) == extra


@pytest.mark.parametrize("kernel_size", [1, 3, (5, 3), (7, 1)])
def test_same_padding_keeps_the_size_until_the_pool(kernel_size: int | tuple[int, ...]) -> None:
    network = ConvNet((21, 18), filters=(4, 8), kernel_size=kernel_size, padding="same")
    images = torch.rand(1, 3, 21, 18)
    assert network.blocks[0](images).shape == (1, 4, 10, 9)
    assert network.blocks(images).shape == (1, 8, 5, 4)


def test_each_block_has_its_kernel() -> None:
    network = ConvNet((40, 40), filters=(4, 8, 8), kernel_size=(5, 3, 2))
    sides = [layer.kernel_size for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert sides == [(5, 5), (3, 3), (2, 2)]


@pytest.mark.parametrize(
    ("head", "left"),
    [
        ("average", lambda maps: maps.mean(dim=(2, 3))),
        ("max", lambda maps: maps.flatten(2).max(dim=2).values),
        ("both", lambda maps: torch.cat([maps.mean(dim=(2, 3)), maps.flatten(2).max(dim=2).values], dim=1)),
    ],
)
def test_a_global_head_sees_what_is_left_of_each_channel_and_has_the_same_weights_at_any_size(
    head: str, left: Callable[[Tensor], Tensor]
) -> None:
    small, large = (ConvNet((side, side), filters=(4, 8), hidden=(), head=head) for side in (20, 40))
    values = 16 if head == "both" else 8
    assert _parameters(small) == _parameters(large) == 3 * 9 * 4 + 4 + 4 * 9 * 8 + 8 + values + 1
    images = torch.rand(3, 3, 20, 20)
    by_hand = left(small.blocks(images)) @ small.logit.weight[0] + small.logit.bias
    torch.testing.assert_close(small(images), by_hand)


@pytest.mark.parametrize(
    ("norm", "cells"),
    [("batch", lambda maps: maps.transpose(0, 1).flatten(1)), ("layer", lambda maps: maps.flatten(1)),
     ("group", lambda maps: maps.unflatten(1, (2, 8)).flatten(2).flatten(0, 1))],
)  # fmt: skip
def test_a_norm_brings_its_cells_to_mean_0_and_variance_1(norm: str, cells: Callable[[Tensor], Tensor]) -> None:
    network, seen = ConvNet((20, 20), filters=(16,), norm=norm), []
    layer = network.blocks[0][1]  # type: ignore[index]
    layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    network(torch.rand(6, 3, 20, 20))
    found = cells(seen[0])
    torch.testing.assert_close(found.mean(dim=1), torch.zeros(len(found)), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(dim=1, correction=0), torch.ones(len(found)), atol=5e-3, rtol=0)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_layer_and_group_norm_score_an_image_alone_even_in_training(norm: str) -> None:
    network, images = ConvNet((20, 30), filters=(4, 12), hidden=(16,), norm=norm), torch.rand(5, 3, 20, 30)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_dropout_drops_its_share_of_the_values_of_each_hidden_layer() -> None:
    torch.manual_seed(0)
    network = ConvNet((20, 20), filters=(4,), hidden=(500, 500), activation="sigmoid", dropout=(0, 0.25))
    features = torch.rand(40, 4 * 9 * 9)
    first = network.hidden[1](features)  # type: ignore[operator]
    assert torch.count_nonzero(first) == first.numel()
    second = network.hidden[2](first)  # type: ignore[operator]
    assert (second == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)  # of 20,000
    assert torch.count_nonzero(network.eval().hidden[2](first)) == second.numel()  # type: ignore[operator]


@pytest.mark.parametrize("pooling", ["max", "average", "strided"])
def test_spatial_dropout_drops_whole_channels_and_block_dropout_single_values(pooling: str) -> None:
    torch.manual_seed(0)
    images, options = torch.rand(40, 3, 20, 20), {"filters": (50,), "activation": "sigmoid", "pooling": pooling}
    channels = ConvNet((20, 20), spatial_dropout=0.3, **options).blocks(images) == 0  # type: ignore[arg-type]
    assert torch.equal(channels.all(dim=(2, 3)), channels.any(dim=(2, 3)))
    assert channels.float().mean().item() == pytest.approx(0.3, abs=0.05)  # of 2,000 channels
    values = ConvNet((20, 20), block_dropout=0.3, **options).blocks(images) == 0  # type: ignore[arg-type]
    assert not values.all(dim=(2, 3)).any()
    assert values.float().mean().item() == pytest.approx(0.3, abs=0.01)  # of 162,000


def test_rates_of_zero_leave_no_layer_behind() -> None:
    assert not [layer for layer in ConvNet((20, 20)).modules() if isinstance(layer, nn.Dropout | nn.Dropout2d)]


def test_several_outputs_are_a_row_for_each_image() -> None:
    assert ConvNet((20, 20), outputs=3)(torch.zeros(2, 3, 20, 20)).shape == (2, 3)


def test_an_image_is_scored_alone() -> None:
    network = ConvNet(image_size=(20, 30), filters=(4, 8), hidden=(16,))
    images = torch.rand(5, 3, 20, 30)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_images_too_small_for_the_blocks_are_refused_with_the_block_and_its_size() -> None:
    with pytest.raises(ValueError, match=r"block 3 of 3 gets 3x3 pixels .* leave none.*data\.image_size=\[20, 20\]"):
        ConvNet(image_size=(20, 20), filters=(4, 4, 4))


@pytest.mark.parametrize("arguments", [{"filters": (0,)}, {"hidden": (-1,)}, {"kernel_size": 0}, {"outputs": 0}])
def test_widths_below_one_are_refused_by_name(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be 1 or more"):
        ConvNet(image_size=(20, 20), **arguments)  # type: ignore[arg-type]


MISTAKES = [
    ({"filters": ()}, r"filters=\[\] has no block"),
    ({"filters": 32}, r"filters=32 must be a list of numbers, e.g. \[32\]"),
    ({"hidden": 128}, r"hidden=128 must be a list of numbers, e.g. \[128\]"),
    ({"kernel_size": "large"}, "kernel_size='large' must be a number or a list of numbers"),
    ({"dropout": ("much",)}, r"dropout=\['much'\] must be a number or a list of numbers"),
    ({"kernel_size": (3, 3, 3)}, r"kernel_size=\[3, 3, 3\] has 3 values for 2 blocks: give one number, or 2"),
    ({"dropout": (0.1, 0.2)}, r"dropout=\[0.1, 0.2\] has 2 values for 1 hidden layers"),
    ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
    ({"spatial_dropout": -0.1}, "spatial_dropout must be from 0 to below 1"),
    ({"block_dropout": (0, 2)}, "block_dropout must be from 0 to below 1"),
    ({"padding": "valid"}, "padding='valid' is none of False, same"),
    ({"padding": "same", "kernel_size": (3, 4)}, r"padding=same needs odd kernels.*kernel_size=\[3, 4\]"),
    ({"activation": "swish"}, "activation='swish' is none of relu, leaky_relu"),
    ({"pooling": "min"}, "pooling='min' is none of max, average, strided"),
    ({"head": "min"}, "head='min' is none of flatten, average, max, both"),
    ({"norm": "instance"}, "norm='instance' is none of none, batch, layer, group"),
    ({"initializer": "glorot"}, "initializer='glorot' is none of"),
]


@pytest.mark.parametrize(("arguments", "text"), MISTAKES, ids=[next(iter(arguments)) for arguments, _ in MISTAKES])
def test_a_mistake_is_told_by_its_name(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ConvNet(image_size=(20, 20), **arguments)


def _parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
