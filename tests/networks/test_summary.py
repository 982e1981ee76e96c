"""What is said of a network against counting by hand and against gradients."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.networks import ConvNet, ResidualNet
from fancnn.networks.receptive_field import receptive_fields
from fancnn.networks.summary import facts

SIDE = 160
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "basic": lambda: ConvNet((SIDE, SIDE), filters=(4, 8), hidden=(6,)),
    "kernels": lambda: ConvNet((SIDE, SIDE), filters=(4, 4, 4), kernel_size=(5, 3, 2), norm="batch", head="average"),
    "same": lambda: ConvNet((SIDE, SIDE), filters=(4, 4), kernel_size=(7, 3), padding="same", pooling="average"),
    "strided": lambda: ConvNet((SIDE, SIDE), filters=(4, 8), pooling="strided", dropout=0.5, spatial_dropout=0.1),
    "residual": lambda: ResidualNet((SIDE, SIDE), widths=(4, 6, 8), depths=(1, 2, 1), order="post"),
    "pre": lambda: ResidualNet((SIDE, SIDE), widths=(4, 6), order="pre", stem_stride=2, stem_kernel_size=5),
    "both": lambda: ResidualNet((SIDE, SIDE), widths=(4, 6), head="both"),
    "max": lambda: ConvNet((SIDE, SIDE), filters=(4, 8), head="max"),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[request.param]().eval()


def flops_by_hand(layer: nn.Module, output: tuple[int, ...]) -> int:
    """Two operations for each weight that each number of the output takes; of other layers none."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return 2 * math.prod(output) * math.prod(layer.weight.shape[1:])  # groups are in the shape already
    return 0


def test_operations_are_two_for_each_weight_and_place(network: nn.Module) -> None:
    found = facts(network, (SIDE, SIDE))
    by_hand = {one.name: flops_by_hand(network.get_submodule(one.name), one.output) for one in found.layers}
    assert {one.name: one.flops for one in found.layers} == by_hand
    assert found.flops == sum(by_hand.values()) > 0


class Attending(nn.Module):
    """Attention over 4x4 patches, by the layer of torch or by its function; then a logit."""

    def __init__(self, *, by_layer: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True) if by_layer else None
        self.logit = nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)  # (batch, places, 8)
        if self.attention is not None:
            tokens, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        else:
            heads = tokens.unflatten(2, (2, 4)).transpose(1, 2)
            tokens = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
        return self.logit(tokens.mean(dim=1)).squeeze(1)


@pytest.mark.parametrize("by_layer", [True, False])
def test_attention_is_counted_by_each_of_its_matrix_products(by_layer: bool) -> None:
    places, width = 16, 8
    convolution, logit = 2 * places * width * 3 * 4 * 4, 2 * width
    products = 2 * (2 * places * places * width)  # queries by keys, and what follows by values
    projections = 4 * (2 * places * width * width) if by_layer else 0  # three into the attention and one out of it
    assert facts(Attending(by_layer=by_layer), (16, 16)).flops == convolution + products + projections + logit


def test_parameters_and_shapes_are_the_networks(network: nn.Module) -> None:
    found = facts(network, (SIDE, SIDE))
    assert found.parameters == sum(layer.parameters for layer in found.layers)
    assert found.parameters == sum(weight.numel() for weight in network.parameters())
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in found.layers:
        network.get_submodule(layer.name).register_forward_hook(
            lambda _layer, _inputs, output, name=layer.name: shapes.update({name: tuple(output.shape[1:])})
        )
    network(torch.zeros(2, 3, SIDE, SIDE))
    assert {layer.name: layer.output for layer in found.layers} == shapes


def test_a_network_is_left_as_it_was(network: nn.Module) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    facts(network, (SIDE, SIDE))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(layer._forward_hooks for layer in network.modules())


def test_kernels_say_how_they_started_and_how_wide_they_are(network: nn.Module) -> None:
    for layer in facts(network, (SIDE, SIDE)).layers:
        kernel = network.get_submodule(layer.name)
        assert (layer.std is not None) == isinstance(kernel, nn.Conv2d | nn.Linear) == (layer.start is not None)
        if layer.std is not None:
            assert layer.std == pytest.approx(kernel.weight.std(correction=0).item())  # type: ignore[operator,union-attr]


def see_everything(network: nn.Module) -> None:
    """Make every layer pass some of all that it gets: positive weights, and means in place of maxima."""
    for name, weight in network.named_parameters():
        nn.init.constant_(weight, 0.1 if weight.ndim > 1 or name.endswith("weight") else 0.0)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
                setattr(module, name, mean)


def seen_pixels(network: nn.Module, layer: str, place: tuple[int, int]) -> list[tuple[int, int]] | None:
    """First and last row, first and last column of the image that move a unit of `layer`; None if it has no place."""
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda _layer, _inputs, output: kept.append(output))
    images = torch.ones(1, 3, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    network(images)
    handle.remove()
    if kept[0].ndim != 4 or kept[0].shape[2] == 1:
        return None
    (gradient,) = torch.autograd.grad(kept[0][0, :, place[0], place[1]].sum(), images)
    moved = gradient[0].abs().sum(dim=0) > 0
    extents = [moved.any(dim=1 - axis).nonzero().flatten() for axis in (0, 1)]
    return [(int(places.min()), int(places.max())) for places in extents]


def test_receptive_fields_are_the_pixels_that_move_a_unit(network: nn.Module) -> None:
    see_everything(network.double())
    fields = receptive_fields(network)
    layers = facts(network, (SIDE, SIDE)).layers
    assert {layer.name for layer in layers} <= set(fields)
    for layer in layers:
        (field,) = fields[layer.name]
        assert field is not None, layer.name
        middle = tuple(side // 2 for side in layer.output[1:])
        for place in (middle, tuple(index - 1 for index in middle)):
            seen = seen_pixels(network, layer.name, place) if len(place) == 2 else None  # type: ignore[arg-type]
            if seen is None:
                assert field.spans is None or field.flat, layer.name
                continue
            assert field.spans is not None
            expected = [
                (span.stride * index + span.low, span.stride * index + span.high)
                for span, index in zip(field.spans, place, strict=True)
            ]
            assert seen == expected, layer.name


def test_a_linear_layer_after_flatten_sees_all_and_an_unknown_layer_is_not_guessed() -> None:
    chain = nn.Sequential(nn.Conv2d(3, 2, 3), nn.PixelShuffle(1), nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(8, 1))
    fields = receptive_fields(chain)
    assert fields["0"][0].spans[0].pixels == 3  # type: ignore[index,union-attr]
    assert fields["1"] == fields["2"] == [None]
    known = receptive_fields(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 1)))
    assert known["2"][0].spans is None  # type: ignore[union-attr]


def test_a_layer_that_is_called_twice_is_listed_twice_and_counted_once() -> None:
    relu, conv = nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)
    found = facts(nn.Sequential(conv, relu, conv, relu), (8, 8))
    assert [layer.kind for layer in found.layers] == ["conv 3x3", "relu", "conv 3x3", "relu"]
    assert found.parameters == sum(layer.parameters for layer in found.layers) == 84
    assert found.flops == 2 * (2 * 27 * 3 * 64)
    assert [layer.field.spans[0].pixels for layer in found.layers] == [3, 3, 5, 5]  # type: ignore[union-attr,index]


def test_frozen_weights_are_counted() -> None:
    network = ConvNet((20, 20), filters=(8,), hidden=(), first_layer="sobel", freeze_first_layer=True)
    assert facts(network, (20, 20)).frozen == 8 * 27 + 8
