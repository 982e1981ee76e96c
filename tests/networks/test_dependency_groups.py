"""Removing filters is zeroing what they give, whatever the network; and the smaller network is one like any other."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fancnn.networks import ConvNet, Ensemble, ResidualNet
from fancnn.networks.dependency_groups import (
    DependencyGroup,
    channel_groups,
    prune_state_dict,
    pruned_kwargs,
    silenced,
    validate_separable,
)

Kept = dict[DependencyGroup, list[int]]
WIDTHS = st.lists(st.integers(1, 6), min_size=1, max_size=3)
CONVNETS = st.fixed_dictionaries(
    {
        "filters": WIDTHS,
        "hidden": st.lists(st.integers(1, 6), max_size=2),
        "padding": st.sampled_from([False, "same"]),
        "activation": st.sampled_from(["relu", "gelu", "sigmoid"]),
        "pooling": st.sampled_from(["max", "average", "strided"]),
        "head": st.sampled_from(["flatten", "average", "both"]),
        "norm": st.sampled_from(["none", "batch"]),
        "dropout": st.sampled_from([0.0, 0.5]),
        "spatial_dropout": st.sampled_from([0.0, 0.5]),
    }
)
RESIDUALS = st.fixed_dictionaries(
    {
        "widths": WIDTHS,
        "depths": st.integers(1, 3),
        "stem_stride": st.sampled_from([1, 2, 4]),
        "order": st.sampled_from(["pre", "post"]),
        "head": st.sampled_from(["average", "max", "both"]),
        "norm": st.sampled_from(["none", "batch"]),
        "activation": st.sampled_from(["relu", "gelu", "sigmoid"]),
    }
)
SIZE = (38, 34)


def any_weights(network: nn.Module) -> nn.Module:
    """Weights and statistics that hide nothing: no zeros, no ones; in float64."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1 if name.endswith("var") else torch.randn_like(value) / 2)
    return network.double().eval()


def chosen(network: nn.Module, draw: Any) -> Kept:
    """Some channels of each group, as many in groups of one argument."""
    counts: dict[tuple[str, int], int] = {}
    kept = {}
    for group in channel_groups(network):
        width = group.width(network)
        count = counts.setdefault(group.argument, draw(st.integers(1, width)))
        kept[group] = sorted(draw(st.permutations(range(width)))[:count])
    return kept


def silenced_output(network: nn.Module, kept: Mapping[DependencyGroup, Sequence[int]], images: Tensor) -> Tensor:
    with ExitStack() as stack:
        for group, channels in kept.items():
            others = [channel for channel in range(group.width(network)) if channel not in channels]
            stack.enter_context(silenced(network, group, others))
        output: Tensor = network(images)
        return output


@given(arguments=CONVNETS | RESIDUALS, data=st.data())
@settings(max_examples=60)
def test_a_network_without_some_filters_gives_what_it_gave_with_their_outputs_zeroed(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    torch.manual_seed(0)
    make: Any = ConvNet if "filters" in arguments else ResidualNet
    network = any_weights(make(SIZE, **arguments))
    kept = chosen(network, data.draw)
    smaller = make(SIZE, **{**arguments, **pruned_kwargs(network, kept)}).double().eval()
    smaller.load_state_dict(prune_state_dict(network, kept))  # every shape fits
    images = torch.rand(3, 3, *SIZE, dtype=torch.float64)
    expected = silenced_output(network, kept, images)
    torch.testing.assert_close(smaller(images), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "network", [ConvNet((20, 20), norm="batch"), ConvNet((20, 20), pooling="strided"), ResidualNet((20, 20))]
)
def test_every_layer_that_can_lose_filters_is_in_one_group_and_every_reader_too(network: nn.Module) -> None:
    groups = channel_groups(network)
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert sorted(name for group in groups for name in group.producers) == sorted(set(layers) - {"logit"})
    assert sorted(name for group in groups for name in group.consumers) == sorted(set(layers) - {layers[0]})
    norms = [name for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert sorted(name for group in groups for name in group.norms) == sorted(norms)


def test_filters_that_a_sum_adds_up_belong_together() -> None:
    first, *_ = channel_groups(ResidualNet((20, 20), widths=(4, 8), depths=(2, 1)))
    assert first.producers == ("stem.0", "stages.0.0.branch.5", "stages.0.1.branch.5")
    assert first.consumers == (
        *("stages.0.0.branch.2", "stages.0.1.branch.2"),
        *("stages.1.0.branch.2", "stages.1.0.shortcut.0"),
    )


def test_what_is_kept_whole_is_the_network_itself() -> None:
    network = ResidualNet((20, 20), widths=(4, 8))
    kept = {group: range(group.width(network)) for group in channel_groups(network)}
    assert pruned_kwargs(network, kept) == {"widths": [4, 8]}
    torch.testing.assert_close(prune_state_dict(network, kept), dict(network.state_dict()), rtol=0, atol=0)


def test_silence_ends_with_its_block_and_a_network_that_is_made_smaller_stays_as_it_is() -> None:
    network, images = ConvNet((20, 20), filters=(4,), hidden=()).eval(), torch.rand(2, 3, 20, 20)
    before, (group,) = network(images), channel_groups(network)
    with silenced(network, group, [0, 1, 2, 3]):
        torch.testing.assert_close(network(images), network.logit.bias.expand(2))
    prune_state_dict(network, {group: [1]})["blocks.0.0.weight"].zero_()
    torch.testing.assert_close(network(images), before, rtol=0, atol=0)


def test_what_cannot_be_taken_apart_is_refused_in_words() -> None:
    plain = {"logits": [0.0], "calibrated": [0.0], "slope": 1.0, "method": "none"}
    with pytest.raises(ValueError, match="which filters of Ensemble belong together is not known: ConvNet"):
        channel_groups(Ensemble([ConvNet((20, 20))], [plain]))
    for norm in ("layer", "group"):
        with pytest.raises(ValueError, match="Networks with norm=batch or norm=none can be pruned"):
            validate_separable(ResidualNet((20, 20), norm=norm))
