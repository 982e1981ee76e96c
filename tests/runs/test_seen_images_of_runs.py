"""What a model has seen goes with its weights: through every descent, into tables, files and warnings."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import SMALL, compose_command, write_images

import fancnn
from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.data.labeled_images import LabeledImage, copies_across_splits, read_split
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.predictions import read_predictions, write_predictions
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings
from fancnn.pretrain.pretrain import pretrain
from fancnn.prune.prune import prune
from fancnn.prune.settings import PruneSettings
from fancnn.report.report import write_report
from fancnn.runs import checkpoints
from fancnn.serve.serve import application
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]


def roles(run: Path, split: str) -> set[tuple[str, ...]]:
    """Roles of the images of a split, as the run's model has them."""
    images = [image for image in read_split(run / "split.csv") if image.split == split]
    return set(fancnn.load(run).seen_images.roles_of_all(images))


def evaluated(run: Path, root: Path, output: Path) -> dict[str, tuple[str, ...] | None]:
    given = [f"run={run}", "device=cpu", f"data.root={root}", f"output_dir={output}"]
    evaluate_run(compose_command("evaluate", EvaluateSettings, *given))
    return {row.path: row.roles for row in read_predictions(output / "predictions.csv")}


def test_a_training_knows_what_its_images_were_used_for(trained_run: Path, tmp_path: Path) -> None:
    assert roles(trained_run, "train") == {("weights",)}
    assert roles(trained_run, "val") == {("epoch", "calibration")}
    assert roles(trained_run, "test") == {()}
    rows = read_predictions(trained_run / "predictions.csv")
    assert {row.split: row.seen for row in rows} == {"val": "epoch calibration", "test": "none"}
    run = Path(shutil.copytree(trained_run, tmp_path / "decided"))
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))
    assert roles(run, "val") == {("epoch", "calibration", "thresholds")}
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1", "decision.split=test"))
    assert (roles(run, "val"), roles(run, "test")) == ({("epoch", "calibration")}, {("thresholds",)})
    assert {row.split: row.seen for row in read_predictions(run / "predictions.csv")}["test"] == "thresholds"


def test_a_copy_in_another_format_is_recognised(
    trained_run: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "new", {"GO": 3, "NG": 3}, seed=9)
    taught = next(image for image in read_split(trained_run / "split.csv") if image.split == "train")
    Image.open(image_folder / taught.path).save(root / "NG/copy.bmp")
    found = evaluated(trained_run, root, tmp_path / "out")
    assert found.pop("NG/copy.bmp") == ("weights",)
    assert set(found.values()) == {()}
    text = " ".join(capsys.readouterr().out.split())
    assert "warning: 1 of these 7 images trained the weights, by their pixels or their bytes" in text


