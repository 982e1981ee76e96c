"""Pretraining as a user meets it: what a run leaves, that it goes on exactly, what is refused."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from samples import SMALL, compose_command, run_command, write_images

import fancnn
from fancnn.data.labeled_images import read_split
from fancnn.errors import UserError
from fancnn.pretrain.pretrain import build_task, check, pretrain, read_unlabelled
from fancnn.settings.pretraining import PretrainSettings
from fancnn.training.epoch_log import EpochCsvLogger

Settings = Callable[..., PretrainSettings]


@pytest.fixture
def pretrain_settings(image_folder: Path, tmp_path: Path) -> Settings:
    """Settings of a pretraining that takes a second."""

    def make(*overrides: str, output: Path = tmp_path / "run") -> PretrainSettings:
        given = [*SMALL, f"data.root={image_folder}", "logger.tensorboard=null", f"output_dir={output}", "overrides=[]"]
        return compose_command("pretrain", PretrainSettings, *given, *overrides)

    return make


def column(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def weights(run: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


def test_an_autoencoder_learns_to_rebuild_and_leaves_a_run_to_start_from(
    pretrain_settings: Settings, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    best = pretrain(pretrain_settings("trainer.max_epochs=6", "model.optimizer.lr=0.01"))
    losses = column(run, "val/loss")
    assert losses[-1] < losses[0] / 2
    assert best == pytest.approx(min(losses))
    with Image.open(run / "reconstructions.png") as sheet:
        assert sheet.width > 8 * 16
    about = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["fancnn"]
    assert (about["task"], about["learnt"]) == ("autoencoder", ["blocks.0.0", "blocks.1.0"])
    with pytest.raises(UserError, match=r"is a pretraining \(autoencoder\): .*python -m fancnn.train init="):
        fancnn.load(run)


def test_reconstructions_no_better_than_a_flat_color_are_warned_of_and_the_next_command_is_told(
    pretrain_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(pretrain_settings("model.optimizer.lr=1e-12", "trainer.max_epochs=2"))
    said = capsys.readouterr().out
    assert "warning: the reconstructions are no better than one flat color for each image" in said
    assert "train longer: trainer.max_epochs=6" in said
    assert "start with it   python -m fancnn.train init=" in said


def test_labels_and_folders_are_not_looked_at(tmp_path: Path, pretrain_settings: Settings) -> None:
    named = write_images(tmp_path / "named", {"GO": 12, "NG/scratch": 8})
    mixed = tmp_path / "mixed"
    for place, path in enumerate(sorted(named.rglob("*.png"))):
        target = mixed / ("deep/er" if place % 2 else ".") / f"{place:03}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for root in (named, mixed):
        data = read_unlabelled(pretrain_settings(f"data.root={root}"))
        assert [len(data.images_of(part)) for part in ("train", "val")] == [16, 4]
        assert {(image.class_name, image.label) for image in data.images} == {("", 0)}


def test_parts_that_a_folder_has_are_kept_and_its_test_images_are_not_learnt_from(
    tmp_path: Path, pretrain_settings: Settings
) -> None:
    root = write_images(tmp_path / "parts", {"train/GO": 6, "train/NG": 6, "val/GO": 3, "val/NG": 1, "test/GO": 5})
    pretrain(pretrain_settings(f"data.root={root}", "trainer.max_epochs=1"))
    assert {
        part: sum(p.split == part for p in read_split(tmp_path / "run/split.csv")) for part in ("train", "val")
    } == {
        "train": 12,
        "val": 4,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["model=tiny", "+model.network.norm=batch", "augment=light", "schedule=one_cycle"],
        ["task=rotation", "schedule=plateau", "schedule.patience=0", "optimizer=sgd"],
    ],
    ids=["autoencoder", "rotation"],
)
def test_an_interrupted_pretraining_goes_on_exactly(
    options: list[str], pretrain_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["trainer.max_epochs=4", *(item.lstrip("+") for item in options)]
    whole, half, rest = (tmp_path / name for name in ("whole", "half", "rest"))
    pretrain(pretrain_settings(*options, output=whole))

    def stopping(self: EpochCsvLogger, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        plain(self, trainer, pl_module)

    plain = EpochCsvLogger.on_train_epoch_end
    with monkeypatch.context() as patched:
        patched.setattr(EpochCsvLogger, "on_train_epoch_end", stopping)
        with pytest.raises(SystemExit) as stopped:
            pretrain(pretrain_settings(*options, output=half))
    assert stopped.value.code == 130
    pretrain(pretrain_settings(*options, f"ckpt={half}", output=rest))
    for name in ("train/loss", "val/loss", "lr"):
        assert column(rest, name) == column(whole, name)
    for name in ("best.ckpt", "last.ckpt"):
        torch.testing.assert_close(weights(rest, name), weights(whole, name), rtol=0, atol=0)


def test_only_the_layers_of_the_feature_map_are_trained(pretrain_settings: Settings, tmp_path: Path) -> None:
    settings = pretrain_settings("optimizer=adamw", "trainer.max_epochs=1", "task=rotation")
    first = {f"model.{name}": value.clone() for name, value in build_task(settings).state_dict().items()}
    pretrain(settings)
    for name, value in weights(tmp_path / "run").items():
        assert torch.equal(value, first[name]) == name.startswith(("model.network.hidden", "model.network.logit")), name


def test_a_training_is_not_gone_on_with_as_a_pretraining(pretrain_settings: Settings, trained_run: Path) -> None:
    with pytest.raises(UserError, match="is a run of train: go on with it by python -m fancnn.train ckpt="):
        pretrain(pretrain_settings(f"ckpt={trained_run}"))


@pytest.mark.slow
def test_a_command_goes_on_by_its_name_alone(image_folder: Path, tmp_path: Path) -> None:
    first = run_command("fancnn.pretrain", *SMALL, f"data.root={image_folder}", "trainer.max_epochs=1", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "python -m fancnn.train init=outputs/pretrain/" in first.stdout
    (run,) = (tmp_path / "outputs/pretrain").iterdir()
    answer = run_command("fancnn.pretrain", f"ckpt={run.relative_to(tmp_path)}", "trainer.max_epochs=2", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "epoch  2/2" in answer.stdout
    assert "epoch  1/2" not in answer.stdout


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("monitor=val/f1", "monitor='val/f1' is none of val/loss, train/loss"),
        ("data.val_fraction=0", "data.val_fraction=0.0: expected a share above 0"),
        ("task.noise=-1", "task: noise=-1 should be 0"),
        ("task=rotation|augment=board", r"augment.transforms.symmetry \(DihedralSymmetry\) turns it before"),
        ("task=rotation|data.image_size=[16,20]", "task=rotation needs square images"),
        ("model.optimizer.lr=-1", "model.optimizer: Invalid learning rate: -1"),
        ("task._target_=os.system", "task: _target_='os.system' is not allowed"),
    ],
)
def test_a_mistake_is_told_before_images_are_read(mistake: str, text: str, pretrain_settings: Settings) -> None:
    with pytest.raises(UserError, match=text):
        check(pretrain_settings(*mistake.split("|")))


def test_a_folder_without_images_is_refused(tmp_path: Path, pretrain_settings: Settings) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("none")
    with pytest.raises(UserError, match=r"fewer than two images to learn from, only files of other kinds: .txt \(1\)"):
        read_unlabelled(pretrain_settings(f"data.root={tmp_path / 'empty'}"))
