import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.fans.raster import Placement, bump, coverage, look, ramp, strokes

placements = st.builds(
    Placement,
    scale=st.floats(0.5, 0.9),
    shift=st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    turn=st.floats(-0.5, 0.5),
    light=st.floats(-3, 3),
)


@given(placements, st.integers(48, 96))
def test_fan_coordinates_lead_back_to_their_pixel(placement: Placement, size: int) -> None:
    view = look(placement, size)
    places = view.to_pixels(np.stack([view.x.ravel(), view.y.ravel()], axis=1))
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    np.testing.assert_allclose(places, np.stack([columns.ravel(), rows.ravel()], axis=1), atol=1e-3)


@given(placements)
def test_drawing_near_a_point_draws_on_the_image(placement: Placement) -> None:
    image = np.zeros((3, 64, 64), dtype=np.float32)
    view = look(placement, 64)
    near, patch = view.around((0.5, -0.5), 0.1, image)
    patch += near.x
    touched = image[0] != 0
    np.testing.assert_array_equal(image[0][touched], view.x[touched])
    close = np.hypot(view.x - 0.5, view.y + 0.5) < 0.1
    assert touched[close].all()


def test_coverage_of_a_disc_adds_up_to_its_area() -> None:
    view = look(Placement(scale=0.8, shift=(0.01, 0.02), turn=0.1, light=0.0), 96)
    area = coverage(np.float32(0.5) - view.r, view.pixel).sum() * view.pixel**2
    assert area == pytest.approx(np.pi * 0.25, rel=0.01)


@given(st.floats(-1, 1), st.floats(0.05, 1))
def test_ramps_and_bumps_stay_between_0_and_1(start: float, width: float) -> None:
    values = np.linspace(-3, 3, 200, dtype=np.float32)
    for curve in (ramp(values, start, start + width), ramp(values, start + width, start), bump(values, start, width)):
        assert curve.min() == 0
        assert 0.9 < curve.max() <= 1


def test_a_stroke_covers_its_length_times_its_width() -> None:
    line = np.array([[8.0, 20.0], [40.0, 20.0]])
    assert strokes([(line, 3.0)], 48).sum() == pytest.approx(32 * 3, rel=0.1)
