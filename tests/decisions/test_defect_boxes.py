"""Boxes around hot cells, against scipy's labels and against pictures of the cells."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from fancnn.decisions.defect_boxes import MOST_REGIONS, defect_regions, located
from fancnn.images.preprocess import Preprocess
from fancnn.metrics.defect_regions import as_text, regions_from_text

TOUCHING = np.ones((3, 3), dtype=bool)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
HEAT = st.sampled_from([0.0, 0.1, 0.4, 0.6, 0.95, 1.0])
MAPS = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=HEAT))
SIDES = st.tuples(st.integers(1, 300), st.integers(1, 300))


@given(MAPS, st.integers(1, 7))
def test_regions_are_those_that_scipy_labels(cells: np.ndarray, scale: int) -> None:
    height, width = cells.shape
    found = defect_regions(cells, (height * scale, width * scale), (height * 8, width * 8), threshold=0.5)
    labels, count = ndimage.label(cells > 0.5, structure=TOUCHING)
    expected = []
    for number, (down, right) in enumerate(ndimage.find_objects(labels), start=1):
        y, x = ndimage.center_of_mass(cells, labels, number)
        box = (right.start, down.start, right.stop, down.stop)
        expected.append((*box, x + 0.5, y + 0.5, cells[labels == number].max()))
    if count:
        got = [(*(side / scale for side in one.box), one.x / scale, one.y / scale, one.probability) for one in found]
        np.testing.assert_allclose(sorted(got), sorted(expected), atol=0.051)
    assert len(found) == max(count, 1)
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)


@given(MAPS)
def test_where_no_cell_is_above_the_threshold_the_hottest_is_the_region(cells: np.ndarray) -> None:
    (found,) = defect_regions(cells, (8 * cells.shape[0], 8 * cells.shape[1]), (64, 64), threshold=1.0)
    assert found.probability == cells.max()
    assert (found.width, found.height) == (8, 8)
    assert cells[found.top // 8, found.left // 8] == cells.max()


@given(MAPS, SIDES, st.sampled_from([(64, 64), (40, 96), (7, 5)]), st.sampled_from(["squash", "pad"]))
def test_boxes_lie_on_the_image_and_hold_their_middle(
    cells: np.ndarray, size: tuple[int, int], input_size: tuple[int, int], resize: str
) -> None:
    place = Preprocess(input_size, resize=resize).place(*size)
    for one in defect_regions(cells, size, input_size, place=place, threshold=0.5):
        assert 0 <= one.left < one.right <= size[1]
        assert 0 <= one.top < one.bottom <= size[0]
        assert one.left - 0.05 <= one.x <= one.right + 0.05
        assert one.top - 0.05 <= one.y <= one.bottom + 0.05


@given(SIDES, st.integers(0, 299), st.integers(0, 299), st.sampled_from(["squash", "pad", "reduce"]))
def test_a_box_holds_the_place_that_made_its_cell_hot(
    size: tuple[int, int], down: int, right: int, resize: str
) -> None:
    """A point of the stored image goes the way of `Preprocess.place` to a cell, whose box must hold it again."""
    how = {"resize": "pad", "reduce": 4} if resize == "reduce" else {"resize": resize}
    preprocess = Preprocess((64, 96), **how)  # type: ignore[arg-type]
    y, x = down % size[0] + 0.5, right % size[1] + 0.5
    top, left, height, width = preprocess.place(*size)
    cells = np.zeros((8, 12))
    cells[int((top + y * height / size[0]) // 8), int((left + x * width / size[1]) // 8)] = 0.9
    (found,) = located(cells, "NG", size, preprocess.to_dict(), 0.5) or ()
    assert found.left <= x <= found.right
    assert found.top <= y <= found.bottom


def test_cells_on_the_border_that_pad_makes_are_none_of_the_image() -> None:
    cells = np.full((8, 8), 0.2)
    cells[:, 0] = 0.99  # of an upright image in the middle
    cells[3, 4] = 0.7
    (found,) = located(cells, "NG", (200, 100), Preprocess((64, 64), resize="pad").to_dict(), 0.5) or ()
    assert (found.probability, found.box) == (0.7, (50, 75, 75, 100))


def test_a_map_of_noise_has_the_hottest_regions_alone() -> None:
    cells = np.zeros((50, 50))
    cells[::2, ::2] = np.linspace(0.51, 0.99, 625).reshape(25, 25)
    found = defect_regions(cells, (400, 400), (400, 400), threshold=0.5)
    assert len(found) == MOST_REGIONS
    assert found[0].probability == 0.99
    assert found[-1].probability > 0.9


def test_a_go_image_has_no_region_and_a_network_without_cells_says_nothing() -> None:
    cells = np.full((2, 2), 0.9)
    fit = Preprocess((16, 16)).to_dict()
    assert located(cells, "GO", (16, 16), fit, 0.5) == ()
    assert located(None, "NG", (16, 16), fit, 0.5) is None
    assert len(located(cells, "RECHECK", (16, 16), fit, 0.5) or ()) == 1


@given(MAPS, SIDES)
def test_regions_come_back_from_a_table(cells: np.ndarray, size: tuple[int, int]) -> None:
    found = defect_regions(cells, size, (64, 64), threshold=0.5)
    assert regions_from_text(as_text(found)) == found
