"""Groups and parts by a regular expression on paths."""

from collections.abc import Sequence

import pytest

from fancnn.data.labeled_images import LabeledImage
from fancnn.data.path_names import names_in_paths, part_classes, with_parts
from fancnn.errors import UserError
from fancnn.settings.choices import PartLabels


def images_at(*paths: str, split: Sequence[str] = (), group: Sequence[str] = ()) -> list[LabeledImage]:
    return [
        LabeledImage(
            path,
            path.partition("/")[0],
            int(not path.startswith("GO")),
            split=split[place] if split else "",
            group=group[place] if group else "",
        )
        for place, path in enumerate(paths)
    ]


def test_the_first_capture_group_is_the_name_or_else_the_whole_match() -> None:
    paths = ["NG/person12_virus_3.jpg", "NG/person7_bacteria_1.jpg"]
    assert names_in_paths(paths, r"(person\d+)_(\w+)", "data.group") == ["person12", "person7"]
    assert names_in_paths(paths, r"person\d+", "data.group") == ["person12", "person7"]
    assert names_in_paths(["良品/ロット3/a.png"], r"ロット\d", "data.group") == ["ロット3"]


@pytest.mark.parametrize(("key", "example"), [("group", r"person\\d\+"), ("part", r"part-\\d\+")])
def test_a_pattern_that_is_none_is_refused_with_the_reason(key: str, example: str) -> None:
    text = rf"{key}='\(person' is no regular expression: missing \), unterminated.* finds the {key} .*{example}"
    with pytest.raises(UserError, match=text):
        names_in_paths(["a"], "(person", f"data.{key}")


@pytest.mark.parametrize("pattern", [r"lot(\d+)", r"lot(\d*)", r"lot(\d+)|x", r"(\d+)"])
def test_images_without_a_name_are_counted_and_shown(pattern: str) -> None:
    paths = ["lot1/a.png", *(f"lot/x{letter}.png" for letter in "abcde")]
    text = r"names no group for 5 of 6 images: lot/xa\.png, lot/xb\.png, lot/xc\.png and 2 more\. Widen"
    with pytest.raises(UserError, match=text):
        names_in_paths(paths, pattern, "data.group")


def test_images_get_their_part_and_without_an_expression_none() -> None:
    images = images_at("GO/part-1_cam1.png", "GO/part-1_cam2.png", "NG/hole/part-2_cam1.png")
    assert [image.part for image in with_parts(images, r"part-\d+")] == ["part-1", "part-1", "part-2"]
    assert with_parts(images, None) == images


def test_a_part_in_two_classes_is_refused_with_both_ways_out() -> None:
    images = images_at("GO/part-1_cam1.png", "NG/part-1_cam1.png", "GO/part-2.png", "NG/part-2.png", "GO/part-3.png")
    with pytest.raises(UserError) as error:
        with_parts(images, r"part-\d+")
    text = str(error.value)
    assert r"data.part='part-\\d+' puts images of several classes into one part: part-1" in text
    assert "(GO/part-1_cam1.png in GO, NG/part-1_cam1.png in NG), and 1 more part" in text
    assert "data.part_labels=any_ng" in text
    assert "move all of its images into one folder" in text
    assert r"""'data.part="[^/]+/part-\d+"'""" in text
    names = [image.part for image in with_parts(images, r"[^/]+/part-\d+")]
    assert names == ["GO/part-1", "NG/part-1", "GO/part-2", "NG/part-2", "GO/part-3"]


def test_a_part_may_be_ng_by_one_of_its_images() -> None:
    images = images_at("GO/part-1_a.png", "hole/part-1_b.png", "scratch/part-1_c.png", "GO/part-2_a.png")
    named = with_parts(images, r"part-\d+", PartLabels.any_ng)
    assert [image.label for image in named] == [0, 1, 1, 0]
    assert [image.part_label for image in named] == [1, 1, 1, 0]
    assert part_classes(named) == ["hole", "hole", "hole", "GO"]
    assert part_classes(images) == ["GO", "hole", "scratch", "GO"]


def test_a_part_in_two_splits_or_groups_is_refused() -> None:
    paths = ("GO/part-1_a.png", "GO/part-1_b.png")
    with pytest.raises(UserError, match=r"several splits into one part: part-1 .*in train, .*in test\)\. A part that"):
        with_parts(images_at(*paths, split=("train", "test")), r"part-\d+")
    with pytest.raises(UserError, match=r"several groups into one part: part-1 .*in lot1, .*in lot2\)\. A group"):
        with_parts(images_at(*paths, group=("lot1", "lot2")), r"part-\d+")
