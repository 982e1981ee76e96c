from pathlib import Path

import pytest
from PIL import Image

from fancnn.data.image_sizes import common_size, typical_size
from fancnn.images.image_gate import DEFAULT_GATE


def test_all_images_fit_into_the_common_size_when_reduced(tmp_path: Path) -> None:
    for name, size in {"a.png": (40, 30), "b.png": (33, 51)}.items():
        Image.new("RGB", size).save(tmp_path / name)
    files = sorted(tmp_path.iterdir())
    assert common_size(files, 1, DEFAULT_GATE) == (51, 40)
    assert common_size(files, 4, DEFAULT_GATE) == (13, 10)  # 12.75 and 10


def test_the_typical_size_is_the_median_of_each_side(tmp_path: Path) -> None:
    for name, size in {"a.png": (40, 30), "b.png": (30, 51), "c.png": (10, 10), "d.png": (30, 30)}.items():
        Image.new("RGB", size).save(tmp_path / name)
    assert typical_size(sorted(tmp_path.iterdir()), DEFAULT_GATE) == (30, 30)


def test_a_photograph_counts_as_it_is_seen_and_a_broken_file_not_at_all(tmp_path: Path) -> None:
    image, exif = Image.new("RGB", (60, 20)), Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.jpg").write_bytes(b"no image")
    assert common_size(sorted(tmp_path.iterdir()), 1, DEFAULT_GATE) == (60, 20)
    with pytest.raises(ValueError, match="none of the images can be read"):
        common_size([tmp_path / "b.jpg"], 1, DEFAULT_GATE)
