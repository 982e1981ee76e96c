"""Images of one part stay together, whatever divides them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import write_part_images

from fancnn.data.cross_validation_folds import crossed
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.labeled_images import LabeledImage, read_split, write_split
from fancnn.data.path_names import with_parts
from fancnn.data.split_plan import SplitPlan
from fancnn.errors import UserError
from fancnn.images.decoding import decode_file
from fancnn.images.preprocess import Preprocess

PART = r"part-\d+"
SIZES = st.lists(st.integers(1, 5), min_size=6, max_size=20)  # images of each part


def images_of(go: Sequence[int], ng: Sequence[int]) -> list[LabeledImage]:
    """Parts of so many images each: part-100, part-101, ... are GO, part-200, ... NG."""
    return [
        LabeledImage(path := f"{name}/part-{first + number}_{camera}.png", name, label, sha256=path)
        for name, label, first, sizes in (("GO", 0, 100, go), ("NG", 1, 200, ng))
        for number, size in enumerate(sizes)
        for camera in range(size)
    ]


def splits_of(images: Iterable[LabeledImage]) -> list[set[str]]:
    splits = defaultdict(set)
    for image in images:
        assert image.part
        splits[image.part].add(image.split)
    return list(splits.values())


@given(SIZES, SIZES, st.integers(0, 3), st.sampled_from(["stratified", "grouped"]))
def test_no_part_is_in_two_splits(go: list[int], ng: list[int], seed: int, method: str) -> None:
    plan = SplitPlan(method, 0.2, 0.2, r"part-\d+" if method == "grouped" else None, seed=seed, part=PART)
    assigned = plan.assign(images_of(go, ng))
    assert all(len(splits) == 1 for splits in splits_of(assigned))
    for split in ("train", "val", "test"):
        assert {image.label for image in assigned if image.split == split} == {0, 1}


@given(SIZES, SIZES, st.integers(0, 3), st.sampled_from(["stratified", "grouped"]))
def test_good_and_bad_parts_are_in_each_split_where_images_are_sorted_one_by_one(
    go: list[int], ng: list[int], seed: int, method: str
) -> None:
    images = images_of(go, ng)
    images += [replace(image, path=f"{image.path}.png", class_name="GO", label=0) for image in images if image.label]
    plan = SplitPlan(
        method, 0.2, 0.2, PART if method == "grouped" else None, seed=seed, part=PART, part_labels="any_ng"
    )
    assigned = plan.assign(images)
    assert all(len(splits) == 1 for splits in splits_of(assigned))
    for split in ("train", "val", "test"):
        assert {image.part_label for image in assigned if image.split == split} == {0, 1}
    for fold in crossed(assigned, 3, seed, grouped=False):
        assert {image.part_label for image in fold if image.split == "test"} == {0, 1}


@given(SIZES, SIZES, st.integers(0, 3))
def test_no_part_is_in_two_folds(go: list[int], ng: list[int], seed: int) -> None:
    for plan in crossed(with_parts(images_of(go, ng), PART), 3, seed, grouped=False):
        assert all(len(splits) == 1 for splits in splits_of(plan))


def test_parts_that_share_an_image_stay_together_too() -> None:
    images = images_of([3] * 8, [2] * 8)
    first, second = 0, 15  # of part-100 and part-105
    images[second] = LabeledImage(images[second].path, "GO", 0, sha256=images[first].sha256)
    for seed in range(10):
        assigned = SplitPlan(val_fraction=0.3, seed=seed, part=PART).assign(images)
        assert assigned[first].part != assigned[second].part
        assert assigned[first].split == assigned[second].split
        assert all(len(splits) == 1 for splits in splits_of(assigned))


def test_what_would_divide_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"part='part-.*' with split_method=ordered: the order of names would divide"):
        SplitPlan("ordered", part=PART)
    images = images_of([2, 2, 2], [2, 2, 2])
    write_split(SplitPlan(val_fraction=0.3).assign(images), tmp_path / "split.csv")
    rows = read_split(tmp_path / "split.csv")
    divided = [
        LabeledImage(row.path, row.class_name, row.label, ("train", "val")[place % 2], row.sha256)
        for place, row in enumerate(rows)
    ]
    write_split(divided, tmp_path / "divided.csv")
    with pytest.raises(UserError, match=r"puts images of several splits into one part: part-10.*A part that was"):
        SplitPlan(split_file=tmp_path / "divided.csv", part=PART).assign(images)


def test_a_class_of_one_part_cannot_be_divided() -> None:
    with pytest.raises(UserError, match=r"Class NG has only images of one part, but each of .* Add parts or remove"):
        SplitPlan(part=PART).assign(images_of([2] * 5, [6]))


def test_split_csv_names_parts_where_there_are_some(tmp_path: Path) -> None:
    images = images_of([2] * 5, [2] * 5)
    for part in (None, PART):
        assigned = SplitPlan(part=part).assign(images)
        write_split(assigned, tmp_path / "split.csv")
        assert ("part" in (tmp_path / "split.csv").read_text().splitlines()[0].split(",")) == (part is not None)
        assert read_split(tmp_path / "split.csv") == assigned


def test_a_part_of_which_an_image_cannot_be_read_is_left_out_as_a_whole(tmp_path: Path) -> None:
    root = write_part_images(tmp_path / "images", {"GO": 6, "NG": 6})
    (root / "NG/part-007_cam1.png").write_bytes(b"")
    data = ImageDataModule(root, "GO", Preprocess((8, 8)), SplitPlan(part=PART), on_bad_file="skip")
    data.setup()
    assert len(data.images) == 33
    assert "part-007" not in {image.part for image in data.images}
    reasons = {item.path: item.reason for item in data.skipped}
    assert reasons.pop("NG/part-007_cam1.png").startswith("empty")
    why = "another image of its part cannot be read: NG/part-007_cam1.png"
    assert reasons == {"NG/part-007_cam0.png": why, "NG/part-007_cam2.png": why}
    images, labels = next(iter(data.in_order("val")))
    assert labels.tolist() == [image.label for image in data.images_of("val")]
    assert torch.equal(images[0], decode_file(root / data.images_of("val")[0].path, data.preprocess).pixels)
