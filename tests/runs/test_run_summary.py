"""What is said of images before a training."""

from pathlib import Path

import pytest
from PIL import Image

from fancnn.data.datamodule import ImageDataModule
from fancnn.data.split_plan import SplitPlan
from fancnn.images.preprocess import Preprocess
from fancnn.runs.run_summary import data_warnings


def read(root: Path, size: tuple[int, int], preprocess: Preprocess) -> ImageDataModule:
    for number in range(12):
        path = root / ("GO", "NG")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number, 0, 0)).save(path)
    data = ImageDataModule(root, "GO", preprocess, SplitPlan("stratified", 0.2, 0.0, None, None, 0))
    data.setup()
    return data


@pytest.mark.parametrize(
    ("preprocess", "text"),
    [
        (Preprocess((32, 32)), "images of 400x256 pixels become 32x32: a defect 38 pixels wide is 3 wide then"),
        (Preprocess((32, 32), "pad"), "images of 400x256 pixels become 32x20: a defect 38 pixels wide"),
        (Preprocess((64, 67)), ""),
        (Preprocess((128, 200), "pad", reduce=2), ""),
    ],
)
def test_that_small_defects_are_lost_is_said_before_the_training(
    preprocess: Preprocess, text: str, tmp_path: Path
) -> None:
    warnings = data_warnings(read(tmp_path, (400, 256), preprocess))
    assert [text in warning and "experiment=patches" in warning for warning in warnings] == ([True] if text else [])
