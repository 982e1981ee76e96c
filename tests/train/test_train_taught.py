"""Trainings that start with weights of another program: what they say, see, keep, and need afterwards."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import compose_command, compose_train
from torch import Tensor

import fancnn
from fancnn import assembly
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.describe.describe import describe
from fancnn.describe.settings import DescribeSettings
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.export.export import export
from fancnn.export.settings import ExportSettings
from fancnn.inference.exported_model import ExportedModel
from fancnn.lr_find.lr_find import find_rate
from fancnn.lr_find.settings import LrFindSettings
from fancnn.networks import TimmNet
from fancnn.pretrain.pretrain import pretrain
from fancnn.report import provenance
from fancnn.report.report_data import of_run
from fancnn.runs.init_run import find_origin, start_from
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

pytestmark = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")

Settings = Callable[..., TrainSettings]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of test_efficientnet
QUICK = ("report=false", "logger.tensorboard=null", "calibration=none", "callbacks.early_stopping=null")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights of a small network of timm, drawn from another seed than any training here."""
    from safetensors.torch import save_file

    torch.manual_seed(77)
    path = tmp_path / "taught.safetensors"
    save_file(TimmNet((32, 32), "test_efficientnet", outputs=1000).network.state_dict(), path)
    return path


def options(file: Path | None, image_folder: Path, *more: str) -> list[str]:
    weights = [] if file is None else [f"model.network.weights={file}"]
    net = ["model=timm", "model.network.name=test_efficientnet", "data.image_size=[32,32]", f"data.root={image_folder}"]
    return [*QUICK, *net, *weights, "trainer.accelerator=cpu", "trainer.max_epochs=2", *more]


@pytest.fixture
def settings(file: Path, image_folder: Path, tmp_path: Path) -> Settings:
    def make(*more: str, output: Path = tmp_path / "run", taught: bool = True) -> TrainSettings:
        return compose_train(output, *options(file if taught else None, image_folder, *more))

    return make


def state(run: Path, name: str = "last.ckpt") -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]
    return {of.removeprefix("model.network."): value for of, value in found.items()}


def test_a_run_says_where_its_weights_come_from_and_needs_their_file_no_more(
    settings: Settings, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings())
    said = capsys.readouterr().out
    assert "weights: test_efficientnet of taught.safetensors, licence: that of the file, SHA-256 " in said
    assert f"images are normalised: mean={MEAN} std={STD}" in said
    file.unlink()
    model = fancnn.load(tmp_path / "run")
    (backbone,) = model.metadata.backbones or ()
    assert (backbone["origin"], backbone["mean"]) == ("taught.safetensors", MEAN)
    assert model.metadata.network["weights"] is None
    assert not model.seen_images.complete
    assert json.loads((tmp_path / "run/metrics.json").read_text())["backbones"] == [dict(backbone)]
    shown = dict(provenance.facts(of_run(tmp_path / "run", None, None)))
    assert shown["Weights began as"].startswith("test_efficientnet of taught.safetensors")


