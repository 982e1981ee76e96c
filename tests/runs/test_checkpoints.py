import shutil
from pathlib import Path

import pytest
import torch
from samples import compose_train

import fancnn
from fancnn import assembly
from fancnn.decisions.calibration import UNCALIBRATED
from fancnn.errors import UserError
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs import checkpoints


@pytest.fixture
def checkpoint(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(trained_run / "checkpoints/best.ckpt", tmp_path / "model.ckpt"))


def test_a_checkpoint_alone_rebuilds_the_model(checkpoint: Path, trained_run: Path) -> None:
    model = fancnn.load(checkpoint)
    assert (model.classes, model.go_class, model.thresholds) == (("GO", "NG"), "GO", Thresholds.single(0.5))
    assert model.calibration.method in ("temperature", "platt")
    assert model.calibration.ng_rate == 6 / 14  # of its validation images
    assert model.preprocess.image_size == (16, 16)
    assert not model.training
    images = torch.randint(0, 256, (3, 3, 30, 20), dtype=torch.uint8)
    assert torch.equal(model(images), fancnn.load(trained_run)(images))


def test_a_checkpoint_is_plain_data(checkpoint: Path) -> None:
    about = torch.load(checkpoint, weights_only=True)["fancnn"]
    assert (about["format"], about["version"]) == ("fancnn-checkpoint", checkpoints.VERSION)
    assert about["outputs"] == ["NG"]
    known = {"network", "preprocess", "classes", "go_class", "thresholds", "calibration", "split_sha256", "versions"}
    assert known <= set(about)
    assert about["settings"]["seed"] == 0


def test_a_checkpoint_does_not_need_the_weights_that_its_training_started_from(tmp_path: Path) -> None:
    settings = compose_train(tmp_path, "model=timm", "model.network.weights=pretrained.pth")
    model = assembly.model(compose_train(tmp_path, "model=tiny"), ("GO", "NG"))
    metadata = checkpoints.describe(settings, model, tmp_path, "")
    assert metadata.network["weights"] is None
    assert metadata.network["name"] == settings.model.network["name"]
    assert metadata.settings["model"]["network"]["weights"] == "pretrained.pth"


def changed(path: Path, **values: object) -> Path:
    content = torch.load(path, weights_only=True)
    content["fancnn"] |= values
    torch.save(content, path)
    return path


def test_a_newer_format_is_refused_by_name(checkpoint: Path) -> None:
    newer = changed(checkpoint, version=99, versions={"fancnn": "9.1"})
    expected = rf"has checkpoint format 99; this fancnn .* reads up to {checkpoints.VERSION}. .*fancnn 9.1: update"
    with pytest.raises(UserError, match=expected):
        fancnn.load(newer)


def test_a_checkpoint_of_version_1_has_one_threshold_and_no_calibration(checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    for name in ("thresholds", "calibration", "decision", "decision_split", "line", "outputs"):
        del content["fancnn"][name]
    content["fancnn"] |= {"version": 1, "threshold": 0.3}
    torch.save(content, checkpoint)
    model = fancnn.load(checkpoint)
    assert model.thresholds == Thresholds.single(0.3)
    assert model.calibration == UNCALIBRATED
    assert model.outputs == ("NG",)


@pytest.mark.parametrize("broken", [{"thresholds": [0.9, 0.1]}, {"calibration": {"slope": 1.0}}])
def test_a_decision_that_makes_no_sense_is_damage(broken: dict[str, object], checkpoint: Path) -> None:
    with pytest.raises(UserError, match="is damaged: "):
        fancnn.load(changed(checkpoint, **broken))


def test_a_checkpoint_cannot_name_just_any_function(checkpoint: Path) -> None:
    evil = changed(checkpoint, network={"_target_": "os.system", "command": "true"})
    with pytest.raises(UserError, match="it needs the network 'os.system', which is none of fancnn's"):
        fancnn.load(evil)


def test_weights_that_do_not_fit_are_damage(checkpoint: Path) -> None:
    about = torch.load(checkpoint, weights_only=True)["fancnn"]
    wrong = changed(checkpoint, network={**about["network"], "hidden": [5]})
    with pytest.raises(UserError, match="is damaged: its weights do not fit"):
        fancnn.load(wrong)


@pytest.mark.parametrize("keep", [0, 10, 1000, -100])
def test_a_damaged_file_is_said(keep: int, checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:keep])
    with pytest.raises(UserError, match="is damaged or no checkpoint of fancnn"):
        fancnn.load(checkpoint)


def test_another_programs_torch_file_is_said(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="is a torch file, but no checkpoint of fancnn"):
        fancnn.load(tmp_path / "other.pt")


def test_a_pickled_program_is_not_run(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "network.pt")
    with pytest.raises(UserError, match="is damaged or no checkpoint of fancnn"):
        fancnn.load(tmp_path / "network.pt")


def test_of_a_folder_of_runs_these_are_named(trained_run: Path) -> None:
    with pytest.raises(UserError, match=r"is no run itself; the runs are inside: run. Name one of them, e.g. .*/run$"):
        fancnn.load(trained_run.parent)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist. Expected a run folder such as"):
        fancnn.load(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"has no checkpoints/best.ckpt or last.ckpt: no run"):
        fancnn.load(tmp_path)
