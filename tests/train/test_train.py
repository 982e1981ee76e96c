import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from samples import SMALL, process_environment, write_images
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import fancnn
from fancnn.data.labeled_images import read_split
from fancnn.errors import UserError
from fancnn.metrics.predictions import read_predictions, scored
from fancnn.metrics.score_registry import SCORES
from fancnn.metrics.thresholds import Thresholds
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
EPOCH_SCORES = {name for name, entry in SCORES.items() if entry.each_epoch}


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


def assert_same_weights(one: Path, other: Path) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=0)


def test_a_run_leaves_everything_it_promises(trained_run: Path) -> None:
    present = {str(path.relative_to(trained_run)) for path in trained_run.rglob("*") if path.is_file()}
    assert {"split.csv", "predictions.csv", "metrics.json", "metrics.csv"} <= present
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= present
    assert any("tfevents" in name for name in present)


def test_metrics_json_is_what_the_prediction_table_says(trained_run: Path) -> None:
    metrics = json.loads((trained_run / "metrics.json").read_text())
    predictions = read_predictions(trained_run / "predictions.csv")
    assert set(metrics["splits"]) == {"val", "test"}
    for part, found in metrics["splits"].items():
        counts, scores = scored([row for row in predictions if row.split == part], Thresholds(*metrics["thresholds"]))
        assert (found["escapes"], found["overkills"]) == (counts.escapes, counts.overkills)
        assert {name: found[name] for name in scores} == pytest.approx(scores)


