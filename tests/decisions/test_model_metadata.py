"""What files say of a model, as one record."""

from dataclasses import replace

import pytest

from fancnn.decisions.model_metadata import ABSENT, CHECKPOINT_KINDS, CheckpointMetadata
from fancnn.errors import UserError
from fancnn.files.plain_data import record, validate

DECIDED = CheckpointMetadata(
    classes=["GO", "NG"], go_class="GO", calibration={"slope": 1.0}, decision="fixed", decision_rule=None, epoch=3
)


def test_what_was_written_is_read_again() -> None:
    assert CheckpointMetadata.from_dict(DECIDED.to_dict()) == DECIDED
    later = {**DECIDED.to_dict(), "a key of a later version": 1}
    assert CheckpointMetadata.from_dict(later) == DECIDED


def test_a_rule_that_nobody_said_is_no_rule_that_cannot_choose_again() -> None:
    before = replace(DECIDED, decision_rule=ABSENT)
    assert "decision_rule" not in before.to_dict()
    assert DECIDED.to_dict()["decision_rule"] is None
    assert CheckpointMetadata.from_dict(before.to_dict()).decision_rule is ABSENT


def test_a_pretraining_says_nothing_of_decisions() -> None:
    said = CheckpointMetadata(task="autoencoder", learnt=["blocks.0.0"]).to_dict()
    assert not {"classes", "go_class", "outputs", "thresholds", "calibration", "decision", "decision_rule"} & set(said)
    assert CheckpointMetadata.from_dict(said).is_pretraining


def test_version_1_had_one_threshold() -> None:
    assert CheckpointMetadata.from_dict({"version": 1, "threshold": 0.3}).thresholds == (0.3, 0.3)


def test_the_line_of_the_decision_goes_before_that_of_the_training() -> None:
    trained, decided = {"ng_rate": 0.1}, {"ng_rate": 0.2}
    assert CheckpointMetadata(settings={"line": trained}).known_line == trained
    assert CheckpointMetadata(settings={"line": trained}, line=decided).known_line == decided
    assert CheckpointMetadata().known_line is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epoch", -1, "epoch: expected a whole number from 0, got -1"),
        ("runs", [1], "runs.0: expected text, got 1"),
        ("complete", "yes", "complete: expected true or false, got 'yes'"),
        ("thresholds", [0.9, 0.1], "thresholds: thresholds 0.9 and 0.1 should be"),
        ("versions", {"torch": 2}, "versions.torch: expected text, got 2"),
        ("outputs", ["GO"], "outputs: expected"),
    ],
)
def test_what_a_key_may_be_follows_from_its_type(key: str, value: object, expected: str) -> None:
    with pytest.raises(UserError, match=f"a.ckpt is damaged: {expected}"):
        validate({key: value}, record(CHECKPOINT_KINDS), "a.ckpt")
