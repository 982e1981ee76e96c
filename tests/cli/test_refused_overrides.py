"""What is said to a command line that cannot be composed, and how a way out is written so that it can be pasted."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from samples import run_command

from fancnn.cli.command import conf_dir, option_groups, with_earlier_overrides
from fancnn.cli.refused_overrides import refused_overrides
from fancnn.errors import UserError, argument
from fancnn.prune.settings import PruneSettings


def refused(*overrides: str, command: str = "train") -> list[str]:
    def wrong(_: object) -> None:
        raise UserError("seed=-1 is wrong")

    return refused_overrides(command, conf_dir(), option_groups(), wrong, overrides)


@pytest.mark.slow
def test_all_mistakes_of_a_command_line_are_named_with_what_may_have_been_meant() -> None:
    texts = refused("misspelt=3", "model.optimizer.lrr=2", "model=tinny", "schedule=cosin", "seed=-1", "data.root=a")
    assert texts == [
        "misspelt=3: train has no key misspelt. --help lists its keys",
        "model.optimizer.lrr=2: train has no key model.optimizer.lrr. Did you mean model.optimizer.lr?",
        f"model=tinny is none of {', '.join(option_groups()['model'])}. Did you mean tiny?",
        f"schedule=cosin is none of {', '.join(option_groups()['schedule'])}. Did you mean cosine?",
        "seed=-1 is wrong",
    ]


@pytest.mark.slow
def test_a_key_that_another_argument_takes_away_is_named() -> None:
    (text, _) = refused("loss=focal", "model.loss.pos_weight=balanced")
    assert text.startswith("model.loss.pos_weight=balanced: train has no key model.loss.pos_weight")


@pytest.mark.slow
def test_a_key_of_an_earlier_version_is_named_as_it_is_now() -> None:
    texts = refused("data.split=grouped", "model.outputs=types")
    assert texts[:2] == [
        "data.split=grouped: train has no key data.split. It is data.split_method=grouped now",
        "model.outputs=types: train has no key model.outputs. It is model.labels=defect_types now",
    ]


@pytest.mark.slow
def test_a_key_with_the_name_of_a_group_that_the_command_does_not_choose_is_unknown() -> None:
    assert refused("image_size=100")[0] == "image_size=100: train has no key image_size. Did you mean data.image_size?"
    (text, _) = refused("image_size=240", command="fans")
    assert text == "image_size=240: fans has no key image_size. --help lists its keys"


@pytest.mark.slow
def test_a_key_that_another_argument_brings_is_none_of_them() -> None:
    there, wrong = "augment.transforms.shift=null", "augment.transforms.shft=null"
    near = "augment.transforms.shft. Did you mean augment.transforms.shift?"
    assert refused("augment=light", there, wrong) == [f"{wrong}: train has no key {near}", "seed=-1 is wrong"]


@pytest.mark.parametrize("overrides", [("-m", "sed=1"), ("hydra.run.dir=a", "sed=1")])
def test_hydras_own_options_are_left_to_hydra(overrides: tuple[str, ...]) -> None:
    assert refused(*overrides) == []


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_printed_argument_can_be_pasted_whatever_is_in_it(text: str) -> None:
    (pasted,) = shlex.split(argument("run", text))
    (override,) = OverridesParser.create().parse_overrides([pasted])
    assert str(override.value()) == text


@pytest.mark.slow
def test_a_run_is_gone_on_with_by_the_command_that_made_it(trained_run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in trained_run.rglob("*.*") if path.is_file()}
    (tmp_path / "run/.hydra").mkdir(parents=True)
    (tmp_path / "run/.hydra/overrides.yaml").write_text("[]")
    (tmp_path / "run/.hydra/hydra.yaml").write_text("hydra: {job: {name: train}}")
    for command in ("crossval", "prune", "pretrain"):
        answer = run_command(f"fancnn.{command}", "ckpt=run", cwd=tmp_path, fresh=True)
        assert answer.returncode == 1
        assert answer.stderr == (
            f"run is a run of train: go on with it by python -m fancnn.train ckpt=run, or name one of {command}\n"
        )
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("content", ["", "- a", "3", "hydra: {job: {name: 3}}", "hydra: {job: train}"])
def test_a_run_that_does_not_say_who_made_it_is_damaged(content: str, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/overrides.yaml").write_text("[model=basic]")
    (tmp_path / ".hydra/hydra.yaml").write_text(content)
    with pytest.raises(UserError, match=r"hydra.yaml is damaged: it does not name the command that made the run"):
        with_earlier_overrides([f"ckpt={tmp_path}"], "ckpt", "prune", PruneSettings)
