"""Heat against masks, and the way back from the network's pixels to the image's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fancnn.explain.pointing_game import by_chance, pointing_result, restored, widened
from fancnn.images.preprocess import Preprocess

sides = st.integers(20, 90)


@given(sides, sides, st.integers(0, 10**6))
def test_even_heat_has_the_masks_area_inside_and_all_of_it_in_a_full_mask(h: int, w: int, seed: int) -> None:
    mask = torch.rand(h, w, generator=torch.Generator().manual_seed(seed)) < 0.2
    mask[0, 0] = True
    assert pointing_result(torch.ones(h, w), mask).share == pytest.approx(by_chance(mask).area)
    assert pointing_result(torch.rand(h, w), torch.ones(h, w).bool()).share == pytest.approx(1)


@settings(max_examples=10)
@given(sides, sides, st.integers(0, 10**6))
def test_a_random_pixel_hits_as_often_as_chance_says(h: int, w: int, seed: int) -> None:
    mask = torch.rand(h, w, generator=torch.Generator().manual_seed(seed)) < 0.002
    mask[h // 2, w // 3] = True
    hits = 0
    for row in range(0, h, 7):
        for column in range(w):
            heat = torch.zeros(h, w)
            heat[row, column] = 1
            hits += pointing_result(heat, mask).hit
    assert hits == int(widened(mask)[::7].sum())
    assert by_chance(mask).pointing == pytest.approx(float(widened(mask).float().mean()))


def test_a_near_miss_hits_and_a_far_one_does_not() -> None:
    mask, heat = torch.zeros(100, 100).bool(), torch.zeros(100, 100)
    mask[50, 50] = True
    for distance, hit in ((0, True), (3, True), (4, False)):
        heat.zero_()[50, 50 + distance] = 1
        assert pointing_result(heat, mask).hit is hit


def test_no_heat_hits_nothing_and_counts_as_even() -> None:
    mask = torch.zeros(10, 10).bool()
    mask[0] = True
    found = pointing_result(torch.zeros(10, 10), mask)
    assert (found.share, found.hit, found.blank) == (pytest.approx(0.1), False, True)


@given(sides, sides, st.sampled_from(("squash", "pad")), st.integers(0, 3))
def test_heat_comes_back_to_where_its_pixels_came_from(h: int, w: int, resize: str, quarter: int) -> None:
    """A bright square of the image is sent through the preprocessing; its brightness, taken as heat, comes back."""
    top, left = (quarter // 2) * (h // 2), (quarter % 2) * (w // 2)
    image = torch.zeros(1, 3, h, w, dtype=torch.uint8)
    image[..., top : top + h // 2, left : left + w // 2] = 255
    preprocess = Preprocess((64, 48), resize=resize, background="white")  # type: ignore[arg-type]  # white padding must not come back
    heat = restored(preprocess.scaled(image).mean(1), preprocess.place(h, w), (h, w))
    assert heat.shape == (1, h, w)
    inside = heat[0, top : top + h // 2, left : left + w // 2].sum()
    assert inside > 0.85 * heat.sum()
    assert heat[0, top + h // 4, left + w // 4] > 0.9


def test_the_place_of_a_padded_image_is_where_it_is() -> None:
    preprocess = Preprocess((40, 60), resize="pad", background="black")
    top, left, height, width = preprocess.place(90, 30)
    bright = preprocess.scaled(torch.full((1, 3, 90, 30), 255, dtype=torch.uint8))[0, 0] > 0
    rows, columns = bright.nonzero(as_tuple=True)
    assert (int(rows.min()), int(columns.min())) == (top, left)
    assert (int(rows.max()) + 1 - top, int(columns.max()) + 1 - left) == (height, width)
