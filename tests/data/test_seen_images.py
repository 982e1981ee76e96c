import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.data.labeled_images import LabeledImage
from fancnn.data.seen_images import ROLES, SeenImages

HASHES = st.lists(st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}" + "00" * 24), max_size=20)


def images(hashes: list[str]) -> list[LabeledImage]:
    return [LabeledImage(f"{index}.png", "GO", 0, sha256=text) for index, text in enumerate(hashes)]


@given(HASHES, HASHES, HASHES)
def test_an_image_is_seen_in_exactly_the_roles_it_was_given_for(
    weights: list[str], epoch: list[str], others: list[str]
) -> None:
    seen = SeenImages.of(weights=images(weights), epoch=images(epoch))
    for image, roles in zip(images(others + weights), seen.roles_of_all(images(others + weights)), strict=True):
        sets = {"weights": weights, "epoch": epoch}
        assert roles == tuple(role for role in ROLES if image.sha256 in sets.get(role, []))


@given(HASHES, HASHES)
def test_a_record_survives_json_and_a_union_has_both(first: list[str], second: list[str]) -> None:
    one, other = SeenImages.of(weights=images(first)), SeenImages.of(weights=images(second), thresholds=images(first))
    both = SeenImages.from_dict(json.loads(json.dumps(one.merged(other).to_dict())), "a.ckpt")
    assert all("weights" in roles for roles in both.roles_of_all(images(first + second)))
    assert both.in_role("thresholds").tolist() == one.in_role("weights").tolist()
    assert np.all(np.diff(both.in_role("weights").astype(object)) > 0)


def test_pixels_tell_a_copy_in_another_file_format() -> None:
    png = LabeledImage("a.png", "GO", 0, sha256="1a" * 32, pixel_sha256="2b" * 32)
    bmp = LabeledImage("a.bmp", "GO", 0, sha256="3c" * 32, pixel_sha256="2b" * 32)
    other = LabeledImage("b.bmp", "GO", 0, sha256="4d" * 32, pixel_sha256="5e" * 32)
    assert SeenImages.of(epoch=[png]).roles_of_all([bmp, other]) == [("epoch",), ()]


def test_an_image_without_hashes_is_never_taken_for_another_one() -> None:
    unknown = LabeledImage("a.png", "GO", 0)
    assert SeenImages.of(weights=[unknown]).roles_of_all([unknown]) == [()]


def test_what_is_not_recorded_in_full_is_not_called_unseen() -> None:
    image = LabeledImage("a.png", "GO", 0, sha256="1a" * 32)
    assert SeenImages().column([image]) == ["none"]
    assert SeenImages(complete=False).column([image]) == [""]
    assert SeenImages.of(weights=[image]).merged(SeenImages(complete=False)).column([image]) == ["weights"]


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        (None, "a.ckpt is damaged: expected names with values, got nothing"),
        ({"version": "1"}, "a.ckpt is damaged: version: expected a whole number from 1, got '1'"),
        ({"version": 2}, "a.ckpt has a record of .* seen in version 2, and this fancnn reads up to 1: update it"),
        ({"version": 1, "weights": "AAA"}, "seen as weights are no base64"),
        ({"version": 1, "epoch": "AAAA"}, "seen as epoch are cut short"),
        ({"version": 1, "epoch": 7}, "seen as epoch are no base64"),
    ],
)
def test_a_damaged_record_is_refused(plain: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SeenImages.from_dict(plain, "a.ckpt")


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="role 'test' is none of weights, epoch"):
        SeenImages.of(test=[])
