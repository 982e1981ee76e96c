import numpy as np
import pytest

from fancnn.fans.defects import DEFECTS, LABEL_TURN, Defects, draw_defect
from fancnn.fans.fan import draw_fan
from fancnn.fans.raster import look
from fancnn.fans.rendered_fan import TOLERANCE, render_fan
from fancnn.fans.scene import FAN_TURN, Scene, draw_scene, paint
from fancnn.rendering.rendered_set import RenderedImage

SIZE = 96
LABELS = ("label_rotated", "label_missing")


def scene_and_defect(kind: str, index: int, severity: float = 1.0) -> tuple[Scene, Defects]:
    scene = draw_scene(np.random.default_rng(index), (index,))
    return scene, draw_defect(kind, scene.fan, np.random.default_rng((index, 1)), severity)


def defective(kind: str, index: int, severity: float = 1.0) -> tuple[RenderedImage, np.ndarray]:
    image = render_fan(0, index, kind, SIZE, severity)
    assert image.mask is not None
    return image, image.mask


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_changes_its_own_part_and_nothing_else(kind: str) -> None:
    for index in range(3):
        scene, defects = scene_and_defect(kind, index)
        change = np.abs(paint(scene, SIZE, defects) - paint(scene, SIZE)).max(axis=0)
        view = look(scene.placement, SIZE)
        parts = {
            "label_rotated": view.r <= scene.fan.label + 2 * view.pixel,
            "label_missing": view.r <= scene.fan.label + 2 * view.pixel,
            "blade_missing": (view.r <= 0.95) & (view.r >= scene.fan.hub - 0.05),
            "blade_chipped": (view.r <= 0.95) & (view.r >= scene.fan.hub - 0.05),
            "screw_blocked": np.minimum(np.abs(view.x), np.abs(view.y)) >= 0.65,
        }
        part = parts.get(kind, np.maximum(np.abs(view.x), np.abs(view.y)) <= 1 + 2 * view.pixel)
        assert (change[part] > TOLERANCE).any()
        assert change[~part].max() <= TOLERANCE


@pytest.mark.parametrize("kind", DEFECTS)
def test_outside_the_mask_an_image_equals_its_good_twin_but_for_blur(kind: str) -> None:
    """The sensor's noise, the light and the fan are the same in both, so they cancel out."""
    image, mask = defective(kind, 5)
    good = render_fan(0, 5, None, SIZE)
    change = np.abs(image.pixels.astype(int) - good.pixels.astype(int)).max(axis=2)
    assert change[mask].mean() > 4
    assert change[~mask].mean() < 1.0
    assert good.mask is None
    assert good.severity is None


@pytest.mark.parametrize("kind", [kind for kind in DEFECTS if kind not in LABELS])
def test_severity_is_the_root_of_the_masks_area(kind: str) -> None:
    image, mask = defective(kind, 2)
    assert image.severity == pytest.approx(np.sqrt(np.count_nonzero(mask)))


@pytest.mark.parametrize("kind", LABELS)
def test_the_mask_of_a_label_is_the_whole_label(kind: str) -> None:
    scene = draw_scene(np.random.default_rng((0, 2, 0)), (0,))  # the scene of image 2 of seed 0
    view = look(scene.placement, SIZE)
    _, mask = defective(kind, 2)
    assert mask[view.r < scene.fan.label - view.pixel].all()
    assert not mask[view.r > scene.fan.label + view.pixel].any()


@pytest.mark.parametrize("kind", [kind for kind in DEFECTS if kind != "label_rotated"])
def test_a_higher_severity_spoils_more_pixels(kind: str) -> None:
    def area(severity: float) -> int:
        return sum(np.count_nonzero(defective(kind, index, severity)[1]) for index in range(6))

    small, usual, large = area(0.5), area(1.0), area(2.0)
    assert small < 0.85 * usual
    # A whole blade or label is as much as can be missing.
    assert large == usual if kind in ("blade_missing", "label_missing") else large > 1.15 * usual


@pytest.mark.parametrize("severity", [0.3, 1.0, 3.0])
def test_a_label_turns_within_its_range_and_both_ways(severity: float) -> None:
    fan, rng = draw_fan(np.random.default_rng(0)), np.random.default_rng(1)
    defects = [draw_defect("label_rotated", fan, rng, severity).turned_label for _ in range(200)]
    degrees = np.rad2deg([turned.angle for turned in defects if turned])
    assert len(degrees) == 200
    assert LABEL_TURN[0] <= np.abs(degrees).min()
    assert np.abs(degrees).max() <= LABEL_TURN[1]
    assert (degrees > 0).any()
    assert (degrees < 0).any()
    assert LABEL_TURN[0] > FAN_TURN  # or a straight label of a turned fan would look like a defect


def test_a_higher_severity_turns_labels_further() -> None:
    fan = draw_fan(np.random.default_rng(0))

    def mean_turn(severity: float) -> float:
        defects = [draw_defect("label_rotated", fan, np.random.default_rng(i), severity) for i in range(100)]
        return float(np.mean([abs(defect.turned_label.angle) for defect in defects if defect.turned_label]))

    assert mean_turn(0.5) < mean_turn(1.0) < mean_turn(2.0)


def test_exactly_one_thing_is_wrong() -> None:
    fan, rng = draw_fan(np.random.default_rng(0)), np.random.default_rng(0)
    drawn = [[name for name, defect in vars(draw_defect(kind, fan, rng, 1.0)).items() if defect] for kind in DEFECTS]
    assert all(len(names) == 1 for names in drawn)
    assert len({names[0] for names in drawn}) == len(DEFECTS)


def test_an_image_depends_on_its_arguments_alone() -> None:
    first = render_fan(3, 7, "stain", SIZE)
    np.random.default_rng().random(10)
    render_fan(3, 8, "scratch", SIZE)
    again = render_fan(3, 7, "stain", SIZE)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.mask is not None
    assert again.mask is not None
    np.testing.assert_array_equal(first.mask, again.mask)


def test_the_same_fan_is_seen_at_every_size() -> None:
    small, large = (render_fan(0, 1, None, size).pixels.astype(float) for size in (80, 160))
    halved = large.reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), halved.ravel())[0, 1] > 0.97
