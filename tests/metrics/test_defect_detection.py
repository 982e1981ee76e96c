import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.metrics.defect_detection import chance_of_touching, detected_defects
from fancnn.metrics.defect_regions import DefectRegion


def region(left: int, top: int, right: int, bottom: int) -> DefectRegion:
    return DefectRegion(left, top, right, bottom, (left + right) / 2, (top + bottom) / 2, 0.9)


@given(
    seed=st.integers(0, 999),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    box=st.tuples(*[st.integers(1, 14)] * 2),
)
def test_chance_is_the_share_of_places_that_touch(seed: int, size: tuple[int, int], box: tuple[int, int]) -> None:
    mask = np.random.default_rng(seed).random(size) < 0.1
    height, width = min(box[0], size[0]), min(box[1], size[1])
    places = [
        mask[top : top + height, left : left + width].any()
        for top in range(size[0] - height + 1)
        for left in range(size[1] - width + 1)
    ]
    assert chance_of_touching(mask, *box) == pytest.approx(np.mean(places))


def test_images_defects_and_chance_are_counted() -> None:
    one, two = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    one[3, 4] = one[4, 5] = True  # touch at a corner: one defect
    one[15, 25] = True
    two[10, 10] = True
    beside = [region(20, 0, 28, 8), region(8, 8, 16, 16)]  # the hottest is wrong, the second is right
    result = detected_defects([([region(0, 0, 8, 8)], one), (beside, two), ([], two)])
    assert (result.images, result.pointed, result.defects, result.detected) == (3, 1, 4, 2)
    expected = [chance_of_touching(one, 8, 8), chance_of_touching(two, 8, 8), 0]
    assert result.pointed_by_chance == pytest.approx(np.mean(expected))
    assert result.pointed_interval is not None
    assert result.to_dict()["pointed_interval"] == [result.pointed_interval.low, result.pointed_interval.high]
    assert result.in_words().startswith("masks: the hottest region lies on the defect in 1 of 3 images (1 to 91 %), by")
    assert "2 of 4 defects have a region on them (7 to 93 %)" in result.in_words()


def test_nothing_known_is_nothing_claimed() -> None:
    result = detected_defects([])
    assert (result.images, result.pointed_interval, result.detected_interval) == (0, None, None)
