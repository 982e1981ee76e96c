from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor

from fancnn.images.preprocess import Preprocess, local_contrast

sizes = st.integers(1, 70)


def triangle_weights(size_in: int, size_out: int) -> NDArray[np.float64]:
    """Rows of the antialiased triangle filter, written out: the resize as a matrix product."""
    scale = size_in / size_out
    support = max(scale, 1.0)
    centres = (np.arange(size_out)[:, None] + 0.5) * scale
    distances = (np.arange(size_in)[None] + 0.5 - centres) / support
    weights = np.clip(1 - np.abs(distances), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


@given(height=sizes, width=sizes, seed=st.integers(0, 1000))
def test_squash_is_the_antialiased_triangle_filter_rounded_to_8_bits(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)
    exact = triangle_weights(height, 24) @ image.astype(np.float64) @ triangle_weights(width, 32).T
    found = Preprocess((24, 32)).fit(torch.from_numpy(image)[None])[0].numpy()
    assert np.abs(found - exact).max() <= 0.5 + 1e-3  # half a grey level: the rounding, and float32


@given(
    height=sizes,
    width=sizes,
    how=st.sampled_from([("squash", None), ("pad", None), ("pad", 2)]),
    seed=st.integers(0, 99),
)
def test_pixels_that_were_fitted_before_pass_unchanged(
    height: int, width: int, how: tuple[str, int | None], seed: int
) -> None:
    preprocess = Preprocess((24, 32), how[0], reduce=how[1])
    image = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, 3, height, width), dtype=np.uint8))
    fitted = preprocess.fit(image)
    assert fitted.shape == (1, 3, 24, 32)
    assert torch.equal(preprocess(image), preprocess(fitted))


@given(height=sizes, width=sizes)
def test_pad_keeps_the_whole_part_and_fills_the_rest_with_the_background(height: int, width: int) -> None:
    image = torch.full((1, 3, height, width), 100, dtype=torch.uint8)
    fitted = Preprocess((24, 32), "pad", "white").fit(image)
    inner = (fitted == 100).all(dim=1)[0]
    rows, columns = inner.any(dim=1).sum().item(), inner.any(dim=0).sum().item()
    scale = min(Fraction(24, height), Fraction(32, width))
    assert (rows, columns) == (max(round(height * scale), 1), max(round(width * scale), 1))
    assert inner.sum() == rows * columns
    assert (fitted[0, 0][~inner] == 255).all()


