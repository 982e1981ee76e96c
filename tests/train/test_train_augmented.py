import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from samples import write_images
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import fancnn
from fancnn import assembly
from fancnn.cli.command import conf_dir
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.split_plan import SplitPlan
from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess
from fancnn.metrics.predictions import read_predictions
from fancnn.settings.training import TrainSettings
from fancnn.train.augmented_samples import augmented_sheet
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
OPTIONS = sorted(path.stem for path in conf_dir().glob("augment/*.yaml"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_trains_is_told_in_the_checkpoint_and_leaves_no_weights(
    option: str, train_settings: Settings, trained_run: Path, tmp_path: Path
) -> None:
    settings = train_settings(f"augment={option}", "trainer.max_epochs=1", "trainer.precision=bf16-mixed")
    train(settings)
    run = tmp_path / "run"
    assert weights(run).keys() == weights(trained_run).keys()
    told = fancnn.load(run).metadata.settings["augment"]
    assert (told is None) == (option == "none")
    if option != "none":
        assert list(told["transforms"]) == list(settings.augment.transforms)  # type: ignore[union-attr]


def test_every_option_opens_with_what_it_assumes() -> None:
    for option in set(OPTIONS) - {"none"}:
        assert (conf_dir() / f"augment/{option}.yaml").read_text().startswith("# Assumes "), option


@pytest.mark.slow
def test_training_sees_other_images_and_validation_the_same(train_settings: Settings, tmp_path: Path) -> None:
    runs = {}
    for option in ("none", "light"):
        # a rate of nearly nothing: what differs is not the weights
        still = ["model.optimizer.lr=1e-30", "trainer.max_epochs=1", "trainer.precision=32"]
        train(train_settings(f"augment={option}", *still, output=tmp_path / option))
        with (tmp_path / option / "metrics.csv").open() as file:
            (runs[option],) = list(csv.DictReader(file))
    assert runs["none"]["train/loss"] != runs["light"]["train/loss"]
    assert runs["none"]["val/loss"] == runs["light"]["val/loss"]
    none, light = (read_predictions(tmp_path / name / "predictions.csv") for name in ("none", "light"))
    assert [row.probability for row in none] == [row.probability for row in light]


def test_a_step_takes_augmented_images_then_normalises_them(train_settings: Settings) -> None:
    settings = train_settings("augment=light", "data.mean=[0.5,0.4,0.3]", "data.std=[0.2,0.3,0.4]")
    classifier = assembly.classifier(settings, assembly.model(settings, ("GO", "NG")), {}).train()
    images, labels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8), torch.tensor([0.0, 1.0, 0.0, 1.0])
    torch.manual_seed(0)
    loss = classifier.training_step((images, labels), 0)
    torch.manual_seed(0)
    assert classifier.augment is not None
    pixels, _ = classifier.augment(images / 255, labels)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (settings.data.mean, settings.data.std))
    expected = classifier.loss(classifier.model.network((pixels - mean) / std), labels)
    torch.testing.assert_close(loss, expected)


def test_a_transform_can_be_left_out_and_another_added(train_settings: Settings) -> None:
    changed = ["augment.transforms.shift=null", "+augment.transforms.blur._target_=fancnn.augmentation.Blur"]
    augment = assembly.augment(train_settings("augment=light", *changed).augment)
    assert augment is not None
    assert augment.geometric == []
    assert [type(item).__name__ for item in (*augment.color, *augment.noise)] == ["Brightness", "Blur"]


@pytest.mark.slow
def test_the_preview_is_a_sheet_in_the_run_and_on_tensorboard_and_changes_no_weight(
    train_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_it, without = tmp_path / "with", tmp_path / "without"
    for output in (with_it, without):
        shown = f"augment_preview={str(output == with_it).lower()}"
        train(train_settings("augment=strong", shown, "trainer.max_epochs=1", output=output))
    assert "augment.png" in capsys.readouterr().out
    with Image.open(with_it / "augment.png") as sheet:
        assert sheet.size == (8 * (16 + 4) + 4, 8 * (16 + 14 + 4) + 4)
    events = EventAccumulator(str(with_it), size_guidance={"images": 0})
    events.Reload()
    assert "samples/augmented" in events.Tags()["images"]
    assert not (without / "augment.png").exists()
    torch.testing.assert_close(weights(with_it), weights(without), rtol=0, atol=0)


def test_large_images_are_small_on_a_sheet_and_keep_their_shape(tmp_path: Path) -> None:
    write_images(tmp_path, {"GO": 5, "NG": 5})
    data = ImageDataModule(tmp_path, "GO", Preprocess((400, 640)), SplitPlan())
    data.setup()
    assert augmented_sheet(data, None, rows=2, columns=3).shape == (2 * (200 + 18) + 4, 3 * (320 + 4) + 4, 3)


def test_a_run_can_go_on_without_its_preview_but_not_without_its_augmentation(
    train_settings: Settings, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    train(train_settings("augment=light", "augment_preview=true", "trainer.max_epochs=1", output=first))
    with pytest.raises(UserError, match=r"other settings:\n  augment"):
        train(train_settings(f"ckpt={first}", "trainer.max_epochs=2"))
    train(train_settings("augment=light", f"ckpt={first}", "trainer.max_epochs=2"))
    assert json.loads((tmp_path / "run/metrics.json").read_text())["epochs"] == 2
