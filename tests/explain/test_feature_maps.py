"""Layers and what they give, and images that please a filter."""

import importlib.util

import pytest
import torch
from torch import nn

from fancnn.errors import UserError
from fancnn.explain.activation_maximization import maximised
from fancnn.explain.feature_maps import (
    chosen_layer,
    discriminative_channels,
    feature_maps,
    first_convolution,
    map_layers,
    peaks,
)
from fancnn.networks import ConvNet, ResidualNet, TimmNet


def test_the_layers_of_the_originals_network_are_its_blocks() -> None:
    layers = map_layers(ConvNet((80, 80)), (80, 80))
    assert [(layer.step, layer.channels, layer.height) for layer in layers] == [
        ("convolution", 32, 78),
        ("pooling", 32, 39),
        ("activation", 32, 39),
        ("convolution", 64, 37),
        ("pooling", 64, 18),
        ("activation", 64, 18),
    ]
    assert chosen_layer(layers).name == "blocks.1.2", "what the dense layers read"


@pytest.mark.parametrize("order", ["pre", "post"])
def test_of_a_residual_network_the_last_layer_reads_the_sum_of_branch_and_shortcut(order: str) -> None:
    network = ResidualNet((48, 48), order=order, norm="group").eval()
    chosen = chosen_layer(map_layers(network, (48, 48))).name
    pixels = torch.rand(2, 3, 48, 48)
    maps = feature_maps(network, [chosen], lambda: network(pixels))[chosen]
    torch.testing.assert_close(network.logit(maps.mean((2, 3))).squeeze(1), network(pixels))


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
def test_networks_of_timm_have_a_layer_to_explain(name: str) -> None:
    network = TimmNet((64, 64), name).eval()
    layer = chosen_layer(map_layers(network, (64, 64)))
    maps = feature_maps(network, [layer.name], lambda: network(torch.rand(1, 3, 64, 64)))[layer.name]
    assert maps.shape == (1, layer.channels, layer.height, layer.width)


def test_a_layer_that_is_none_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match="layer='conv9' is no layer with feature maps. Convolutions: blocks.0.0, blo"):
        chosen_layer(map_layers(ConvNet((40, 40)), (40, 40)), "conv9")


def test_maps_are_those_of_the_layer_even_where_the_next_works_in_place() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    pixels = torch.rand(2, 3, 8, 8)
    maps = feature_maps(network, ["0"], lambda: network(pixels))["0"]
    torch.testing.assert_close(maps, network[0](pixels))
    assert not network[0]._forward_hooks, "no hook is left"


def test_a_peak_is_where_the_bright_pixel_is() -> None:
    maps = torch.zeros(1, 2, 10, 5)
    maps[0, 0, 9, 0] = maps[0, 1, 0, 4] = 7
    values, places = peaks(maps)
    assert values.tolist() == [[7, 7]]
    torch.testing.assert_close(places[0], torch.tensor([[0.95, 0.1], [0.05, 0.9]]))


def test_filters_that_tell_the_classes_apart_come_first_and_dead_ones_last() -> None:
    random = torch.Generator().manual_seed(0)
    values, labels = torch.rand(40, 5, generator=random), torch.arange(40) % 2
    values[:, 3] += 3 * labels
    values[:, 1] = 0
    order = discriminative_channels(values, labels, 5)
    assert order[0] == 3
    assert order[-1] == 1
    assert discriminative_channels(values, torch.zeros(40, dtype=torch.long), 1) == [3], (
        "of one class, what varies most"
    )


def test_the_first_convolution_reads_colours() -> None:
    assert first_convolution(ResidualNet((40, 40)))[0] == "stem.0"  # type: ignore[index]
    assert first_convolution(nn.Sequential(nn.Flatten(), nn.Linear(3, 1))) is None
    assert first_convolution(nn.Sequential(nn.Conv2d(1, 2, 3))) is None


@pytest.mark.parametrize("place", [0, 2])
def test_maximised_images_please_their_filter_and_another_seed_gives_others(place: int) -> None:
    torch.manual_seed(0)
    network = ConvNet((24, 20), filters=(8,)).eval()
    layer = map_layers(network, (24, 20))[place]
    before = torch.get_rng_state()
    found, answers = maximised(network, network, layer, [2, 5, 7], (24, 20), steps=40)
    assert torch.equal(torch.get_rng_state(), before)
    assert found.shape == (3, 3, 24, 20)
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert (answers[:, 1] > answers[:, 0]).all()
    other, _ = maximised(network, network, layer, [2, 5, 7], (24, 20), steps=40, seed=1)
    again, _ = maximised(network, network, layer, [2, 5, 7], (24, 20), steps=40)
    assert torch.equal(found, again)
    assert not torch.equal(found, other)
    assert all(weight.grad is None for weight in network.parameters())


def test_a_filter_that_is_silent_on_grey_is_woken_up() -> None:
    """ReLU has no gradient where it gives nothing: what it gets is made large."""
    network = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU())
    network[0].weight.data.fill_(1.0)
    network[0].bias.data.fill_(-2.0)  # type: ignore[union-attr]
    found, _ = maximised(network, network, map_layers(network, (8, 8))[-1], [0], (8, 8))
    assert network(found).min() > 0


def test_the_image_that_pleases_a_colour_filter_has_its_colour() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    network[0].weight.data = torch.tensor([[4.0, -4, -4], [-4, 4, 4]])[:, :, None, None]
    found, _ = maximised(network, network, map_layers(network, (8, 8))[0], [0, 1], (8, 8))
    means = found.mean((2, 3))
    assert means[0, 0] > 0.9 > 0.1 > means[0, 1]
    assert means[1, 0] < 0.1 < 0.9 < means[1, 1]