def test_the_scores_of_the_best_epoch_are_those_of_metrics_json(trained_run: Path) -> None:
    """Why does evaluation differ from the epoch? It does not."""
    metrics = json.loads((trained_run / "metrics.json").read_text())
    with (trained_run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = min(rows, key=lambda row: float(row["val/loss"]))
    assert int(best["epoch"]) == metrics["epoch"]
    for name in EPOCH_SCORES - {"loss"}:  # that of metrics.json is of calibrated probabilities
        live = best[f"val/{name}"]
        assert (float(live) if live else None) == pytest.approx(metrics["splits"]["val"][name], abs=1e-6), name


@pytest.mark.slow
def test_the_same_command_gives_the_same_split_predictions_and_weights(
    train_settings: Settings, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for output in (one, other):
        train(train_settings("seed=3", output=output))
    for name in ("split.csv", "predictions.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert_same_weights(one / "checkpoints/last.ckpt", other / "checkpoints/last.ckpt")


def test_another_seed_gives_another_split_and_other_weights(train_settings: Settings, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for seed, output in ((3, one), (4, other)):
        train(train_settings(f"seed={seed}", "trainer.max_epochs=1", output=output))
    assert (one / "split.csv").read_bytes() != (other / "split.csv").read_bytes()
    kernel = "model.network.logit.weight"
    assert not torch.equal(
        weights(one / "checkpoints/last.ckpt")[kernel], weights(other / "checkpoints/last.ckpt")[kernel]
    )


@pytest.mark.slow
@pytest.mark.parametrize("augment", ["none", "strong"])
def test_a_resumed_run_is_the_run_that_was_not_interrupted(
    augment: str, train_settings: Settings, tmp_path: Path
) -> None:
    whole, half, rest = tmp_path / "whole", tmp_path / "half", tmp_path / "rest"
    train(train_settings("trainer.max_epochs=4", f"augment={augment}", output=whole))
    train(train_settings("trainer.max_epochs=2", f"augment={augment}", output=half))
    train(train_settings("trainer.max_epochs=4", f"augment={augment}", f"ckpt={half}", output=rest))
    for name in ("best.ckpt", "last.ckpt"):
        assert_same_weights(whole / "checkpoints" / name, rest / "checkpoints" / name)
    assert (whole / "predictions.csv").read_bytes() == (rest / "predictions.csv").read_bytes()
    with (whole / "metrics.csv").open() as file, (rest / "metrics.csv").open() as other:
        for one, two in zip(csv.DictReader(file), csv.DictReader(other), strict=True):
            del one["seconds"], two["seconds"]
            assert one == two


@pytest.mark.slow
def test_a_resumed_run_keeps_the_best_epoch_of_before_and_its_own_last(
    train_settings: Settings, tmp_path: Path
) -> None:
    half, rest = tmp_path / "half", tmp_path / "rest"
    train(train_settings("monitor=train/loss", "trainer.max_epochs=2", output=half))
    path = half / "checkpoints/last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    state = next(state for name, state in checkpoint["callbacks"].items() if name.startswith("BestCheckpoint"))
    state["best_model_score"] = state["kth_value"] = torch.tensor(-1.0)  # better than any epoch to come
    torch.save(checkpoint, path)
    train(train_settings("monitor=train/loss", "trainer.max_epochs=3", f"ckpt={half}", output=rest))
    assert_same_weights(half / "checkpoints/best.ckpt", rest / "checkpoints/best.ckpt")
    assert json.loads((rest / "metrics.json").read_text())["epoch"] == 2
    # a last epoch that is not the best is kept too, or the next interruption would lose all since the best
    assert torch.load(rest / "checkpoints/last.ckpt", weights_only=True)["fancnn"]["epoch"] == 3


def test_resuming_with_other_settings_is_refused(train_settings: Settings, trained_run: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)other settings:.*data.test_fraction: 0.2 there, 0.0 here") as refused:
        train(train_settings(f"ckpt={trained_run}"))
    assert "leave these out of the command: python -m fancnn.train ckpt=" in str(refused.value)


def test_resuming_on_other_images_is_refused(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("trainer.max_epochs=1", output=tmp_path / "one"))
    others = write_images(tmp_path / "others", {"GO": 9, "NG": 9})
    with pytest.raises(UserError, match="was trained on other images or another split: .*others.*split.csv"):
        train(train_settings(f"ckpt={tmp_path / 'one'}", f"data.root={others}"))


def test_resuming_a_finished_run_is_refused_with_the_way_to_train_longer(
    train_settings: Settings, tmp_path: Path
) -> None:
    train(train_settings("trainer.max_epochs=1", output=tmp_path / "one"))
    with pytest.raises(UserError, match="trained for 1 epochs, and trainer.max_epochs=1: .*trainer.max_epochs=2"):
        train(train_settings(f"ckpt={tmp_path / 'one'}", "trainer.max_epochs=1"))


def test_early_stopping_stops_and_the_best_epoch_is_the_one_judged(train_settings: Settings, tmp_path: Path) -> None:
    # a rate this high does not converge, so the loss of validation gets worse at once
    train(train_settings("trainer.max_epochs=30", "model.optimizer.lr=0.3", "callbacks.early_stopping.patience=2"))
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["epochs"] < 30
    assert metrics["epochs"] == metrics["epoch"] + 2


def test_without_a_checkpoint_the_last_epoch_is_judged(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("callbacks.checkpoint=null", "callbacks.early_stopping=null"))
    assert not (tmp_path / "run/checkpoints").exists()
    assert json.loads((tmp_path / "run/metrics.json").read_text())["epoch"] == 2


def test_training_that_diverges_says_so(train_settings: Settings) -> None:
    with pytest.raises(UserError, match="training diverged in epoch 1: .*Lower model.optimizer.lr"):
        train(train_settings("model.optimizer.lr=1e30", "trainer.max_epochs=1"))


def test_bfloat16_training_is_judged_in_float32(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("trainer.precision=bf16-mixed", "calibration=none"))
    run = tmp_path / "run"
    metrics = json.loads((run / "metrics.json").read_text())
    with (run / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert min(losses) == pytest.approx(metrics["splits"]["val"]["loss"], abs=1e-6)


def test_tensorboard_has_scores_rate_graph_samples_and_hyperparameters(trained_run: Path) -> None:
    events = EventAccumulator(str(trained_run), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    for part in ("train", "val"):
        assert {f"{part}/{name}" for name in EPOCH_SCORES - {"precision"}} <= set(tags["scalars"])
    assert "lr" in tags["scalars"]
    assert [event.step for event in events.Scalars("val/loss")] == list(range(1, 9))
    assert {name for name in tags["images"] if name.startswith("samples/")} == {"samples/train", "samples/val"}
    assert {"report/roc", "report/confusion"} <= set(tags["images"])
    assert tags["graph"]
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "val_best/f1" in tags["scalars"]


def test_the_learning_rate_falls_to_a_tenth_in_the_epochs_asked_for(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("schedule.epochs_per_decade=2", "trainer.max_epochs=3", "callbacks.early_stopping=null"))
    with (tmp_path / "run/metrics.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([1e-3, 1e-3 * 0.1**0.5, 1e-4])


def test_the_split_of_an_earlier_run_can_be_used_again(
    train_settings: Settings, trained_run: Path, tmp_path: Path
) -> None:
    train(train_settings("seed=9", f"data.split_file={trained_run / 'split.csv'}"))
    assert read_split(tmp_path / "run/split.csv") == read_split(trained_run / "split.csv")


def test_skipped_files_are_listed_in_the_run(train_settings: Settings, tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", {"GO": 12, "NG": 12})
    (root / "GO/003.png").write_bytes(b"no image")
    train(train_settings(f"data.root={root}", "data.on_bad_file=skip"))
    with (tmp_path / "run/skipped.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["GO/003.png"]
    assert rows[0]["reason"]
    assert json.loads((tmp_path / "run/metrics.json").read_text())["unread"] == 1


def test_the_test_part_is_not_looked_at_when_told_so(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("data.test_fraction=0.2", "score_test=false"))
    assert set(json.loads((tmp_path / "run/metrics.json").read_text())["splits"]) == {"val"}


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_from_outside_gives_the_shells_code_and_a_run_to_go_on_with(
    stop: signal.Signals, code: int, image_folder: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-u",
        "-m",
        "fancnn.train",
        *SMALL,
        f"data.root={image_folder}",
        "trainer.max_epochs=3000",
    ]
    command += ["callbacks.early_stopping=null"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=process_environment(),
        stdout=subprocess.PIPE,
        text=True,
        # a test run in the background ignores Ctrl-C, and its children would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch  2/"):
                process.send_signal(stop)
                break
        rest = process.stdout.read()
        assert process.wait() == code
    assert "go on with: python -m fancnn.train ckpt=outputs/train/" in rest
    (run,) = (tmp_path / "outputs/train").iterdir()
    with pytest.raises(UserError, match="is not complete: python -m fancnn.train was stopped there"):
        fancnn.load(run)
    assert fancnn.load(run, unfinished=True).metadata.epoch >= 1
    assert not list(run.rglob("*partial*"))