@pytest.mark.slow
def test_its_features_are_those_of_timm_on_the_pixels_that_timm_would_get(
    settings: Settings, file: Path, tmp_path: Path
) -> None:
    """In a fresh model, in one that is loaded again, and in its exported file."""
    import timm

    overlay = {"file": str(file), "url": None, "hf_hub_id": None}
    theirs = timm.create_model("test_efficientnet", pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    pixels = (images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    fresh = assembly.model(settings(), ("GO", "NG")).eval()
    with torch.no_grad():
        expected = theirs.eval()(pixels)
        net = fresh.network.network
        torch.testing.assert_close(net.forward_head(net.forward_features(fresh.preprocess(images)), True), expected)
        frozen = settings("freeze.layers=all_but_last", "trainer.max_epochs=1")
        train(frozen)
        loaded = fancnn.load(tmp_path / "run")
        head = loaded.network.network.classifier
        torch.testing.assert_close(loaded(images), head(expected).squeeze(1))
    made = compose_command("export", ExportSettings, f"run={tmp_path / 'run'}", f"output_dir={tmp_path}")
    assert export(made)
    exported = ExportedModel(tmp_path / "inspector.onnx")
    assert [dict(item) for item in exported.facts.backbones or ()] == [
        dict(item) for item in loaded.metadata.backbones or ()
    ]
    several = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images]
    found = exported.score(several)
    np.testing.assert_allclose(found.probabilities, loaded.probabilities(images), atol=1e-5)


@pytest.mark.slow
def test_frozen_layers_stay_as_the_file_has_them_statistics_of_norms_among_them(
    settings: Settings, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    train(settings("freeze.layers=all_but_last"))
    assert "at random" not in capsys.readouterr().out
    source, end = load_file(file), state(tmp_path / "run")
    norms = [name for name in source if "running" in name]
    assert norms
    for name, value in source.items():
        if not name.startswith("classifier."):
            assert torch.equal(end[f"network.{name}"], value), name
    first = assembly.model(settings(), ("GO", "NG")).network.state_dict()["network.classifier.weight"]
    assert not torch.equal(end["network.classifier.weight"], first)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_run_goes_on_exactly_without_the_file(optimizer: str, settings: Settings, file: Path, tmp_path: Path) -> None:
    more = [f"optimizer={optimizer}", "model.optimizer.layer_decay=0.6", "augment=light"]
    whole, half, rest = tmp_path / "whole", tmp_path / "half", tmp_path / "rest"
    train(settings(*more, "trainer.max_epochs=3", output=whole))
    train(settings(*more, "trainer.max_epochs=1", output=half))
    file.unlink()
    train(settings(*more, "trainer.max_epochs=3", f"ckpt={half}", output=rest))
    for name in ("best.ckpt", "last.ckpt"):
        one, two = state(whole, name), state(rest, name)
        assert all(torch.equal(one[of], two[of]) for of in one)
    assert (whole / "predictions.csv").read_bytes() == (rest / "predictions.csv").read_bytes()
    one, two = fancnn.load(whole), fancnn.load(rest)
    assert one.metadata.backbones == two.metadata.backbones
    assert one.metadata.preprocess == two.metadata.preprocess
    assert two.metadata.preprocess["mean"] == MEAN


def test_a_file_that_is_gone_is_refused_where_a_run_begins(settings: Settings, file: Path) -> None:
    file.unlink()
    with pytest.raises(UserError, match=r"model.network: weights=.*taught.safetensors' is no file"):
        train(settings())


@pytest.mark.parametrize("normalize", ["image", "local"])
def test_a_normalisation_that_the_weights_do_not_know_is_refused_before_images_are_read(
    normalize: str, settings: Settings
) -> None:
    with pytest.raises(UserError, match=rf"data.normalize={normalize} with the weights of taught.safetensors, which"):
        train(settings(f"data.normalize={normalize}", "data.on_bad_file=skip"))


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.25), (0.0, 1.0)])
def test_what_a_file_has_learnt_with_may_be_said(mean: float, std: float, settings: Settings, tmp_path: Path) -> None:
    said = [f"model.network.mean=[{mean},{mean},{mean}]", f"model.network.std=[{std},{std},{std}]"]
    train(settings(*said, "trainer.max_epochs=1", output=tmp_path / "first"))
    train(settings(*said, "trainer.max_epochs=2", f"ckpt={tmp_path / 'first'}"))
    model = fancnn.load(tmp_path / "run")
    assert model.metadata.preprocess["mean"] == [mean] * 3
    assert model.preprocess.std.flatten().tolist() == [std] * 3
    assert (model.metadata.backbones or ())[0]["std"] == [std] * 3
    assert model.metadata.network["mean"] is None


