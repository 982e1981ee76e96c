"""Heat maps against what must be true of them: closed forms, brute force, networks whose answer is known."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.explain.heatmaps import (
    flat,
    grad_cam,
    heat_map,
    integrated_gradients,
    layer_of,
    methods_of,
    negated,
    occlusion,
)
from fancnn.explain.settings import HeatMethod
from fancnn.networks import ConvNet, PatchNet

pytest.importorskip("captum", reason="needs captum")

OF_ANY_NETWORK = [method for method in HeatMethod if method != "cells"]


def small(seed: int = 0) -> ConvNet:
    torch.manual_seed(seed)
    return ConvNet((20, 18), filters=(4, 6), hidden=(8,), activation="tanh").eval()


def images(count: int = 3, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, 20, 18, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(("mean", "black", "white")))
def test_integrated_gradients_add_up_to_what_the_score_gains(seed: int, baseline: str) -> None:
    network, pixels = small(seed), images(seed=seed)
    empty = flat(pixels, baseline)
    with torch.no_grad():
        gained = network(pixels) - network(empty)
    added = integrated_gradients(network, pixels, empty, steps=64).sum((1, 2))
    torch.testing.assert_close(added, gained, atol=2e-3, rtol=1e-2)


def test_integrated_gradients_of_a_linear_network_are_weight_times_difference() -> None:
    weight = torch.randn(3, 20, 18, generator=torch.Generator().manual_seed(0))
    pixels = images()
    empty = flat(pixels, "mean")
    found = integrated_gradients(lambda x: (x * weight).sum((1, 2, 3)), pixels, empty)
    torch.testing.assert_close(found, ((pixels - empty) * weight).sum(1), atol=1e-5, rtol=1e-4)


def by_force(network: nn.Module, pixels: Tensor, empty: Tensor, window: int, stride: int) -> Tensor:
    """Cover one square after the other, and average over those that cover a pixel."""
    height, width = pixels.shape[-2:]
    added, times = torch.zeros(len(pixels), height, width), torch.zeros(height, width)
    tops = [*range(0, height - window, stride)]
    lefts = [*range(0, width - window, stride)]
    for top in [*tops, tops[-1] + stride if tops else 0]:
        for left in [*lefts, lefts[-1] + stride if lefts else 0]:
            covered = pixels.clone()
            square = (..., slice(top, top + window), slice(left, left + window))
            covered[square] = empty[square]
            with torch.no_grad():
                added[square] += (network(pixels) - network(covered))[:, None, None]
            times[square[1:]] += 1
    return added / times


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (5, 3), (6, 6), (3, 1)])
def test_occlusion_is_what_covering_one_square_after_the_other_gives(window: int, stride: int) -> None:
    network, pixels = small(), images()
    empty = flat(pixels, "mean")
    torch.testing.assert_close(
        occlusion(network, pixels, empty, window, stride), by_force(network, pixels, empty, window, stride)
    )


class Known(nn.Module):
    """Two maps, the red channel and the green one; the score is twice the mean of the first less that of the second."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1, bias=False)
        self.maps.weight.data = torch.eye(3)[:2, :, None, None]
        self.act = nn.ReLU(inplace=in_place)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.act(self.maps(pixels))
        return 2 * maps[:, 0].mean((1, 2)) - maps[:, 1].mean((1, 2))


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("layer", ["maps", "act"])
def test_grad_cam_of_a_network_that_is_known_is_known(layer: str, in_place: bool) -> None:
    network, pixels = Known(in_place=in_place), images() + 0.1  # above zero: ReLU passes all
    area = pixels[0, 0].numel()
    expected = (2 * pixels[:, 0] - pixels[:, 1]) / area
    torch.testing.assert_close(grad_cam(network, network.get_submodule(layer), pixels), expected.clamp(min=0))
    against = grad_cam(negated(network), network.get_submodule(layer), pixels)
    torch.testing.assert_close(against, (-expected).clamp(min=0))


@pytest.mark.parametrize("method", OF_ANY_NETWORK)
def test_heat_lies_where_the_score_looks_and_that_for_the_other_class_does_not(method: str) -> None:
    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(3, 1, 1, bias=False)
            nn.init.constant_(self.maps.weight, 1.0)

        def forward(self, pixels: Tensor) -> Tensor:
            answer = self.maps(pixels)[:, 0]
            return answer[:, :6, :6].square().sum((1, 2))

    network, pixels = Corner(), torch.zeros(2, 3, 24, 24)
    pixels[:, :, :6, :6] = 1
    heat = heat_map(method, network, network.maps, pixels, "black")
    assert heat.shape == (2, 24, 24)
    assert (heat >= 0).all()
    assert heat[:, :8, :8].sum() > 0.99 * heat.sum() > 0
    other = heat_map(method, negated(network), network.maps, pixels, "black")
    assert other.sum() < 1e-4 * heat.sum()


@pytest.mark.parametrize("method", OF_ANY_NETWORK)
def test_an_image_has_the_same_heat_alone(method: str) -> None:
    network, pixels = small(), images(4)
    layer = network.blocks[-1][0]
    together = heat_map(method, network, layer, pixels)  # type: ignore[arg-type]
    alone = torch.cat([heat_map(method, network, layer, image[None]) for image in pixels])  # type: ignore[arg-type]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_heat_of_cells_is_their_probability_and_hottest_where_the_images_logit_comes_from() -> None:
    torch.manual_seed(0)
    network, pixels = PatchNet((48, 64), pool="max").eval(), torch.rand(3, 3, 48, 64)
    assert methods_of(None, network) == ["cells", "grad_cam"]
    heat = heat_map("cells", network, layer_of("cells", network, "features.0"), pixels)
    assert heat.shape == (3, 48, 64)
    found = network.logits_and_cells(pixels)
    middles = heat[:, 4::8, 4::8]  # of cells, but for half a pixel
    torch.testing.assert_close(middles, found.cells.sigmoid(), atol=0.02, rtol=0.1)
    assert torch.equal(middles.flatten(1).argmax(1), found.cells.flatten(1).argmax(1))


def test_cells_are_refused_of_a_network_that_has_none() -> None:
    assert methods_of(None, small()) == OF_ANY_NETWORK
    assert methods_of([HeatMethod.occlusion], small()) == ["occlusion"]
    with pytest.raises(UserError, match=r"methods=\['cells'\]: only a network as model=patches has cells"):
        methods_of([HeatMethod.cells], small())


def test_mistakes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pixels = small(), images()
    with pytest.raises(UserError, match="method='lime' is none of grad_cam, occlusion, integrated_gradients"):
        heat_map("lime", network, network.blocks, pixels)
    with pytest.raises(UserError, match="baseline='noise' is none of mean, black, white"):
        flat(pixels, "noise")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(UserError, match=r'pip install "fancnn\[explain\]"'):
        heat_map("grad_cam", network, network.blocks, pixels)
