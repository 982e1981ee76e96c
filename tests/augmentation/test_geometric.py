"""What each geometric transform does to an image, held against index operations and against geometry."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fancnn.augmentation import (
    Augment,
    DihedralSymmetry,
    HorizontalFlip,
    Rotation,
    Shear,
    Translate,
    VerticalFlip,
    Zoom,
)
from fancnn.augmentation.geometric import rotations, shears, symmetries, translations, zooms
from fancnn.augmentation.grid_sampling import Border, grid_sample_affine, permute_pixels

CPU = torch.device("cpu")
sides = st.integers(1, 24)
RANGES = [Rotation(20), Translate(0.2), Zoom(0.7, 1.5), Shear(15)]


def random_image(height: int = 24, width: int = 24, seed: int = 0, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def smooth(height: int, width: int) -> Tensor:
    """An image without fine detail, so that reading between pixels costs little."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    planes = [0.5 + 0.4 * torch.sin(2 * x + y + phase) * torch.cos(x - 2 * y) for phase in (0.0, 0.7, 1.9)]
    return torch.stack(planes)[None]


def numbers(*values: float) -> Tensor:
    return torch.tensor(values)


def all_symmetries() -> Tensor:
    """`(8, 3, 3)`."""
    return symmetries(*torch.tensor(list(product([False, True], repeat=3))).unbind(1))


@given(height=sides, width=sides, flip=st.sampled_from([HorizontalFlip(1), VerticalFlip(1)]))
def test_a_flip_is_torchs_and_twice_it_is_the_original(
    height: int, width: int, flip: HorizontalFlip | VerticalFlip
) -> None:
    image = random_image(height, width)
    matrices = flip.matrices(1, (height, width), CPU)
    once = permute_pixels(image, matrices)
    assert torch.equal(once, image.flip(3 if isinstance(flip, HorizontalFlip) else 2))
    assert torch.equal(permute_pixels(once, matrices), image)


@given(side=sides, seed=st.integers(0, 99))
def test_the_eight_symmetries_are_exact_on_whole_numbers_and_are_torchs(side: int, seed: int) -> None:
    image = torch.randint(0, 256, (1, 3, side, side), generator=torch.Generator().manual_seed(seed))
    moved = permute_pixels(image.expand(8, -1, -1, -1), all_symmetries())
    expected = [turned.rot90(turns, (2, 3)) for turned in (image, image.flip(3)) for turns in range(4)]
    found = {tuple(item.flatten().tolist()) for item in moved}
    assert found == {tuple(item.flatten().tolist()) for item in expected}


def test_the_eight_symmetries_are_different_and_closed() -> None:
    eight = {tuple(item.flatten().tolist()) for item in all_symmetries()}
    assert len(eight) == 8
    for one, other in product(all_symmetries(), repeat=2):
        assert tuple((one @ other).flatten().tolist()) in eight


