"""Figures of an explanation, pixel by pixel."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fancnn.explain.filter_panels import FILTERS_SHOWN, feature_map_panel, first_filter_panels, relative_changes
from fancnn.pages.panels import (
    ImageCell,
    Panel,
    heat_as_colours,
    map_as_colours,
    outlined,
    overlay,
    ringed,
    weights_as_colours,
)

random = np.random.default_rng(0)
IMAGE = random.integers(0, 255, (40, 30, 3), dtype=np.uint8)


@given(st.floats(0.01, 100))
def test_weights_of_both_signs_are_as_far_from_grey(scale: float) -> None:
    kernel = random.uniform(-scale, scale, (3, 5, 5)).astype(np.float32)
    up, down = weights_as_colours(kernel, scale).astype(int), weights_as_colours(-kernel, scale).astype(int)
    assert np.abs(up + down - 255).max() <= 1
    assert (weights_as_colours(np.zeros((3, 2, 2), np.float32), scale) == 128).all()


def test_all_filters_of_a_bank_have_one_scale_before_and_after() -> None:
    before = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    after = 10 * before
    panels = first_filter_panels("conv", after, before)
    assert [panel.name for panel in panels] == ["filters-before", "filters-after", "filters-change"]
    contrast = [np.ptp(np.stack([tile.pixels for tile in panel.tiles]).astype(int)) for panel in panels]
    assert contrast[0] < 0.2 * contrast[1]
    assert f"+{np.abs(after).max():.2g} full" in panels[0].says
    assert relative_changes(before, after) == pytest.approx([9.0] * 4)
    assert panels[2].tiles[0].caption == "0: 900 %"


def test_what_is_left_out_is_said_and_why_there_is_no_before() -> None:
    many = random.normal(size=(FILTERS_SHOWN + 6, 3, 3, 3)).astype(np.float32)
    (panel,) = first_filter_panels("conv", many, None, "its first weights came from a file")
    assert len(panel.tiles) == FILTERS_SHOWN
    assert panel.note == "6 of 70 filters are left out. Before training: its first weights came from a file."
    maps = np.zeros((5, 4, 4), np.float32)
    maps[3, 0, 0], maps[1, 0, 0] = 2, -3
    shown = feature_map_panel(0, "conv", "conv 3x3", "convolution", maps, 2)
    assert [tile.caption for tile in shown.tiles] == ["1", "3"]
    assert shown.note == "3 of 5 maps, with smaller values, are left out. 3 are 0 everywhere on this image."


def test_a_frozen_layer_is_said_to_be_unchanged() -> None:
    bank = random.normal(size=(2, 3, 3, 3)).astype(np.float32)
    assert "Nothing changed" in first_filter_panels("conv", bank, bank)[2].says
    assert relative_changes(bank, bank) == [0, 0]


def test_without_heat_the_overlay_is_the_grey_image_and_with_it_the_hot_place_is_bright() -> None:
    heat = np.zeros((40, 30), np.float32)
    grey = overlay(IMAGE, heat, 0)
    assert (grey == grey[..., :1]).all()
    heat[5, 7] = 1
    hot = overlay(IMAGE, heat, 1.0)
    changed = (hot != grey).any(-1)
    assert changed[5, 7]
    assert changed.sum() == 1


def test_colours_of_heat_rise_and_those_of_maps_part_at_zero() -> None:
    ramp = heat_as_colours(np.linspace(0, 1, 50, dtype=np.float32)[None], 1.0).astype(int).sum(-1)[0]
    assert (np.diff(ramp) >= 0).all()
    blue, grey, red = map_as_colours(np.array([[-1, 0, 1]], np.float32), 1.0)[0].astype(int)
    assert blue[2] > blue[0] + 50
    assert red[0] > red[2] + 50
    assert np.ptp(grey) < 5
    assert (map_as_colours(np.zeros((2, 2), np.float32), 0.0) == grey).all()


def test_an_outline_and_a_ring_leave_what_is_inside() -> None:
    mask = np.zeros((40, 30), bool)
    mask[10:20, 10:20] = True
    shown = outlined(IMAGE, mask)
    assert (shown[mask] == IMAGE[mask]).all()
    assert (shown[9, 10:20] == (0, 255, 255)).all()
    ring = ringed(np.full((240, 240, 3), 90, np.uint8), (0.25, 0.5))
    assert (ring[60, 120] == 90).all(), "the place itself is seen"
    places = np.argwhere((ring != 90).any(-1)).mean(0)
    assert np.abs(places - (60, 120)).max() < 2


def test_a_sheet_has_every_tile_unsmoothed() -> None:
    tiles = tuple(ImageCell(np.full((3, 3, 3), 40 * index, np.uint8), str(index)) for index in range(5))
    sheet = np.asarray(Image.open(io.BytesIO(Panel("a", "A", "Says.", "convolution", tiles).png())))
    for index in range(5):
        assert (sheet == 40 * index).all(-1).sum() >= 159 * 159
