"""What each transform of colors does, held against its formula."""

import pytest
import torch
from torch import Tensor

from fancnn.augmentation import Augment, Brightness, ChannelGain, Contrast, Saturation
from fancnn.augmentation.color import apply_color_matrices, compose_color_matrices, contrasts, gains, saturations

EACH = [Brightness, Contrast, Saturation, ChannelGain]


def random_images(batch: int = 3, height: int = 6, width: int = 9) -> Tensor:
    """Not too bright and not too dark, so that nothing is clamped."""
    return 0.3 + 0.3 * torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def grey(colors: Tensor) -> Tensor:
    """ITU-R BT.601."""
    return 0.299 * colors[:, 0] + 0.587 * colors[:, 1] + 0.114 * colors[:, 2]


def test_brightness_multiplies_every_pixel_of_an_image_by_its_own_factor() -> None:
    torch.manual_seed(0)
    images = random_images(200)
    found, _ = Augment([Brightness(0.2)])(images, torch.zeros(200))
    factors = (found / images).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-5, atol=1e-5)
    assert 0.8 <= factors.min() < 0.82 < 1.18 < factors.max() <= 1.2


def test_contrast_keeps_the_mean_grey_and_scales_the_distance_from_it() -> None:
    images, factor = random_images(), torch.tensor([0.5, 1.0, 1.4])
    found = apply_color_matrices(images, contrasts(factor, images.mean((2, 3))))
    mean = grey(images.mean((2, 3))).view(-1, 1, 1, 1)
    torch.testing.assert_close(found, mean + factor.view(-1, 1, 1, 1) * (images - mean))
    torch.testing.assert_close(grey(found.mean((2, 3))), mean.flatten())


def test_saturation_scales_the_distance_from_the_pixels_grey_and_keeps_it() -> None:
    images, factor = random_images(), torch.tensor([0.0, 1.0, 1.5])
    found = apply_color_matrices(images, saturations(factor))
    level = grey(images).unsqueeze(1)
    torch.testing.assert_close(found, level + factor.view(-1, 1, 1, 1) * (images - level))
    torch.testing.assert_close(grey(found), grey(images))


def test_saturation_leaves_grey_images_grey() -> None:
    images = random_images()[:, :1].repeat(1, 3, 1, 1)
    found, _ = Augment([Saturation(0.9)])(images, torch.zeros(3))
    torch.testing.assert_close(found, images)


def test_a_color_cast_is_a_factor_for_each_channel() -> None:
    torch.manual_seed(0)
    images = random_images(50)
    found, _ = Augment([ChannelGain(0.3)])(images, torch.zeros(50))
    factors = (found / images).flatten(2)
    torch.testing.assert_close(factors, factors[:, :, :1].expand_as(factors), rtol=1e-5, atol=1e-5)
    assert (factors[:, :, 0].std(1) > 0).all()
    assert (factors - 1).abs().max() <= 0.3 + 1e-5


def test_maps_after_one_another_are_one_map() -> None:
    images = random_images()
    first, second = gains(torch.rand(3, 3)), contrasts(torch.tensor([0.5, 1.0, 1.4]), torch.rand(3, 3))
    stepwise = apply_color_matrices(apply_color_matrices(images, first), second)
    torch.testing.assert_close(apply_color_matrices(images, compose_color_matrices(first, second)), stepwise)


def test_contrast_after_brightness_takes_the_mean_of_the_brighter_image() -> None:
    images = random_images()
    torch.manual_seed(0)
    together, _ = Augment([Brightness(0.3), Contrast(0.3)])(images, torch.zeros(3))
    torch.manual_seed(0)
    stepwise = images
    for transform in (Brightness(0.3), Contrast(0.3)):
        stepwise = apply_color_matrices(stepwise, transform.color_matrices(stepwise.mean((2, 3))))
    torch.testing.assert_close(together, stepwise)


@pytest.mark.parametrize("kind", EACH)
def test_probability_decides_which_images_are_changed(kind: type[Brightness]) -> None:
    torch.manual_seed(0)
    images = random_images(400)
    for probability, least, most in ((0, 0, 0), (1, 400, 400), (0.25, 60, 140)):
        found, _ = Augment([kind(0.5, probability=probability)])(images, torch.zeros(400))
        assert least <= (found != images).flatten(1).any(1).sum() <= most


@pytest.mark.parametrize("kind", EACH)
def test_values_out_of_range_are_refused(kind: type[Brightness]) -> None:
    with pytest.raises(ValueError, match="strength=-0.1 should be a number from 0 to 1"):
        kind(-0.1)
    with pytest.raises(ValueError, match="probability=2 should be a number from 0 to 1"):
        kind(probability=2)
