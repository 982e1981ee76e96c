import pytest
import torch
from torch import nn

from fancnn.errors import UserError
from fancnn.networks import ConvNet, ResidualNet
from fancnn.networks.weights import weights_hash
from fancnn.training.transfer import fitting_layers, load_matching_layers


def test_what_fits_is_the_sources_bit_for_bit_and_the_rest_is_as_it_was() -> None:
    source, target = ResidualNet((32, 32), widths=(8, 16)), ResidualNet((48, 40), widths=(8, 24))
    before = {name: value.clone() for name, value in target.state_dict().items()}
    carried = load_matching_layers(target, source.state_dict())
    for name, value in target.state_dict().items():
        layer = name.rpartition(".")[0]
        assert layer in {*carried.layers, *carried.fresh}
        origin = source.state_dict() if layer in carried.layers else before
        assert torch.equal(value, origin[name]), name
    assert "stem.0" in carried.layers
    assert "logit" in carried.fresh


def test_a_layer_whose_kernel_does_not_fit_does_not_get_the_bias_alone() -> None:
    source, target = ConvNet((16, 16), (4,), (6,)), ConvNet((32, 32), (4,), (6,))
    with torch.no_grad():
        source.hidden[1][0].bias.fill_(7)
    carried = load_matching_layers(target, source.state_dict())
    assert carried.layers == ("blocks.0.0",)
    assert carried.fresh == ("hidden.1.0", "logit")
    assert not (target.hidden[1][0].bias == 7).any()


def test_what_reads_a_fresh_layer_starts_fresh_even_where_it_would_fit() -> None:
    source, target = ConvNet((32, 32), (4, 5, 6), (7, 8)), ConvNet((32, 32), (4, 9, 6), (7, 8))
    before = {name: value.clone() for name, value in target.state_dict().items()}
    assert fitting_layers(target, source.state_dict()) == (["blocks.0.0"], ["hidden.1.0", "hidden.2.0", "logit"])
    assert load_matching_layers(target, source.state_dict()).layers == ("blocks.0.0",)
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name] if name.startswith("blocks.0") else before[name]), name


def test_a_norm_that_is_new_leaves_the_channels_what_they_are() -> None:
    source, target = ConvNet((16, 16), (4, 5)), ConvNet((16, 16), (4, 5), norm="batch")
    carried = load_matching_layers(target, source.state_dict())
    assert carried.fresh == ("blocks.0.1", "blocks.1.1")


def test_layers_that_are_to_be_kept_are_kept() -> None:
    source, target = ConvNet((16, 16), (4, 5)), ConvNet((16, 16), (4, 5))
    before = target.blocks[0][0].weight.clone()
    carried = load_matching_layers(target, source.state_dict(), keep=["blocks.0.0"])
    assert torch.equal(target.blocks[0][0].weight, before)
    assert carried.fresh == ("blocks.0.0",)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (nn.Linear(2, 2), "no layer has the same name"),
        (ConvNet((16, 16), (6, 7), (8,)), r"is \(6, 3, 3, 3\) there and \(4, 3, 3, 3\) here"),
    ],
)
def test_where_no_layer_fits_that_is_said_with_the_way_out(source: nn.Module, text: str) -> None:
    target = ConvNet((16, 16), (4, 5), (9,))
    with pytest.raises(UserError, match=rf"no layer of the network fits: .*{text}.*Take a run of the same model"):
        load_matching_layers(target, source.state_dict())


def test_the_hash_is_of_names_and_values() -> None:
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3)}
    known = weights_hash(weights)
    assert weights_hash(dict(reversed(weights.items()))) == known
    others = [{**weights, "b": torch.tensor(4)}, {"a": weights["a"], "c": weights["b"]}, {"a": weights["a"]}]
    assert len({known, *map(weights_hash, others)}) == 4