@pytest.mark.slow
def test_weights_bring_along_what_they_have_seen(
    train_settings: Settings, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    other = write_images(tmp_path / "other", {"GO": 12, "NG": 12}, seed=5)
    run = train(train_settings(f"init={trained_run}", f"data.root={other}", output=tmp_path / "run")).run
    origin = {image.path: image.split for image in read_split(trained_run / "split.csv")}
    expected = {"train": ("weights",), "val": ("epoch",), "test": ()}
    assert evaluated(run, image_folder, tmp_path / "out") == {path: expected[part] for path, part in origin.items()}
    on = ["trainer.max_epochs=3", f"ckpt={run}", f"init={trained_run}"]
    longer = train_settings(*on, f"data.root={other}", output=tmp_path / "longer")
    train(longer)  # goes on without being told of its origin
    assert fancnn.load(tmp_path / "longer").seen_images.to_dict() == fancnn.load(run).seen_images.to_dict()


def test_a_pretraining_has_seen_its_images_too(train_settings: Settings, image_folder: Path, tmp_path: Path) -> None:
    unlabelled = write_images(tmp_path / "unlabelled", {".": 12}, size=(32, 32), seed=7)
    given = ["model=tiny", "data.image_size=[16,16]", "trainer.max_epochs=1", "trainer.accelerator=cpu", "overrides=[]"]
    given += [f"data.root={unlabelled}", f"output_dir={tmp_path / 'pre'}"]
    pretrain(compose_command("pretrain", PretrainSettings, *given))
    run = train(train_settings(f"init={tmp_path / 'pre'}")).run
    parts = [read_split(place / "split.csv") for place in (tmp_path / "pre", run)]
    for images in parts:
        taught = [image for image in images if image.split == "train"]
        assert set(fancnn.load(run).seen_images.roles_of_all(taught)) == {("weights",)}


@pytest.mark.slow
def test_an_ensemble_of_folds_has_seen_every_image(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        *SMALL,
        f"data.root={image_folder}",
        "folds=3",
        f"output_dir={tmp_path / 'cv'}",
        "overrides=[]",
        "report=false",
    ]
    crossval(compose_command("crossval", CrossvalSettings, *given))
    assert {row.seen for row in read_predictions(tmp_path / "cv/predictions.csv")} == {"none"}
    out = [f"runs=[{tmp_path / 'cv'}]", f"output_dir={tmp_path / 'joined'}"]
    run = ensemble(compose_command("ensemble", EnsembleSettings, *out))
    found = evaluated(run, image_folder, tmp_path / "out")
    assert all(one is not None and {"weights", "epoch"} <= set(one) for one in found.values())
    assert "70 of these 70 images trained the weights" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_pruned_model_has_seen_what_its_original_had(
    train_settings: Settings, image_folder: Path, tmp_path: Path
) -> None:
    other = write_images(tmp_path / "other", {"GO": 12, "NG": 12}, seed=5)
    first = train(train_settings(output=tmp_path / "first")).run
    second = train(train_settings(f"init={first}", f"data.root={other}", output=tmp_path / "second")).run
    given = [f"run={second}", "keep=0.5", "epochs=1", "device=cpu", f"output_dir={tmp_path / 'pruned'}"]
    prune(compose_command("prune", PruneSettings, *given))
    taught = [image for image in read_split(first / "split.csv") if image.split == "train"]
    assert set(fancnn.load(tmp_path / "pruned/keep-0.5").seen_images.roles_of_all(taught)) == {("weights",)}


@pytest.mark.slow
def test_an_exported_file_knows_it_too(exported: Path, trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    model = fancnn.load(trained_run)
    assert ExportedModel(exported).seen_images.to_dict() == model.seen_images.to_dict()
    given = [f"input={image_folder}", f"output_dir={tmp_path}"]
    settings = [
        compose_command("predict", PredictSettings, *given, source, f"output={tmp_path / name}")
        for name, source in (("run.csv", f"run={trained_run}"), ("file.csv", f"file={exported}"))
    ]
    for one in settings:
        predict(one)
    by_run, by_file = (read_predictions(tmp_path / name) for name in ("run.csv", "file.csv"))
    hashes = [[(row.sha256, row.pixel_sha256, row.seen) for row in rows] for rows in (by_run, by_file)]
    assert hashes[0] == hashes[1]
    assert {row.seen for row in by_run} == {"weights", "epoch calibration", "none"}


def test_golden_images_of_the_training_are_said(
    exported: Path, trained_run: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fancnn.serve.settings import ServeSettings

    model = ExportedModel(exported)
    images = [image for image in read_split(trained_run / "split.csv") if image.split == "train"]
    golden = tmp_path / "golden"
    for image in images:
        (decision,) = model.score([np.asarray(Image.open(image_folder / image.path).convert("RGB"))]).decisions
        if decision == ("GO", "NG")[image.label]:
            (golden / decision).mkdir(parents=True, exist_ok=True)
            shutil.copy(image_folder / image.path, golden / decision / image.path.replace("/", "-"))
    settings = compose_command("serve", ServeSettings, f"file={exported}", f"golden={golden}")
    application(model, settings)
    count = len(list(golden.rglob("*.png")))
    assert f"warning: {count} of {count} golden images trained the model" in " ".join(capsys.readouterr().out.split())


def test_a_checkpoint_of_before_has_it_from_its_split(trained_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    path = run / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    del content["fancnn"]["seen"]
    torch.save(content, path)
    assert roles(run, "train") == {("weights",)}
    assert not fancnn.load(run).seen_images.complete  # by bytes alone: copies in other formats are not known
    assert set(fancnn.load(run).seen_images.column([LabeledImage("a", "GO", 0, sha256="1" * 64)])) == {""}
    (run / "split.csv").unlink()
    assert not fancnn.load(run).seen_images.complete
    assert not checkpoints.seen_by(path, replace(checkpoints.read(path).metadata, runs=["a", "b"])).complete


def test_copies_stay_in_one_part_whatever_their_format_and_group(train_settings: Settings, tmp_path: Path) -> None:
    root = write_images(tmp_path / "lots", {f"{name}/lot{lot}": 4 for name in ("GO", "NG") for lot in range(8)})
    for name in ("GO", "NG"):
        for lot in range(0, 8, 2):  # every other lot shares an image with its neighbour, as a BMP
            Image.open(root / f"{name}/lot{lot}/000.png").save(root / f"{name}/lot{lot + 1}/copy.bmp")
    for number, split in enumerate(
        (["data.split_method=grouped", r"data.group='lot\d+'"], ["data.split_method=stratified"])
    ):
        run = train(train_settings(f"data.root={root}", *split, output=tmp_path / f"run{number}")).run
        assert copies_across_splits(read_split(run / "split.csv")) == 0


def test_a_model_is_asked_where_a_table_does_not_say_what_it_has_seen(
    trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    evaluated(trained_run, image_folder, tmp_path / "out")
    rows = [replace(row, seen="") for row in read_predictions(tmp_path / "out/predictions.csv")]
    write_predictions(rows, tmp_path / "bare.csv")
    given = [f"table={tmp_path / 'bare.csv'}", "escape=0.9", f"output_dir={tmp_path}"]
    alone = certify(compose_command("certify", CertifySettings, *given))
    assert "it is taken that the model has never seen these images" in alone.caveats
    asked = certify(compose_command("certify", CertifySettings, *given, f"run={trained_run}"))
    assert (asked.granted, asked.refusal) == (False, "seen")


@pytest.mark.slow
def test_seen_images_are_said_on_console_page_and_in_metrics_alike(
    train_settings: Settings, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(train_settings(f"init={trained_run}", "seed=5", "data.test_fraction=0.2", "report=true")).run
    seen = json.loads((run / "metrics.json").read_text())["splits"]["test"]["seen"]
    tested = [image for image in read_split(run / "split.csv") if image.split == "test"]
    taught = [image for image in read_split(trained_run / "split.csv") if image.split == "train"]
    both = {image.sha256 for image in tested} & {image.sha256 for image in taught}
    assert seen["weights"] == len(both) > 0
    sentence = f"{len(both)} of these {len(tested)} images trained the weights, by their pixels or their bytes"
    assert f"warning: {sentence}" in " ".join(capsys.readouterr().out.split())
    assert sentence in (run / "report.html").read_text()


@pytest.mark.slow
def test_what_is_not_recorded_is_said_in_certificates(
    train_settings: Settings, trained_run: Path, tmp_path: Path
) -> None:
    bare = Path(shutil.copy(trained_run / "checkpoints/best.ckpt", tmp_path / "bare.ckpt"))
    content = torch.load(bare, weights_only=True)
    del content["fancnn"]["seen"]
    torch.save(content, bare)
    run = train(train_settings(f"init={bare}", "data.test_fraction=0.2", "report=true")).run
    given = [f"run={run}", "escape=0.9", f"output_dir={tmp_path}"]
    found = certify(compose_command("certify", CertifySettings, *given))
    assert any(
        caveat.startswith("which images the weights have seen is not recorded in full") for caveat in found.caveats
    )
    assert "Which images the model has seen is not recorded in full" in (run / "report.html").read_text()


@pytest.mark.slow
def test_thresholds_chosen_anew_after_test_was_scored_are_said(trained_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "decided"))
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))
    assert json.loads((run / "metrics.json").read_text())["decided_again"] is True
    assert "used to choose nothing" not in write_report(run).read_text()
