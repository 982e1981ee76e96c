"""Words of the configuration are members while the program runs, and text in files."""

import json
import pickle
from typing import Any

import pytest
import torch
from samples import compose_train

from fancnn.errors import UserError
from fancnn.settings.choices import Choice, DecisionRule, ImageFormat, Resize, choice_in, choices_of, to_dict
from fancnn.settings.groups import DataSettings, DecisionSettings
from fancnn.settings.training import TrainSettings


def every_choice() -> list[type[Choice]]:
    return sorted(Choice.__subclasses__(), key=lambda choice: choice.__name__)


@pytest.mark.parametrize("choice", every_choice(), ids=[choice.__name__ for choice in every_choice()])
def test_a_member_is_called_what_is_written(choice: type[Choice]) -> None:
    """OmegaConf takes members by their names."""
    assert [member.name for member in choice] == [member.value for member in choice]


def test_another_word_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="^resize='crop' is none of squash, pad$"):
        Resize.of("resize", "crop")
    with pytest.raises(UserError, match=r"^resize=\[1\] is none of squash, pad$"):
        Resize.of("resize", [1])


@pytest.mark.parametrize(
    ("hint", "choice"),
    [
        (Resize, Resize),
        (Resize | None, Resize),
        (list[ImageFormat], ImageFormat),
        (list[ImageFormat] | None, ImageFormat),
        (str | None, None),
        (list[int], None),
        (Any, None),
    ],
)
def test_choices_are_found_in_types(hint: Any, choice: type[Choice] | None) -> None:
    assert choice_in(hint) is choice


def test_fields_of_a_class_above_count() -> None:
    assert {"resize", "split_method"} <= set(choices_of(DataSettings))


def test_a_word_of_a_file_becomes_a_member_and_text_again(tmp_path: Any) -> None:
    kept = DecisionSettings("escape", "val", 0.5, None, 1.0, 0.01, 0.95, "group")  # type: ignore[arg-type]
    assert kept.rule is DecisionRule.escape
    plain = to_dict(kept)
    assert (type(plain["rule"]), plain["rule"], plain["unit"]) == (str, "escape", "group")
    assert json.loads(json.dumps(plain)) == plain


def test_settings_for_a_checkpoint_hold_no_members(tmp_path: Any) -> None:
    settings = compose_train(tmp_path)
    assert isinstance(settings, TrainSettings)
    torch.save(to_dict(settings), tmp_path / "settings.pt")
    kept = torch.load(tmp_path / "settings.pt", weights_only=True)
    assert kept["data"]["resize"] == "squash"
    assert b"fancnn.settings" not in pickle.dumps(to_dict(settings))
