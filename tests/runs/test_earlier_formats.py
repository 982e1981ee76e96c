"""Files of earlier versions decide as they did: a run of each format of checkpoints, and what was exported from it."""

import csv
from pathlib import Path

import pytest
import torch
from samples import compose_command, compose_train, write_images

import fancnn
from fancnn.inference.exported_model import ExportedModel
from fancnn.prune.prune import prune
from fancnn.prune.settings import PruneSettings
from fancnn.runs import checkpoints
from fancnn.train.train import train

FORMATS = Path(__file__).with_name("earlier_formats")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images that they were trained and scored on."""
    return write_images(tmp_path_factory.mktemp("images"), {"GO": 12, "NG/scratch": 6, "NG/stain": 6}, (16, 16))


def probabilities(version: int, table: str = "probabilities.csv") -> dict[str, float]:
    with (FORMATS / f"{version}/{table}").open(newline="") as file:
        return {row["path"]: float(row["probability"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("version", range(1, checkpoints.VERSION + 1))
def test_a_checkpoint_decides_as_it_did(version: int, images: Path) -> None:
    model, before = fancnn.load(FORMATS / f"{version}/best.ckpt"), probabilities(version)
    found = model.predict([images / name for name in before])
    assert found.probabilities == pytest.approx(list(before.values()), abs=1e-6)


@pytest.mark.parametrize("version", [4, 5])
def test_an_exported_file_decides_as_its_run_did(version: int, images: Path) -> None:
    model, before = ExportedModel(FORMATS / f"{version}/inspector.onnx"), probabilities(version)
    found = [score.probability for score in model.score_files([images / name for name in before])]
    assert found == pytest.approx(list(before.values()), abs=1e-5)


def test_an_exported_file_of_before_maps_were_in_it_decides_and_says_nothing_of_where(images: Path) -> None:
    model, before = ExportedModel(FORMATS / "6/cells.onnx"), probabilities(6, "cells.csv")
    scores = list(model.score_files([images / name for name in before]))
    assert [score.probability for score in scores] == pytest.approx(list(before.values()), abs=1e-5)
    assert model.has_cells is False
    assert {(score.cells, score.regions) for score in scores} == {(None, None)}


@pytest.mark.slow
def test_a_training_goes_on_and_a_pruning_begins_with_classes_that_have_moved(images: Path, tmp_path: Path) -> None:
    run, more = tmp_path / "run", tmp_path / "more"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/best.ckpt").write_bytes((FORMATS / "3/best.ckpt").read_bytes())
    given = ["model=tiny", "data.image_size=[16,16]", "data.test_fraction=0.25", "data.batch_size=8", "report=false"]
    train(compose_train(more, *given, f"data.root={images}", f"ckpt={run}", "trainer.max_epochs=3"))
    assert fancnn.load(more).metadata.epoch <= 3
    prune(
        compose_command("prune", PruneSettings, f"run={more}", "keep=0.5", "epochs=1", f"output_dir={tmp_path / 'p'}")
    )


AVERAGED = {  # after one epoch and two, and how they are trained; averages and callbacks had other names
    "best.ckpt": ["averaging=ema"],
    "swa.ckpt": ["averaging=swa", "callbacks.averaging.start_epoch=2", "schedule=constant"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AVERAGED)
def test_a_training_with_averaged_weights_goes_on_as_one_of_now(name: str, images: Path, tmp_path: Path) -> None:
    given = ["model=tiny", "model.network.norm=batch", "data.image_size=[16,16]", "data.test_fraction=0.25"]
    given += ["data.batch_size=8", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=4"]
    given += ["report=false", "logger.tensorboard=null", "callbacks.early_stopping=null", f"data.root={images}"]
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    train(compose_train(whole, *given, *AVERAGED[name]))
    train(compose_train(rest, *given, *AVERAGED[name], f"ckpt={FORMATS / '6' / name}"))
    one, other = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole, rest))
    for weights in ("state_dict", "current_model_state"):
        torch.testing.assert_close(one[weights], other[weights], rtol=1e-3, atol=1e-4)
    assert one["averaging_state"] == other["averaging_state"] or name == "swa.ckpt"  # that counted other updates
    for table in ("metrics.csv", "dynamics.csv"):
        with (whole / table).open() as file, (rest / table).open() as resumed:
            rows = [[row["epoch"] for row in csv.DictReader(of)] for of in (file, resumed)]
        assert rows[0] == rows[1], "rows of the epochs before are kept"
