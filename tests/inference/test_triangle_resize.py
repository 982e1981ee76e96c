import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fancnn.images.preprocess import Preprocess
from fancnn.inference.triangle_resize import TriangleResize


def resized_both_ways(
    preprocess: Preprocess, height: int, width: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    image = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), dtype=np.uint8))
    house = preprocess.fit(image.permute(0, 3, 1, 2)).float().numpy()
    return house, TriangleResize(preprocess)(image).numpy()


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    how=st.sampled_from([("squash", None), ("pad", None), ("pad", 1), ("pad", 3)]),
)
def test_grey_levels_are_those_of_training_but_where_they_lie_halfway_between_two(
    height: int, width: int, how: tuple[str, int | None]
) -> None:
    preprocess = Preprocess((24, 32), how[0], reduce=how[1])
    house, ours = resized_both_ways(preprocess, height, width, height * width)
    top, left, inner_height, inner_width = preprocess.place(height, width)
    assume(inner_width > 1)  # or torch's own is no oracle: the next test
    image = np.random.default_rng(height * width).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    planes = torch.from_numpy(image).permute(0, 3, 1, 2).double()
    exact = F.interpolate(planes, size=(inner_height, inner_width), mode="bilinear", antialias=True).numpy()
    inner = np.s_[..., top : top + inner_height, left : left + inner_width]
    differ = house[inner] != ours[inner]
    assert np.abs(exact[differ] % 1 - 0.5).max(initial=0) < 1e-3
    assert np.abs(house - ours).max() <= 1
    outside = np.ones(house.shape[-2:], bool)
    outside[inner[1:]] = False
    np.testing.assert_array_equal(ours[..., outside], house[..., outside])


@pytest.mark.parametrize("size", [(208, 4), (4, 208), (34, 1)])
def test_a_part_of_one_column_has_in_training_the_grey_levels_of_the_line(size: tuple[int, int]) -> None:
    house, ours = resized_both_ways(Preprocess((24, 32), "pad"), *size, seed=0)
    assert np.abs(house - ours).max() <= 1


@given(
    height=st.integers(1, 3000) | st.just(100),
    width=st.integers(1, 3000) | st.just(60),
    reduce=st.sampled_from([None, 1, 2, 7]),
)
def test_a_padded_image_lies_where_training_puts_it(height: int, width: int, reduce: int | None) -> None:
    """Whatever is black in it: only the place of the image on white is compared."""
    preprocess = Preprocess((100, 60), "pad", "white", reduce=reduce)
    top, left, inner_height, inner_width = preprocess.place(height, width)
    black = torch.zeros(1, 1, 1, 3, dtype=torch.uint8).expand(1, height, width, 3)
    if height * width > 200_000:  # the place alone decides; large ones are slow
        sizes = TriangleResize(preprocess)._inner_size(black)
        assert [int(side) for side in sizes] == [inner_height, inner_width]
        return
    filled = TriangleResize(preprocess)(black)[0, 0] == 0
    expected = torch.zeros(100, 60, dtype=torch.bool)
    expected[top : top + inner_height, left : left + inner_width] = True
    assert torch.equal(filled, expected)


@pytest.mark.parametrize("size", [(24, 32), (1, 1), (13, 200)])
def test_an_image_of_one_grey_level_keeps_it(size: tuple[int, int]) -> None:
    for level in (0, 1, 127, 255):
        image = torch.full((2, *size, 3), level, dtype=torch.uint8)
        assert TriangleResize(Preprocess((24, 32)))(image).unique().tolist() == [level]


def test_an_image_that_has_the_size_passes_unchanged() -> None:
    image = torch.randint(0, 256, (1, 24, 32, 3), dtype=torch.uint8)
    found = TriangleResize(Preprocess((24, 32)))(image)
    assert torch.equal(found, image.permute(0, 3, 1, 2).float())
