import importlib.util

import pytest
import torch
from torch import nn

from fancnn.errors import UserError
from fancnn.networks import ConvNet, ResidualNet, TimmNet
from fancnn.training.layer_freezing import LayerFreezing, first_layers, set_frozen


def names(network: nn.Module, layers: list[nn.Module]) -> list[str]:
    return [name for name, layer in network.named_modules() if any(layer is other for other in layers)]


def test_layers_are_counted_by_kernels_and_norms_go_with_them() -> None:
    network = ConvNet((32, 32), (4, 5, 6), (7,), norm="batch")
    assert names(network, first_layers(network, 2)) == ["blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1"]
    whole = names(network, first_layers(network, "all_but_last"))
    assert names(network, first_layers(network, 4)) == whole
    assert whole[-1] == "hidden.1.0"


def test_freezing_all_layers_is_refused() -> None:
    network = ConvNet((32, 32), (4,), (7,))
    with pytest.raises(UserError, match=r"freeze.layers=3: ConvNet has 3 layers with kernels.*Take 2 at most"):
        first_layers(network, 3)


def test_a_frozen_batch_norm_keeps_its_statistics_and_another_does_not() -> None:
    network = ResidualNet((32, 32), widths=(8, 16), order="post").train()
    norm, free = network.stem[1], network.stages[1][0].branch[1]
    before = [layer.running_mean.clone() for layer in (norm, free)]
    frozen = first_layers(network, 2)
    set_frozen(frozen, True)
    network(torch.rand(4, 3, 32, 32))
    assert torch.equal(norm.running_mean, before[0])
    assert not torch.equal(free.running_mean, before[1])
    set_frozen(frozen, False)
    network(torch.rand(4, 3, 32, 32))
    assert not torch.equal(norm.running_mean, before[0])


def test_a_layer_that_the_network_itself_keeps_is_not_let_go() -> None:
    network = ConvNet((32, 32), (4, 5), first_layer="sobel", freeze_first_layer=True)
    frozen = LayerFreezing(2, until_epoch=1).frozen_layers(network)
    assert names(network, frozen) == ["blocks.1.0"]
    set_frozen(frozen, True)
    set_frozen(frozen, False)
    assert not network.blocks[0][0].weight.requires_grad
    assert network.blocks[1][0].weight.requires_grad


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
def test_all_but_the_last_of_a_network_of_timm_is_all_but_what_timm_calls_its_classifiers() -> None:
    """Two of them, the first of which it defines before the other."""
    net = TimmNet((64, 64), "deit_tiny_distilled_patch16_224")
    frozen = {id(weight) for layer in first_layers(net, "all_but_last") for weight in layer.parameters(recurse=False)}
    learnt = {name for name, weight in net.named_parameters() if id(weight) not in frozen}
    assert learnt == {f"network.{head}.{kind}" for head in ("head", "head_dist") for kind in ("weight", "bias")}
