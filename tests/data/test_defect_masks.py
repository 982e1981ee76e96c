from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fancnn.data.defect_masks import DefectMasks, find_masks, read_mask
from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError
from fancnn.images.image_gate import DEFAULT_GATE
from fancnn.images.preprocess import Preprocess


def images_at(*paths: str) -> list[LabeledImage]:
    return [LabeledImage(path, path.split("/")[0], int(not path.startswith("GO"))) for path in paths]


def drawn(path: Path, size: tuple[int, int] = (8, 6), white: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size)
    if white:
        image.putpixel((2, 1), 255)
    image.save(path)
    return path


@pytest.mark.parametrize(
    "name", ["NG/scratch/a.png", "NG/scratch/a_mask.bmp", "scratch/a.png", "scratch/a_mask.png", "a.png"]
)
def test_a_mask_is_found_by_the_name_of_its_image(name: str, tmp_path: Path) -> None:
    mask = drawn(tmp_path / name)
    images = images_at("GO/a.jpg", "NG/scratch/a.jpg", "NG/scratch/b.jpg")
    assert find_masks(tmp_path, images) == {"NG/scratch/a.jpg": mask}


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "holds no image file, and none has the name of an NG image. Expected e.g. masks/NG/scratch/part_7.png"),
        (["NG/c.png"], "holds 1 image file, "),
        (["GO/a.png"], "has a mask of GO/a.jpg, which is a good part"),
        (["a.png"], "could be of NG/scratch/a.jpg and of NG/stain/a.jpg"),
    ],
)
def test_a_folder_that_does_not_say_whose_its_masks_are_is_refused(names: list[str], text: str, tmp_path: Path) -> None:
    for name in names:
        drawn(tmp_path / name)
    with pytest.raises(UserError) as error:
        find_masks(tmp_path, images_at("GO/a.jpg", "NG/scratch/a.jpg", "NG/stain/a.jpg"))
    assert text in str(error.value)


def test_a_mask_is_white_where_the_defect_is_and_as_large_as_its_image(tmp_path: Path) -> None:
    image = drawn(tmp_path / "image.png")
    mask = read_mask(drawn(tmp_path / "mask.png"), image, DEFAULT_GATE)
    assert mask.shape == (6, 8)
    assert mask.nonzero().tolist() == [[1, 2]]
    with pytest.raises(UserError, match="mask.png has 5x6 pixels, its image .*image.png 8x6"):
        read_mask(drawn(tmp_path / "mask.png", (5, 6)), image, DEFAULT_GATE)
    with pytest.raises(UserError, match="is black: no pixel of it is a defect"):
        read_mask(drawn(tmp_path / "mask.png", white=False), image, DEFAULT_GATE)
    (tmp_path / "mask.png").write_bytes(b"none")
    with pytest.raises(UserError, match="mask.png cannot be read"):
        read_mask(tmp_path / "mask.png", image, DEFAULT_GATE)


@given(row=st.integers(0, 39), column=st.integers(0, 59), reduce=st.sampled_from([1, 2, 4]))
def test_the_smallest_defect_is_still_there_when_it_is_reduced(row: int, column: int, reduce: int) -> None:
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[row, column] = True
    preprocess = Preprocess((40 // reduce, 60 // reduce), "pad", reduce=reduce)
    masks = DefectMasks(preprocess.image_size)
    masks.add(3, mask, preprocess)
    kept, none = masks.of(torch.tensor([3, 0]))
    assert not none.any()
    assert bool(kept[row // reduce, column // reduce])
    assert kept.nonzero().tolist() == masks.points[3].tolist()
    assert int(kept.sum()) <= 4


def test_large_masks_are_kept_to_the_bit_and_a_part_of_their_pixels_as_points() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).random((37, 53)) < 0.5)
    masks = DefectMasks((37, 53))
    masks.add(0, mask, Preprocess((37, 53)))
    assert torch.equal(masks.of(torch.tensor([0]))[0], mask)
    assert len(masks.points[0]) <= 256
    assert mask[tuple(masks.points[0].T)].all()
    assert torch.equal(masks.cut(torch.tensor([0]), torch.tensor([[4, 5]]), (9, 8))[0], mask[4:13, 5:13])
