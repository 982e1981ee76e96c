"""Networks with two outputs and with one for each defect type, in whole runs."""

import csv
import json
from collections.abc import Callable, Mapping
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from samples import SMALL, compose_command, compose_train, write_images

import fancnn
from fancnn import assembly
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import Prediction, read_predictions
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings
from fancnn.report.report import write_report
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.epoch_log import EpochCsvLogger

Settings = Callable[..., TrainSettings]
QUICK = ("report=false", "logger.tensorboard=null")
TYPES = "model.labels=defect_types"


@pytest.fixture(scope="module")
def typed_run(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A finished run that tells scratch from stain; tests leave it as it is."""
    output = tmp_path_factory.mktemp("typed") / "run"
    learns = ["model.optimizer.lr=0.01", "trainer.max_epochs=6", TYPES, *QUICK]
    train(compose_train(output, *SMALL, *learns, f"data.root={image_folder}", "data.test_fraction=0.2"))
    return output


def column(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def metrics_of(run: Path) -> Mapping[str, Any]:
    return json.loads((run / "metrics.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("penalties", [[], ["model.loss.smoothing=0.1", "model.loss.pos_weight=balanced"]])
def test_one_and_two_outputs_agree_on_the_same_weights(penalties: list[str], tmp_path: Path) -> None:
    """The weights of one logit, beside a row of zeros for GO."""
    small = ["model=tiny", "data.image_size=[16,16]", *penalties]
    settings = [compose_train(tmp_path, *small, f"model.labels={kind}") for kind in ("binary", "softmax")]
    one, two = (assembly.model(of_kind, ("GO", "NG")) for of_kind in settings)
    last = two.network.logit
    weights = one.network.state_dict()
    for name in ("logit.weight", "logit.bias"):
        weights[name] = torch.cat([torch.zeros_like(weights[name]), weights[name]])
    two.network.load_state_dict(weights)
    images, labels = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8), (torch.arange(9) % 2).float()
    np.testing.assert_allclose(one.probabilities(images), two.probabilities(images), atol=1e-6)
    counts = (5, 4)
    losses = [
        assembly.classifier(of_kind, model, {}, counts).training_step((images, labels), 0)
        for of_kind, model in zip(settings, (one, two), strict=True)
    ]
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(one.network.logit.weight.grad[0], last.weight.grad[1])
    torch.testing.assert_close(last.weight.grad[0], -last.weight.grad[1])


def test_a_model_of_types_says_p_of_ng_as_any_and_names_what_it_finds(typed_run: Path, image_folder: Path) -> None:
    model = fancnn.load(typed_run)
    assert model.outputs == ("GO", "scratch", "stain")
    rows = read_predictions(typed_run / "predictions.csv")
    found = model.predict([image_folder / row.path for row in rows])
    assert found.probabilities == pytest.approx([row.probability for row in rows], abs=1e-6)
    assert found.types == ["" if row.decision == "GO" else row.found_type for row in rows]
    assert {row.found_type for row in rows} <= {"scratch", "stain"}
    assert {(row.defect_type, row.true_type) for row in rows} == {("", ""), ("scratch",) * 2, ("stain",) * 2}
    images = torch.randint(0, 256, (5, 3, 20, 20), dtype=torch.uint8)
    shares = torch.softmax(model.network(model.preprocess(images)), 1).detach()
    logits, guesses = model.logits_and_types(images)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), 1 - shares[:, 0].numpy(), atol=1e-6)
    named = [model.outputs[1 + int(row[1:].argmax())] for row in shares]
    assert [guess.name for guess in guesses] == named


def test_metrics_and_report_say_how_often_the_type_is_right(
    typed_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, rows = metrics_of(typed_run), read_predictions(typed_run / "predictions.csv")
    assert metrics["outputs"] == ["GO", "scratch", "stain"]
    named = metrics["splits"]["test"]["types"]
    found = [row for row in rows if row.split == "test" and row.label == 1 and row.decision == "NG"]
    assert (named["right"], named["of"]) == (sum(row.found_type == row.true_type for row in found), len(found))
    page = write_report(typed_run).read_text()
    assert "True type against found type" in page
    (typed_run / "report.html").unlink()


def test_a_model_without_types_says_nothing_of_them(trained_run: Path) -> None:
    assert metrics_of(trained_run)["splits"]["test"]["types"] is None
    assert "found_type" not in (trained_run / "predictions.csv").read_text()
    assert set(fancnn.load(trained_run).predict(np.zeros((3, 9, 9, 3), np.uint8)).types) == {""}


def test_predict_names_the_likeliest_type_of_what_is_not_go(
    typed_run: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "predictions.csv"
    given = [f"run={typed_run}", f"input={image_folder}", f"output={output}", "device=cpu", f"output_dir={tmp_path}"]
    counts = predict(compose_command("predict", PredictSettings, *given))
    rows = read_predictions(output)
    assert all(bool(row.found_type) == (row.decision == "NG") == (row.type_share is not None) for row in rows)
    assert sum(counts.types.values()) == counts.decided["NG"] > 0
    assert "NG by likeliest type: " in capsys.readouterr().out


def evaluated(run: Path, output: Path, *overrides: str) -> list[Prediction]:
    given = [f"run={run}", f"output_dir={output}", "device=cpu", *overrides]
    evaluate_run(compose_command("evaluate", EvaluateSettings, *given))
    return read_predictions(output / "predictions.csv")


def test_types_that_the_model_does_not_know_are_scored_as_ng_and_said(
    typed_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "new", {"GO": 4, "NG/stain": 3, "NG/burr": 5, "NG": 2}, seed=5)
    rows = evaluated(typed_run, tmp_path / "out", f"data.root={root}")
    assert (
        "the model knows no such types: NG (2), burr (5). They can be found, not named. It knows: scratch, stain"
        in (capsys.readouterr().out)
    )
    assert [row.true_type for row in rows if row.label == 1 and row.true_type] == ["stain"] * 3
    assert metrics_of(tmp_path / "out")["splits"]["all"]["types"]["of"] <= 3
    assert metrics_of(tmp_path / "out")["splits"]["all"]["ng"] == 10


def test_evaluating_a_run_finds_the_types_that_its_training_found(typed_run: Path, tmp_path: Path) -> None:
    of_training = [row for row in read_predictions(typed_run / "predictions.csv") if row.split == "test"]
    rows = evaluated(typed_run, tmp_path / "out")
    assert [row.found_type for row in rows] == [row.found_type for row in of_training]
    assert [row.type_share for row in rows] == pytest.approx([row.type_share for row in of_training], abs=1e-5)


GOING_ON = {
    "two": ["model.labels=softmax", "model.output_bias=balanced", "data.sampler=balanced"],
    "types": [TYPES, "model.loss.pos_weight=balanced", "model.output_bias=balanced", "data.sampler=undersampled"],
    "types, mixed": [
        *[TYPES, "loss=focal", "augment=light"],
        "+augment.transforms.mixup={_target_: fancnn.augmentation.MixUp, alpha: 1}",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("options", GOING_ON.values(), ids=GOING_ON)
def test_a_run_stopped_in_its_second_epoch_goes_on_exactly(
    options: list[str], train_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half, rest = tmp_path / "whole", tmp_path / "half", tmp_path / "rest"
    train(train_settings(*QUICK, *options, output=whole))
    original = EpochCsvLogger.on_train_epoch_end

    def stop(self: EpochCsvLogger, trainer: Any, module: Any) -> None:
        original(self, trainer, module)
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EpochCsvLogger, "on_train_epoch_end", stop)
        with pytest.raises(SystemExit):
            train(train_settings(*QUICK, *options, output=half))
    train(train_settings(*QUICK, *options, f"ckpt={half}", output=rest))
    last = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (whole, rest)]
    torch.testing.assert_close(*last, rtol=0, atol=0)
    assert column(rest, "val/loss") == column(whole, "val/loss")


@pytest.mark.slow
def test_a_run_of_before_there_were_outputs_can_be_gone_on_with(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings(*QUICK, output=tmp_path / "old"))
    path = tmp_path / "old/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    settings = content["fancnn"]["settings"]["model"]
    del settings["labels"], content["fancnn"]["outputs"]
    settings["loss"]["_target_"] = "fancnn.training.losses.BinaryCrossEntropy"
    content["fancnn"]["version"] = 2
    torch.save(content, path)
    longer = ["trainer.max_epochs=3", f"ckpt={tmp_path / 'old'}"]
    assert column(train(train_settings(*QUICK, *longer, output=tmp_path / "new")).run, "epoch") == [1, 2, 3]
    with pytest.raises(UserError, match="model.labels: binary there, defect_types here"):
        train(train_settings(*QUICK, *longer, TYPES, output=tmp_path / "other"))


def test_a_balanced_output_bias_starts_at_the_entropy_of_the_types(tmp_path: Path) -> None:
    """Black images leave nothing but the bias; the criterion is over types, the loss that is compared over NG."""
    for name, count in {"GO": 20, "NG/chip": 15, "NG/dent": 5}.items():
        (tmp_path / "black" / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (16, 16), (0, 0, index)).save(tmp_path / "black" / name / f"{index}.png")
    root = f"data.root={tmp_path / 'black'}"
    still = ["model.optimizer.lr=1e-12", "trainer.max_epochs=1", root, "data.batch_size=40", TYPES]
    settings = compose_train(tmp_path / "run", *SMALL, *QUICK, *still, "model.output_bias=balanced")
    train(settings)
    data = assembly.datamodule(settings.data, tmp_path / "black", 0, "defect_types")
    data.setup()
    shares = np.array(data.class_counts()) / sum(data.class_counts())
    entropy = -float((shares * np.log(shares)).sum())
    assert column(tmp_path / "run", "train/criterion") == pytest.approx([entropy], abs=5e-3)
    ng = 1 - shares[0]
    assert column(tmp_path / "run", "train/loss") == pytest.approx([-ng * log(ng) - (1 - ng) * log(1 - ng)], abs=5e-3)


def joined(output: Path, *runs: Path) -> Path:
    given = [f"runs=[{','.join(map(str, runs))}]", f"output_dir={output}"]
    return ensemble(compose_command("ensemble", EnsembleSettings, *given))


@pytest.mark.slow
def test_an_ensemble_names_types_where_its_members_have_the_same(
    typed_run: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = [*SMALL, *QUICK, f"data.root={image_folder}", f"data.split_file={typed_run / 'split.csv'}", "seed=1"]
    for name in ("defect_types", "softmax"):
        train(compose_train(tmp_path / name, *split, f"model.labels={name}"))
    model = fancnn.load(joined(tmp_path / "alike", typed_run, tmp_path / "defect_types"))
    assert model.outputs == ("GO", "scratch", "stain")
    rows = evaluated(tmp_path / "alike", tmp_path / "scored")
    table = {row.path: row for row in read_predictions(tmp_path / "alike/predictions.csv")}
    assert [row.probability for row in rows] == pytest.approx([table[row.path].probability for row in rows], abs=1e-5)
    assert all(row.found_type in ("scratch", "stain") for row in rows)
    capsys.readouterr()
    mixed = fancnn.load(joined(tmp_path / "mixed", typed_run, tmp_path / "softmax"))
    assert mixed.outputs == ("NG",)
    assert "the members do not all distinguish the same types, so that the ensemble names none" in (
        capsys.readouterr().out
    )


def test_one_kind_of_ng_alone_is_refused_before_training(train_settings: Settings, tmp_path: Path) -> None:
    root = write_images(tmp_path / "plain", {"GO": 10, "NG": 10})
    with pytest.raises(UserError, match="all NG images for training are of one type, NG"):
        train(train_settings(*QUICK, f"data.root={root}", TYPES))
