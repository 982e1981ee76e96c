import math

import pytest
import torch
from torch import nn

from fancnn.networks import ConvNet
from fancnn.networks.initializers import INITIALIZERS, initialize

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


def test_pooling_before_relu_is_relu_before_pooling_forward_and_backward() -> None:
    torch.manual_seed(0)
    network = ConvNet(image_size=(21, 18), filters=(4, 8), hidden=(16,)).double()
    images, results = torch.rand(5, 3, 21, 18, dtype=torch.float64), []
    for swapped in (False, True):
        if swapped:
            for block in network.blocks:
                block[1], block[2] = block[2], block[1]  # type: ignore[index]
            assert isinstance(network.blocks[0][1], nn.ReLU)  # type: ignore[index]
        network.zero_grad()
        logits = network(images)
        logits.square().sum().backward()
        results.append([logits.detach(), *(weight.grad.clone() for weight in network.parameters())])  # type: ignore[union-attr]
    for ours, originals in zip(*results, strict=True):
        torch.testing.assert_close(ours, originals, rtol=0, atol=0)


def test_an_image_is_scored_alone() -> None:
    network = ConvNet(image_size=(20, 30), filters=(4, 8), hidden=(16,))
    images = torch.rand(5, 3, 20, 30)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_pictures_too_small_for_the_blocks_are_refused_with_the_block_and_its_size() -> None:
    with pytest.raises(ValueError, match=r"block 3 of 3 gets 3x3 pixels .* leave none.*data\.image_size=\[20, 20\]"):
        ConvNet(image_size=(20, 20), filters=(4, 4, 4))


@pytest.mark.parametrize("arguments", [{"filters": (0,)}, {"hidden": (-1,)}, {"kernel_size": 0}])
def test_widths_below_one_are_refused_by_name(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be 1 or more"):
        ConvNet(image_size=(20, 20), **arguments)  # type: ignore[arg-type]


def test_an_unknown_initializer_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="'glorot' is none of .*glorot_uniform"):
        initialize(nn.Linear(2, 2), "glorot")
    assert "glorot_uniform" in INITIALIZERS