@pytest.mark.slow
def test_layers_of_a_run_bring_normalisation_and_licence_along(
    settings: Settings, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings("trainer.max_epochs=1", output=tmp_path / "first"))
    file.unlink()
    with pytest.raises(UserError, match=r"init=.*first and model.network.weights=.*: take one"):
        find_origin(settings(f"init={tmp_path / 'first'}"))
    capsys.readouterr()
    train(settings(f"init={tmp_path / 'first'}", "trainer.max_epochs=1", taught=False))
    said = capsys.readouterr().out
    assert "weights: test_efficientnet of taught.safetensors" in said
    assert "prepared otherwise" not in said
    first, second = fancnn.load(tmp_path / "first"), fancnn.load(tmp_path / "run")
    assert second.metadata.preprocess == first.metadata.preprocess
    assert second.metadata.backbones == first.metadata.backbones
    local = settings(f"init={tmp_path / 'first'}", "data.normalize=local", taught=False)
    fresh = assembly.model(local, ("GO", "NG"))
    start_from(find_origin(local), fresh, local, (1, 1))
    assert (fresh.preprocess.normalize, fresh.preprocess.plain) == ("local", True)


@pytest.mark.slow
def test_a_pretraining_goes_on_from_weights_and_hands_them_down(
    file: Path, image_folder: Path, settings: Settings, tmp_path: Path
) -> None:
    given = ["model=timm", "model.network.name=test_efficientnet", f"model.network.weights={file}"]
    given += ["data.image_size=[32,32]", f"data.root={image_folder}", "logger.tensorboard=null"]
    given += ["trainer.accelerator=cpu", "overrides=[]", "model.optimizer.layer_decay=0.5"]

    def run(output: Path, *more: str) -> dict[str, Tensor]:
        pretrain(compose_command("pretrain", PretrainSettings, *given, f"output_dir={output}", *more))
        return state(output)

    whole = run(tmp_path / "whole", "trainer.max_epochs=2")
    run(tmp_path / "half", "trainer.max_epochs=1")
    file.unlink()
    rest = run(tmp_path / "rest", "trainer.max_epochs=2", f"ckpt={tmp_path / 'half'}")
    assert all(torch.equal(whole[name], rest[name]) for name in whole)
    train(settings(f"init={tmp_path / 'rest'}", "trainer.max_epochs=1", taught=False))
    model = fancnn.load(tmp_path / "run")
    assert model.metadata.preprocess["mean"] == MEAN
    assert (model.metadata.backbones or ())[0]["origin"] == "taught.safetensors"


@pytest.mark.slow
def test_an_ensemble_of_folds_names_a_backbone_once(
    file: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = [*options(file, image_folder, "trainer.max_epochs=1", "folds=3"), "overrides=[]"]
    crossval(compose_command("crossval", CrossvalSettings, *given, f"output_dir={tmp_path / 'folds'}"))
    file.unlink()
    made = [f"runs=[{tmp_path / 'folds'}]", f"output_dir={tmp_path / 'joined'}"]
    ensemble(compose_command("ensemble", EnsembleSettings, *made))
    model = fancnn.load(tmp_path / "joined")
    assert [item["origin"] for item in model.metadata.backbones or ()] == ["taught.safetensors"]
    assert model.metadata.preprocess["std"] == STD


@pytest.mark.slow
def test_a_rate_is_found_with_weights_and_rates_by_layer(
    file: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*options(file, image_folder, "steps=30", "model.optimizer.layer_decay=0.6"), "overrides=[]"]
    rate = find_rate(compose_command("lr_find", LrFindSettings, *given, f"output_dir={tmp_path / 'found'}"))
    assert rate > 0
    assert "the loss falls fastest at this rate" in capsys.readouterr().out


def test_describe_names_the_weights(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["model=timm", "model.network.name=test_efficientnet", f"model.network.weights={file}"]
    describe(compose_command("describe", DescribeSettings, *given, "data.image_size=[32,32]"))
    assert "weights: test_efficientnet of taught.safetensors, licence: that of the file" in capsys.readouterr().out
