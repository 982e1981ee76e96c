"""Hand-made first filters: against scipy's, by what they answer to, and inside the networks."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor, nn

from fancnn.networks import ConvNet, ResidualNet
from fancnn.networks.filter_bank import BANKS, filter_bank

SIZES = {"sobel": 8, "prewitt": 8, "laplace": 4, "gabor": 32}


def kernel_of(operation: Callable[..., Any], *arguments: int) -> Tensor:
    """What a correlation of scipy does, read from its answer to a single bright pixel."""
    point = np.zeros((3, 3))
    point[1, 1] = 1
    answer = operation(point, *arguments, mode="constant")
    return torch.from_numpy(np.ascontiguousarray(answer[::-1, ::-1])).float()


def normal(kernel: Tensor) -> Tensor:
    return kernel / kernel.square().mean().sqrt()


@pytest.mark.parametrize(
    ("name", "index", "expected"),
    [
        ("sobel", 0, kernel_of(scipy.ndimage.sobel, 1)),
        ("sobel", 3, kernel_of(scipy.ndimage.sobel, 0)),
        ("prewitt", 0, kernel_of(scipy.ndimage.prewitt, 1)),
        ("prewitt", 3, kernel_of(scipy.ndimage.prewitt, 0)),
        ("laplace", 1, kernel_of(scipy.ndimage.laplace)),
    ],
)
def test_small_filters_are_scipys(name: str, index: int, expected: Tensor) -> None:
    torch.testing.assert_close(filter_bank(name, 3)[index], normal(expected))


def test_a_larger_sobel_is_the_textbooks() -> None:
    expected = torch.outer(torch.tensor([1.0, 4, 6, 4, 1]), torch.tensor([-1.0, -2, 0, 2, 1]))
    torch.testing.assert_close(filter_bank("sobel", 5)[0], normal(expected))


@pytest.mark.parametrize("side", [3, 5, 7])
@pytest.mark.parametrize("name", BANKS)
def test_no_filter_answers_to_a_flat_area_and_no_two_are_the_same(name: str, side: int) -> None:
    bank = filter_bank(name, side)
    assert bank.shape == (SIZES[name], side, side)
    torch.testing.assert_close(bank.mean(dim=(1, 2)), torch.zeros(len(bank)), atol=1e-6, rtol=0)
    torch.testing.assert_close(bank.square().mean(dim=(1, 2)), torch.ones(len(bank)))
    assert min((a - b).abs().max() for a, b in combinations(bank, 2)) > 0.05


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize(("name", "turned"), [("sobel", (0, 1, 2, 3)), ("prewitt", (4, 5, 6, 7)), ("gabor", (0, 1))])
def test_a_quarter_turn_of_a_filter_is_another_of_its_bank(name: str, turned: Sequence[int], side: int) -> None:
    bank = filter_bank(name, side)
    for first, second in pairwise(turned):
        torch.testing.assert_close(torch.rot90(bank[first]), bank[second], atol=1e-6, rtol=1e-5)


def test_a_gabor_filter_answers_to_waves_of_its_own_orientation() -> None:
    offsets = torch.arange(7.0) - 3
    across = torch.cos(2 * torch.pi * offsets / 7).expand(7, 7)  # changes from left to right
    upright, lying = filter_bank("gabor", 7)[16], filter_bank("gabor", 7)[17]  # phase 0, orientations 0 and 90
    assert (upright * across).sum() > 4 * (lying * across).sum().abs()


NETWORKS = {
    "ConvNet": (lambda **options: ConvNet((24, 20), filters=(40, 4), hidden=(8,), **options), "blocks.0.0"),
    "ResidualNet": (lambda **options: ResidualNet((32, 24), widths=(40, 48), **options), "stem.0"),
}


def made(kind: str, **options: Any) -> tuple[nn.Module, nn.Conv2d]:
    torch.manual_seed(3)
    network = NETWORKS[kind][0](**options)
    layer = network.get_submodule(NETWORKS[kind][1])
    assert isinstance(layer, nn.Conv2d)
    return network, layer


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", BANKS)
def test_the_first_filters_are_the_banks_and_all_else_starts_as_usual(kind: str, name: str) -> None:
    usual, usual_layer = made(kind)
    network, layer = made(kind, first_layer=name)
    count, bank = SIZES[name], filter_bank(name, 3)
    std = usual.initialized[NETWORKS[kind][1]].std  # type: ignore[union-attr,index]
    for filters, channel in ((layer.weight[:count, c], c) for c in range(3)):
        torch.testing.assert_close(filters.detach(), bank * std, msg=f"channel {channel}")
    torch.testing.assert_close(layer.weight[:count].std(dim=(1, 2, 3), correction=0), torch.full((count,), std))
    assert torch.equal(layer.weight[count:], usual_layer.weight[count:])
    for (where, ours), theirs in zip(network.named_parameters(), usual.parameters(), strict=True):
        assert ours is layer.weight or torch.equal(ours, theirs), where


def test_fewer_filters_than_the_bank_has_take_its_first() -> None:
    network = ConvNet((20, 20), filters=(4,), first_layer="sobel")
    weight = network.get_submodule("blocks.0.0").weight
    ratio = weight[:, 0] / filter_bank("sobel", 3)[:4]  # type: ignore[index]
    assert ratio[ratio.isfinite()].std() < 1e-6
    assert network.initialized["blocks.0.0"].name == "sobel"


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_first_layer_is_the_same_to_the_bit_after_a_step(kind: str, frozen: bool) -> None:
    network, layer = made(kind, first_layer="gabor", freeze_first_layer=frozen)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    size = (24, 20) if kind == "ConvNet" else (32, 24)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.1, weight_decay=0.1
    )  # decay would move it without a gradient
    network(torch.rand(4, 3, *size)).square().mean().backward()
    optimizer.step()
    assert torch.equal(layer.weight, before[f"{NETWORKS[kind][1]}.weight"]) == frozen
    assert (layer.weight.grad is None) == frozen
    assert not torch.equal(network.get_parameter("logit.weight"), before["logit.weight"])


@pytest.mark.parametrize("side", [1, 2, 4])
def test_a_kernel_that_no_bank_fits_is_refused_in_words(side: int) -> None:
    with pytest.raises(ValueError, match=f"first_layer=sobel needs .* odd side .* it has {side}x{side}"):
        ConvNet((40, 40), kernel_size=side, first_layer="sobel")


def test_an_unknown_bank_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="first_layer='canny' is none of null, sobel, prewitt, laplace, gabor"):
        ResidualNet((40, 40), first_layer="canny")