def test_every_symmetry_is_drawn_and_those_with_a_quarter_turn_only_in_squares() -> None:
    torch.manual_seed(0)
    for size, count in (((20, 20), 8), ((20, 30), 4)):
        drawn = DihedralSymmetry().matrices(800, size, CPU)
        kinds, counts = drawn.unique(dim=0, return_counts=True)
        assert len(kinds) == count
        assert counts.min() > 800 / count / 2
        if count == 4:
            assert (kinds[:, 0, 1] == 0).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotation_by_quarters_is_torchs(turns: int) -> None:
    image = random_image(21, 21)
    found = grid_sample_affine(image, rotations(numbers(90.0 * turns)))
    torch.testing.assert_close(found, image.rot90(turns, (2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_rotations_there_and_back_are_nearly_the_original_inside(size: tuple[int, int]) -> None:
    """In images that are not square, too: positions are pixels, so that nothing is sheared."""
    image = smooth(*size)
    there = grid_sample_affine(image, rotations(numbers(20.0)))
    back = grid_sample_affine(there, rotations(numbers(-20.0)))
    middle = (..., slice(size[0] // 2 - 4, size[0] // 2 + 4), slice(size[1] // 2 - 4, size[1] // 2 + 4))
    torch.testing.assert_close(back[middle], image[middle], rtol=0, atol=0.01)
    assert (there[middle] - image[middle]).abs().max() > 0.05


@given(right=st.integers(-5, 5), down=st.integers(-5, 5), border=st.sampled_from(["reflection", "edge", 0.25]))
def test_a_translation_by_whole_pixels_is_torchs_roll_inside(right: int, down: int, border: Border) -> None:
    image = random_image(16, 20)
    found = grid_sample_affine(image, translations(numbers(float(right)), numbers(float(down))), border)
    rolled = image.roll((down, right), (2, 3))
    inside = (..., slice(5, -5), slice(5, -5))
    torch.testing.assert_close(found[inside], rolled[inside], rtol=0, atol=1e-5)


def test_what_is_beyond_the_edges_is_the_border_asked_for() -> None:
    image = numbers(0.1, 0.2, 0.3, 0.4).expand(1, 3, 4, 4)
    map_ = translations(numbers(2.0), numbers(0.0))
    expected: dict[Border, list[float]] = {
        "reflection": [0.2, 0.1, 0.1, 0.2],
        "edge": [0.1, 0.1, 0.1, 0.2],
        0.75: [0.75, 0.75, 0.1, 0.2],
    }
    for border, row in expected.items():
        found = grid_sample_affine(image, map_, border)
        torch.testing.assert_close(found, numbers(*row).expand_as(found), rtol=0, atol=1e-6)


@given(height=sides, width=sides)
def test_nothing_to_do_changes_no_bit(height: int, width: int) -> None:
    image = random_image(height, width)
    none = numbers(0.0)
    for map_ in (rotations(none), translations(none, none), zooms(numbers(1.0)), shears(none)):
        assert torch.equal(grid_sample_affine(image, map_), image)


def test_reading_at_the_pixels_themselves_is_the_image_but_for_rounding() -> None:
    image = random_image(80, 75)
    map_ = translations(numbers(1e-7), numbers(0.0))  # not the identity, so that it is read
    torch.testing.assert_close(grid_sample_affine(image, map_), image, rtol=0, atol=5e-6)


def test_a_zoom_of_two_shows_the_middle_twice_as_large() -> None:
    image = smooth(40, 60)
    found = grid_sample_affine(image, zooms(numbers(2.0)))
    larger = torch.nn.functional.interpolate(image[..., 10:30, 15:45], scale_factor=2, mode="bilinear")
    torch.testing.assert_close(found[..., 2:-2, 2:-2], larger[..., 2:-2, 2:-2], rtol=0, atol=1e-5)


def test_a_shear_moves_rows_by_their_distance_from_the_middle() -> None:
    image = random_image(11, 31)
    found = grid_sample_affine(image, shears(numbers(45.0)))  # a row n below the middle reads n to the right
    for row in range(11):
        rolled = image[..., row, :].roll(5 - row, -1)
        torch.testing.assert_close(found[..., row, 6:-6], rolled[..., 6:-6], rtol=0, atol=1e-5)


def test_several_maps_are_done_in_the_order_given_and_read_once() -> None:
    """A turn of the shifted image, not a shift of the turned one: a bright spot tells."""
    spot = torch.zeros(1, 3, 21, 21)
    spot[..., 10, 15] = 1.0  # five to the right of the middle
    map_ = translations(numbers(3.0), numbers(0.0)) @ rotations(numbers(90.0))
    found = grid_sample_affine(spot, map_)[0, 0]
    assert divmod(int(found.argmax()), 21) == (10 - 8, 10)  # eight to the right, turned left: eight up


def test_draws_fill_their_range_and_do_not_leave_it() -> None:
    torch.manual_seed(0)
    size, count = (40, 60), 2000
    angles = Rotation(20).matrices(count, size, CPU)[:, 1, 0].asin().rad2deg()
    moved = Translate(0.1).matrices(count, size, CPU)[:, :2, 2]
    factors = 1 / Zoom(0.5, 2).matrices(count, size, CPU)[:, 0, 0]
    slants = Shear(10).matrices(count, size, CPU)[:, 0, 1].atan().rad2deg()
    for values, limit in ((angles, 20), (moved[:, 0], 6), (moved[:, 1], 4), (slants, 10), (factors.log2(), 1)):
        assert values.abs().max() <= limit + 1e-4
        assert values.abs().max() > 0.95 * limit
        assert abs(values.mean()) < 0.1 * limit
        assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.1)  # of a uniform draw


@pytest.mark.parametrize("transform", RANGES, ids=lambda item: type(item).__name__)
def test_probability_decides_which_images_are_moved(transform: Rotation) -> None:
    torch.manual_seed(0)
    kind, arguments = type(transform), {k: v for k, v in vars(transform).items() if k != "probability"}
    image = random_image(20, 30, batch=400)
    for probability, least, most in ((0, 0, 0), (1, 400, 400), (0.25, 60, 140)):
        augment = Augment([kind(**arguments, probability=probability)])
        changed = (augment(image, torch.zeros(400))[0] != image).flatten(1).any(1).sum()
        assert least <= changed <= most


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Rotation(-1), "degrees=-1 should be a number from 0 to 180"),
        (lambda: Rotation(degrees="many"), "degrees='many' should be a number from 0 to 180"),  # type: ignore[arg-type]
        (lambda: Translate(share=2), "share=2 should be a number from 0 to 1"),
        (lambda: Zoom(1.2, 1.1), "least_factor=1.2 should not be above most_factor=1.1"),
        (lambda: Zoom(0.1), "least_factor=0.1 should be a number from 0.5 to 4"),
        (lambda: Shear(60), "degrees=60 should be a number from 0 to 45"),
        (lambda: HorizontalFlip(1.5), "probability=1.5 should be a number from 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]
