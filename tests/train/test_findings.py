"""Warnings of a training in words, and the callback that looks inside, by whole runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
EVERY = "callbacks.dynamics.every_n_epochs=1"


def assert_same_weights(one: Path, other: Path) -> None:
    states = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (one, other)]
    torch.testing.assert_close(*states, rtol=0, atol=0)


@pytest.mark.slow
def test_a_rate_that_learns_nothing_is_told_on_the_console_in_metrics_json_and_in_the_report(
    train_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(train_settings("trainer.max_epochs=4", "model.optimizer.lr=1e-7", "report=true"))
    said, run = capsys.readouterr().out, tmp_path / "run"
    (warning,) = json.loads((run / "metrics.json").read_text())["warnings"]
    assert "Raise model.optimizer.lr" in warning
    assert said.count(f"warning: {warning}") == 1
    assert "gets nowhere" in (run / "report.html").read_text()


def test_a_network_that_stopped_learning_is_told_while_it_trains_and_only_then(
    train_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a rate this high throws the network off in the first epoch
    train(train_settings("trainer.max_epochs=8", "model.optimizer.lr=1", "callbacks.early_stopping=null"))
    before, after = capsys.readouterr().out.split("epoch  8/8")
    assert before.count("every validation image gets the same probability") == 1
    assert "every validation image" not in after
    assert len(json.loads((tmp_path / "run/metrics.json").read_text())["warnings"]) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("more", [["augment=strong"], ["averaging=ema"]], ids=str)
def test_looking_inside_changes_no_training_and_goes_on_with_it(
    more: list[str], train_settings: Settings, tmp_path: Path
) -> None:
    blind, whole, half, rest = (tmp_path / name for name in ("blind", "whole", "half", "rest"))
    train(train_settings(*more, "trainer.max_epochs=3", "callbacks.dynamics=null", output=blind))
    train(train_settings(*more, "trainer.max_epochs=3", EVERY, output=whole))
    train(train_settings(*more, "trainer.max_epochs=2", EVERY, output=half))
    train(train_settings(*more, "trainer.max_epochs=3", EVERY, f"ckpt={half}", output=rest))
    assert_same_weights(blind, whole)
    assert_same_weights(blind, rest)
    assert (whole / "dynamics.csv").read_bytes() == (rest / "dynamics.csv").read_bytes()
    assert not (blind / "dynamics.csv").exists()


def test_tensorboard_has_a_curve_for_each_layer(trained_run: Path) -> None:
    events = EventAccumulator(str(trained_run))
    events.Reload()
    curves = [tag for tag in events.Tags()["scalars"] if tag.startswith("dynamics/")]
    for name in ("weight_norm", "gradient_norm", "update_ratio", "mean", "std", "dead"):
        assert any(tag.endswith(f"/{name}") for tag in curves), name
    assert [event.step for event in events.Scalars(curves[0])] == [1, 3, 5, 7]
