"""First weights against theory, written out here once more."""

import math

import pytest
import torch
from torch import nn

from fancnn.networks.initializers import INITIALIZERS, initialize, theoretical_std

LAYERS = {
    "conv": lambda: nn.Conv2d(64, 96, 5),  # fans 1600 and 2400
    "narrowing": lambda: nn.Linear(900, 300),
    "widening": lambda: nn.Linear(300, 900),
}
# of fan_in, fan_out, outputs
THEORY = {
    "glorot_uniform": lambda i, o, n: math.sqrt(2 / (i + o)),
    "glorot_normal": lambda i, o, n: math.sqrt(2 / (i + o)),
    "he_uniform": lambda i, o, n: math.sqrt(2 / i),
    "he_normal": lambda i, o, n: math.sqrt(2 / i),
    "lecun_uniform": lambda i, o, n: math.sqrt(1 / i),
    "lecun_normal": lambda i, o, n: math.sqrt(1 / i),
    "orthogonal": lambda i, o, n: math.sqrt(1 / max(i, n)),
    "uniform": lambda i, o, n: 0.1 / math.sqrt(12),
    "normal": lambda i, o, n: 0.05,
}


def test_every_initializer_has_a_theory_here() -> None:
    assert set(THEORY) == set(INITIALIZERS)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_kernels_have_the_standard_deviation_of_theory(name: str, kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    initialize(layer, name)
    area = math.prod(layer.weight.shape[2:])
    expected = THEORY[name](layer.weight.shape[1] * area, layer.weight.shape[0] * area, layer.weight.shape[0])
    assert theoretical_std(name, layer.weight) == pytest.approx(expected)
    # 150,000 values and more: the standard error of their spread is below 0.2 %
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.01)
    assert layer.weight.mean().item() == pytest.approx(0, abs=expected / 50)
    assert torch.count_nonzero(layer.bias) == 0


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "orthogonal"])
def test_uniform_ones_have_limits_and_normal_ones_tails(name: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(900, 300)
    initialize(layer, name)
    largest = layer.weight.abs().max().item() / theoretical_std(name, layer.weight)
    assert largest <= math.sqrt(3) * (1 + 1e-6) if "uniform" in name else largest > 4


@pytest.mark.parametrize("kind", LAYERS)
def test_orthogonal_kernels_keep_lengths(kind: str) -> None:
    layer = LAYERS[kind]()
    initialize(layer, "orthogonal")
    rows = layer.weight.detach().flatten(1)
    few = rows if len(rows) <= rows.shape[1] else rows.T
    torch.testing.assert_close(few @ few.T, torch.eye(len(few)), atol=1e-5, rtol=0)


def test_what_was_done_is_told_by_layer() -> None:
    chain = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2))
    told = initialize(chain, "he_normal")
    assert {name: start.name for name, start in told.items()} == {"0": "he_normal", "3": "he_normal"}
    assert told["0"].std == pytest.approx(1 / 3)


def test_an_unknown_initializer_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="'glorot' is none of glorot_normal, glorot_uniform, .*uniform"):
        initialize(nn.Linear(2, 2), "glorot")
