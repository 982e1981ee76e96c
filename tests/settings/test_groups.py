"""Settings check themselves when they are made, by keys relative to themselves."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from samples import compose_command, compose_train

from fancnn.cli.command import conf_dir, kept_settings
from fancnn.describe.settings import DescribeSettings
from fancnn.errors import UserError
from fancnn.fans.settings import RenderSettings
from fancnn.settings.choices import to_dict
from fancnn.settings.groups import FansSettings, FreezeSettings, ImageLimits, UnlabelledSettings
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings


def test_an_object_made_by_hand_is_checked_too(tmp_path: Path) -> None:
    settings = compose_train(tmp_path)
    with pytest.raises(UserError, match="^batch_size=0 should be 1 or more$"):
        replace(settings.data, batch_size=0)
    with pytest.raises(UserError, match="^seed=-1 should be from 0"):
        replace(settings, seed=-1)
    with pytest.raises(UserError, match="^2 mistakes:\n  l1=-1 .*\n  l2=nan "):
        replace(settings.regularization, l1=-1, l2=float("nan"))


def test_one_dataclass_serves_under_several_keys() -> None:
    with pytest.raises(UserError, match="^size=1 is out of range"):
        FansSettings(600, 0, 0.5, 1, 1.0)
    with pytest.raises(UserError, match="^size=1 is out of range"):
        compose_command("fans", RenderSettings, "root=fans", "size=1")
    with pytest.raises(UserError, match="^data.fans.size=1 is out of range"):
        compose_train(Path(), "data.fans.size=1")


def test_groups_are_checked_against_each_other_where_they_meet(tmp_path: Path) -> None:
    settings = compose_train(tmp_path)
    with pytest.raises(UserError, match=r"^freeze.until_epoch=10 should be from 1 to below trainer.max_epochs=10"):
        replace(settings, freeze=FreezeSettings(layers=2, until_epoch=10))
    with pytest.raises(UserError, match="^decision.rule=cost needs line.ng_rate"):
        replace(settings, decision=replace(settings.decision, rule="cost"))


def test_what_a_file_kept_may_name_places_that_are_gone(tmp_path: Path) -> None:
    kept = to_dict(compose_train(tmp_path))
    kept["data"] |= {"root": "/no/such/place", "split_file": "/no/such/split.csv"}
    kept |= {"ckpt": "/no/such/run", "overrides": []}
    kept["callbacks"] = kept["logger"] = {}
    settings = kept_settings(kept, TrainSettings, "best.ckpt")
    with pytest.raises(UserError, match="^3 mistakes:\n  ckpt='/no/such/run' does not exist"):
        settings.validate_paths()
    kept["data"]["resize"] = "crop"
    with pytest.raises(UserError, match="^data.resize='crop' is none of squash, pad$"):
        kept_settings(kept, TrainSettings, "best.ckpt")


def test_limits_are_finite() -> None:
    with pytest.raises(UserError, match="^megapixels=179 should be at most 178"):
        ImageLimits(megapixels=179)


def test_what_commands_share_has_one_value(tmp_path: Path) -> None:
    """A training, a pretraining and a description see images of one size, read in one way."""
    trained = compose_train(tmp_path)
    pretrained = compose_command(
        "pretrain", PretrainSettings, f"data.root={tmp_path}", f"output_dir={tmp_path}/out", "overrides=[]"
    )
    for name in UnlabelledSettings.__dataclass_fields__:
        assert name == "root" or getattr(pretrained.data, name) == getattr(trained.data, name), name
    assert compose_command("describe", DescribeSettings).data.image_size == trained.data.image_size


def test_a_benchmark_measures_a_training_as_train_has_it() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        trained, measured = compose("train", ["data=folder"]), compose("benchmark")
    own = {"calibration", "report", "score_test", "overrides", "callbacks", "logger", "data"}
    for key in set(trained) - own - {"output_dir"}:
        assert measured[key] == trained[key], key