def test_memory_order_does_not_change_pixels() -> None:
    image = torch.randint(0, 256, (1, 57, 91, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    preprocess = Preprocess((24, 32))
    assert torch.equal(preprocess.fit(image), preprocess.fit(image.contiguous()))


def test_scaling_and_normalisation() -> None:
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    found = Preprocess((1, 1), mean=(0.1, 0.2, 0.5), std=(1.0, 0.5, 0.25))(image).flatten()
    torch.testing.assert_close(found, torch.tensor([-0.1, 0.0, 2.0]))


def test_the_two_steps_after_the_resize_are_the_whole_and_change_nothing_they_are_given() -> None:
    image = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8)
    by_themselves = (Preprocess((9, 7), normalize="image"), Preprocess((9, 7), normalize="local", normalize_window=5))
    for preprocess in (
        Preprocess((9, 7)),
        Preprocess((9, 7), mean=(0.1, 0.2, 0.5), std=(1.0, 0.5, 0.25)),
        *by_themselves,
    ):
        scaled = preprocess.scaled(image)
        before = scaled.clone()
        assert 0 <= scaled.min() <= scaled.max() <= 1
        assert torch.equal(preprocess.normalised(scaled), preprocess(image))
        assert torch.equal(scaled, before)


def textured(height: int, width: int) -> Tensor:
    """A grey image whose deviations are far above the floor."""
    torch.manual_seed(0)
    return (0.5 + 0.08 * torch.randn(2, 3, height, width)).clamp(0.2, 0.8)


@pytest.mark.parametrize("normalize", ["image", "local"])
@given(gain=st.floats(0.4, 1.2), offset=st.floats(-0.1, 0.1))
def test_a_brighter_lamp_and_a_longer_exposure_change_nothing_where_images_are_normalized(
    normalize: str, gain: float, offset: float
) -> None:
    preprocess = Preprocess((60, 50), normalize=normalize, normalize_window=21)
    image = textured(60, 50)
    there, here = preprocess.normalised(image), preprocess.normalised(gain * image + offset)
    assert (there - here).abs().max() < 0.2  # the floor of the deviation is the rest


def test_light_that_falls_off_to_one_side_is_gone_where_images_are_normalized_locally() -> None:
    image, light = textured(96, 96), torch.linspace(0.3, 1.0, 96)
    evenly, unevenly = (local_contrast(pixels, 21)[..., 12:-12, 12:-12] for pixels in (image, image * light))
    assert torch.corrcoef(torch.stack([evenly.flatten(), unevenly.flatten()]))[0, 1] > 0.98
    assert torch.corrcoef(torch.stack([image.flatten(), (image * light).flatten()]))[0, 1] < 0.7


@pytest.mark.parametrize(("window", "apart"), [(3, 1e-4), (9, 1e-4), (27, 0.2), (51, 0.2)])
@pytest.mark.parametrize("size", [(64, 96), (61, 35)])
def test_local_contrast_is_that_of_a_box_around_each_pixel(window: int, apart: float, size: tuple[int, int]) -> None:
    """Small windows exactly; the mean of large ones is drawn out from an image that is reduced first."""
    image = textured(*size)

    def box(values: Tensor) -> Tensor:
        return torch.from_numpy(uniform_filter(values.numpy(), (0, 0, window, window), mode="nearest"))

    apart_from_mean = image - box(image)
    spread = (box(apart_from_mean.square().mean(1, keepdim=True)) + (2 / 255) ** 2).sqrt()
    inner = slice(window // 2, -(window // 2))  # at the edge the reduced image goes on with the mean of its outermost
    wanted = (apart_from_mean / spread)[..., inner, inner] if size[1] > window else apart_from_mean / spread
    found = local_contrast(image, window)
    found = found[..., inner, inner] if size[1] > window else found
    assert (found - wanted).abs().mean() < apart


def test_a_flat_image_stays_flat_where_images_are_normalized() -> None:
    flat = torch.full((1, 3, 40, 30), 0.4)
    for normalize in ("image", "local"):
        assert Preprocess((40, 30), normalize=normalize).normalised(flat).abs().max() < 1e-3


def test_without_the_filter_fine_texture_would_come_out_wrong() -> None:
    """The reason for one kernel everywhere: another one moves pixels by tens of grey levels."""
    stripes = torch.zeros(1, 3, 240, 240, dtype=torch.uint8)
    stripes[..., ::3] = 255
    ours = Preprocess((80, 80)).fit(stripes).float()
    other = F.interpolate(stripes.float(), size=(80, 80), mode="bilinear", antialias=False)
    assert (ours - other).abs().max() > 50


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"image_size": (80,)}, r"^image_size=\[80\] should be two whole numbers"),
        ({"image_size": (0, 80)}, r"^image_size=\[0, 80\]"),
        ({"image_size": (8, 8), "resize": "crop"}, r"^resize='crop' is none of squash, pad"),
        ({"image_size": (8, 8), "background": "red"}, r"^background='red' is none of white, black"),
        ({"image_size": (8, 8), "std": (0, 1, 1)}, r"std above 0"),
        ({"image_size": (8, 8), "normalize": "lokal"}, r"^normalize='lokal' is none of none, image, local"),
        ({"image_size": (8, 8), "normalize": "image", "std": (0.5, 1, 1)}, r"leave mean and std as they are"),
        ({"image_size": (8, 8), "normalize": "local", "normalize_window": 2}, r"^normalize_window=2 should be"),
    ],
)
def test_arguments_out_of_range_are_refused_by_their_name(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Preprocess(**arguments)  # type: ignore[arg-type]


@given(height=sizes, width=sizes, reduce=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_reduced_image_has_one_scale_whatever_its_size_and_lies_in_the_middle(
    height: int, width: int, reduce: int, seed: int
) -> None:
    image = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, 3, height, width), dtype=np.uint8))
    expected = [max(round(Fraction(side, reduce)), 1) for side in (height, width)]
    preprocess = Preprocess((80, 90), "pad", "black", reduce=reduce)
    top, left = (80 - expected[0]) // 2, (90 - expected[1]) // 2
    assert preprocess.place(height, width) == (top, left, *expected)
    found = preprocess.fit(image)
    alone = Preprocess(expected).fit(image)
    assert torch.equal(found[..., top : top + expected[0], left : left + expected[1]], alone)
    assert int(found.sum()) == int(alone.sum())


@pytest.mark.parametrize("reduce", [0, -1, 65, 1.5])
def test_what_cannot_reduce_is_refused(reduce: int) -> None:
    with pytest.raises(ValueError, match="should be a whole number from 1, the images' own size, to 64, or null"):
        Preprocess((80, 80), "pad", reduce=reduce)
