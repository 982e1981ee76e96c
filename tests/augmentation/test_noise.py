import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fancnn.augmentation import Augment, Blur, Noise, RandomErasing
from fancnn.augmentation.noise import gaussian_blur


def random_images(batch: int, height: int = 20, width: int = 30) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_noise_has_its_standard_deviation_no_mean_and_is_the_same_in_every_channel() -> None:
    torch.manual_seed(0)
    images = torch.full((16, 3, 40, 40), 0.5)
    noise = Augment([Noise(0.05, probability=1)])(images, torch.zeros(16))[0] - images
    count = 16 * 40 * 40
    assert noise[:, 0].std() == pytest.approx(0.05, rel=5 / math.sqrt(2 * count))  # five standard errors
    assert abs(noise[:, 0].mean()) < 5 * 0.05 / math.sqrt(count)
    assert torch.equal(noise[:, 0], noise[:, 1])
    assert torch.equal(noise[:, 0], noise[:, 2])
    assert not torch.equal(noise[0], noise[1])


def test_blur_is_the_gaussian_of_each_images_own_sigma() -> None:
    images, sigmas = random_images(3), torch.tensor([0.4, 0.8, 1.1])
    found = gaussian_blur(images, sigmas, radius=4)
    for image, sigma, blurry in zip(images, sigmas.tolist(), found, strict=True):
        expected = gaussian_filter(image.numpy(), (0, sigma, sigma), mode="nearest", radius=(0, 4, 4))
        torch.testing.assert_close(blurry, torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_a_blur_of_nothing_changes_no_bit_and_any_blur_keeps_flat_images() -> None:
    images = random_images(2, 1, 5)
    assert torch.equal(gaussian_blur(images, torch.zeros(2), radius=3), images)
    flat = torch.full((2, 3, 6, 4), 0.7)
    torch.testing.assert_close(gaussian_blur(flat, torch.tensor([0.5, 2.0]), radius=6), flat)


@given(least=st.floats(0.02, 0.2), more=st.floats(0, 0.2), seed=st.integers(0, 99))
def test_erasing_covers_one_rectangle_of_its_share_of_the_area_with_the_mean(
    least: float, more: float, seed: int
) -> None:
    torch.manual_seed(seed)
    height, width = 60, 90
    images = random_images(4, height, width)
    found, _ = Augment([RandomErasing(least, least + more, probability=1)])(images, torch.zeros(4))
    for image, erased in zip(images, found, strict=True):
        covered = (image != erased).any(0)
        rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
        tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert covered.sum() == tall * wide  # a rectangle without holes
        slack = (tall + wide) / 2 + 1  # sides are whole pixels
        assert least * height * width - slack <= tall * wide <= (least + more) * height * width + slack
        mean = image.mean((1, 2))
        torch.testing.assert_close(erased[:, covered], mean[:, None].expand(-1, tall * wide))


def test_erased_rectangles_lie_anywhere() -> None:
    torch.manual_seed(0)
    images = random_images(1, 16, 16).expand(600, -1, -1, -1)
    found, _ = Augment([RandomErasing(0.05, 0.05, probability=1)])(images, torch.zeros(600))
    often = (found != images).any(1).float().mean(0)
    assert often[0, 0] > 0  # the corners, too
    assert often[-1, -1] > 0
    assert often.mean() == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("transform", [Noise, Blur, RandomErasing])
def test_probability_decides_which_images_are_changed(transform: type[Noise]) -> None:
    torch.manual_seed(0)
    images = random_images(400)
    for probability, least, most in ((0, 0, 0), (1, 400, 400), (0.25, 60, 140)):
        found, _ = Augment([transform(probability=probability)])(images, torch.zeros(400))
        assert least <= (found != images).flatten(1).any(1).sum() <= most


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Noise(std=1), "std=1 should be a number from 0 to 0.5"),
        (lambda: Blur(sigma=0), "sigma=0 should be a number from 0.01 to 3"),
        (lambda: RandomErasing(0.3, 0.2), "least_share=0.3 should not be above most_share=0.2"),
        (lambda: RandomErasing(0), "least_share=0 should be a number from 0.001 to 0.5"),
    ],
)
def test_values_out_of_range_are_refused(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]
