"""What `python -m fancnn.describe` says of each model option."""

import importlib.util
import re
from pathlib import Path

import pytest
from samples import compose_command, run_command

from fancnn.cli.command import conf_dir
from fancnn.describe.describe import describe
from fancnn.describe.settings import DescribeSettings
from fancnn.errors import UserError

OPTIONS = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))
OWN = [option for option in OPTIONS if option != "timm"]


def settings(*overrides: str) -> DescribeSettings:
    return compose_command("describe", DescribeSettings, *overrides)


@pytest.mark.parametrize("option", OWN)
def test_every_network_of_ours_is_told_in_80_columns(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = describe(settings(f"model={option}"))
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert all(layer.name in told for layer in found.layers)
    assert told.splitlines()[-1].startswith(f"{found.parameters:,} parameters, ")
    assert "?" not in told  # what every layer sees is known
    opening = (conf_dir() / f"model/{option}.yaml").read_text().splitlines()[0]
    if stated := re.search(r"([\d,]+) parameters", opening):
        assert stated[1] == f"{found.parameters:,}"


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_networks_of_others_are_told_as_far_as_they_can_be(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = describe(settings("model=timm", f"model.network.name={name}"))
    assert f"{found.parameters:,} parameters" in capsys.readouterr().out
    assert found.flops > 0
    assert sum(layer.parameters for layer in found.layers) <= found.parameters


def test_the_rows_of_basic_are_the_originals(capsys: pytest.CaptureFixture[str]) -> None:
    describe(settings("model=basic"))
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines]
    assert ["blocks.1.0", "conv", "3x3", "64x37x37", "18,496", "50.47", "8", "2"] in rows
    assert ["hidden.1.0", "linear", "128", "2,654,336", "5.31", "all"] in rows
    assert lines[-1] == "2,673,857 parameters, 10.7 MB in float32; 66.3 MFLOP an image"


def test_the_weights_it_measures_are_those_a_training_starts_with(capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (describe(settings("model=tiny", f"seed={seed}")) for seed in (0, 0, 1))
    assert [layer.std for layer in first.layers] == [layer.std for layer in again.layers]
    assert [layer.std for layer in first.layers] != [layer.std for layer in other.layers]


def test_frozen_filters_made_by_hand_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    describe(settings("model=tiny", "model.network.first_layer=laplace", "model.network.freeze_first_layer=true"))
    told = capsys.readouterr().out
    assert "(112 of them frozen)" in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith("blocks.0.0 ")][-1] == "laplace"


def test_images_that_are_too_small_are_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"model.network: block 2 of 2 gets 2x2 pixels .*data.image_size=\[6, 6\]"):
        describe(settings("data.image_size=[6,6]"))


def test_its_help_names_every_network(tmp_path: Path) -> None:
    answer = run_command("fancnn.describe", "--help", cwd=tmp_path)
    assert f"Networks: {', '.join(OPTIONS)}" in answer.stdout


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_network_has_as_many_outputs_as_it_is_told(count: int) -> None:
    found = describe(settings("model=basic", f"model.num_outputs={count}"))
    assert found.layers[-1].parameters == count * (128 + 1)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_a_number_of_outputs_that_is_none_is_refused(count: int) -> None:
    with pytest.raises(UserError, match=f"model.num_outputs={count}: expected 1 .*up to 10,000"):
        describe(settings("model=basic", f"model.num_outputs={count}"))
