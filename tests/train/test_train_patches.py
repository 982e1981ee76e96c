"""Networks that judge by cells, and planted defects, in whole runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from samples import compose_train, write_images

import fancnn
from fancnn.errors import UserError
from fancnn.files.tables import read_table
from fancnn.metrics.predictions import read_predictions
from fancnn.networks import PatchNet
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
PATCHES = (
    *("model=patches", "model.network.widths=[4,6]", "model.network.stride=4", "plant=default"),
    *("data.image_size=[24,20]", "data.normalize=local", "data.normalize_window=9"),
    *("trainer.accelerator=cpu", "report=false", "logger.tensorboard=null"),
)


WINDOWS = ("windows=default", "windows.side=16", "windows.repeat=2", "windows.warm_up=1", "windows.every=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["model.labels=binary"],
        ["model.labels=softmax"],
        ["model.labels=defect_types"],
        [*WINDOWS, "averaging=ema"],
        [*WINDOWS, "windows.every=2", "data.sampler=balanced"],
    ],
)
def test_a_run_that_was_stopped_goes_on_as_one_that_was_not(
    more: list[str], image_folder: Path, tmp_path: Path
) -> None:
    given = [*PATCHES, *more, f"data.root={image_folder}"]
    train(compose_train(tmp_path / "whole", *given, "trainer.max_epochs=3"))
    train(compose_train(tmp_path / "half", *given, "trainer.max_epochs=2"))
    train(compose_train(tmp_path / "rest", *given, "trainer.max_epochs=3", f"ckpt={tmp_path / 'half'}"))
    whole, rest = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "rest")
    )
    torch.testing.assert_close(rest, whole, rtol=0, atol=0)
    model = fancnn.load(tmp_path / "rest")
    assert isinstance(model.network, PatchNet)
    assert (model.preprocess.normalize, model.preprocess.normalize_window) == ("local", 9)


def test_the_search_for_places_is_not_among_the_dynamics_of_layers(image_folder: Path, tmp_path: Path) -> None:
    train(compose_train(tmp_path / "run", *PATCHES, *WINDOWS, f"data.root={image_folder}", "trainer.max_epochs=2"))
    rows = read_table(tmp_path / "run/dynamics.csv", ("epoch", "layer"), 1)
    assert rows
    assert not [row["layer"] for row in rows if "#" in row["layer"]]


def test_any_network_learns_from_planted_defects_and_the_preview_shows_them(
    train_settings: Settings, tmp_path: Path
) -> None:
    train(train_settings("plant=default", "plant.share=1", "augment_preview=true"))
    assert (tmp_path / "run/augment.png").is_file()
    assert fancnn.load(tmp_path / "run").metadata.settings["plant"]["share"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("plant.share=2", "plant.share=2.0 is out of range: expected from 0 to 1"),
        (
            "plant.defects.blob.least_width=20",
            "plant.defects.blob: least_width=20 should not be above most_width=9.0",
        ),
        ("plant.defects.blob._target_=fancnn.networks.ConvNet", "plant.defects.blob"),
        ("+windows={side: 2, repeat: 1, warm_up: 1, every: 1}", "windows.side=2 is out of range: expected from 16 to"),
    ],
)
def test_a_mistake_in_what_is_planted_or_cut_is_refused_in_words(
    override: str, text: str, image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        train(compose_train(tmp_path / "run", *PATCHES, f"data.root={image_folder}", override))
    assert text in str(error.value)


def test_windows_take_a_network_that_judges_by_cells_and_planted_defects(
    train_settings: Settings, image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="windows: ConvNet judges an image as a whole.*model=patches"):
        train(train_settings("plant=default", *WINDOWS))
    with pytest.raises(UserError, match="Say plant=default, too, or windows=none"):
        train(compose_train(tmp_path / "run", *PATCHES, "plant=none", *WINDOWS, f"data.root={image_folder}"))


def test_images_of_several_sizes_are_taken_at_one_scale(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", {"GO": 12, "NG": 12})
    for path in sorted(images.rglob("*.png"))[::5]:
        with Image.open(path) as image:
            larger = image.resize((61, 50))
        larger.save(path)
    given = [item for item in PATCHES if not item.startswith("data.image_size")]
    settings = compose_train(tmp_path / "run", *given, f"data.root={images}", "data.reduce=2", "trainer.max_epochs=1")
    train(settings)
    model = fancnn.load(tmp_path / "run")
    assert (model.preprocess.image_size, model.preprocess.resize, model.preprocess.reduce) == ((25, 30), "pad", 2)
    table = {row.path: row.probability for row in read_predictions(tmp_path / "run/predictions.csv")}
    again = model.predict([images / path for path in table]).probabilities
    assert again.tolist() == pytest.approx(list(table.values()), abs=1e-6)


def masks_for(images: Path, folder: Path, count: int) -> Path:
    for path in sorted((images / "NG").rglob("*.png"))[:count]:
        with Image.open(path) as image:
            mask = Image.new("L", image.size)
        mask.paste(255, (5, 5, 12, 11))
        (folder / path.relative_to(images)).parent.mkdir(parents=True, exist_ok=True)
        mask.save(folder / path.relative_to(images))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("more", [["augment=surface"], [*WINDOWS]])
def test_a_training_with_masks_goes_on_as_one_that_was_not_stopped(
    more: list[str], image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = masks_for(image_folder, tmp_path / "masks", 12)
    given = [*PATCHES, *more, f"data.root={image_folder}", f"data.masks={masks}"]
    train(compose_train(tmp_path / "whole", *given, "trainer.max_epochs=2"))
    assert "masks of defects: of " in capsys.readouterr().out
    train(compose_train(tmp_path / "half", *given, "trainer.max_epochs=1"))
    train(compose_train(tmp_path / "rest", *given, "trainer.max_epochs=2", f"ckpt={tmp_path / 'half'}"))
    without = [item for item in given if not item.startswith("data.masks")]
    train(compose_train(tmp_path / "without", *without, "trainer.max_epochs=2"))
    whole, rest, other = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "rest", "without")
    )
    torch.testing.assert_close(rest, whole, rtol=0, atol=0)
    assert any(not torch.equal(whole[key], other[key]) for key in whole)


def test_masks_take_a_network_that_judges_by_cells_and_no_mixed_images(
    train_settings: Settings, image_folder: Path, tmp_path: Path
) -> None:
    masks = masks_for(image_folder, tmp_path / "masks", 12)
    with pytest.raises(UserError, match="data.masks: ConvNet judges an image as a whole, and masks teach it nothing"):
        train(train_settings(f"data.masks={masks}"))
    mixing = ["augment=strong", "+augment.transforms.mix={_target_: fancnn.augmentation.MixUp}"]
    with pytest.raises(UserError, match="images that augment mixes have no mask"):
        train(compose_train(tmp_path / "r", *PATCHES, *mixing, f"data.root={image_folder}", f"data.masks={masks}"))


def test_two_sizes_at_once_are_refused(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data.image_size=.24,20. and data.reduce=2 both say how large images are"):
        train(compose_train(tmp_path / "run", *PATCHES, f"data.root={image_folder}", "data.reduce=2"))
