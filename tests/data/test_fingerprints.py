import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from textures import textures

from fancnn.data.fingerprints import DIMENSIONS, SCALES, SIDE, center_crops, descriptors, spectra
from fancnn.data.registration import TURNS, turned


@given(st.integers(0, 1000), st.integers(0, len(TURNS) - 1))
@settings(max_examples=25)
def test_turns_and_mirror_images_have_the_spectra_of_the_image(seed: int, turn: int) -> None:
    image = textures(1, seed)
    torch.testing.assert_close(spectra(turned(image, turn)), spectra(image), atol=2e-3, rtol=0)


@given(st.integers(0, 1000), st.floats(0.3, 3), st.floats(-20, 20))
@settings(max_examples=25)
def test_contrast_and_brightness_change_no_spectrum(seed: int, gain: float, offset: float) -> None:
    image = textures(1, seed)
    torch.testing.assert_close(spectra(gain * image + offset), spectra(image), atol=1e-3, rtol=0)


@pytest.mark.parametrize("change", ["shifted", "blurred"])
def test_an_edited_image_is_nearer_to_its_original_than_all_others(change: str) -> None:
    images = textures(200)
    if change == "shifted":
        edited = images.roll((2, -3), (1, 2))
    else:
        edited = torch.nn.functional.avg_pool2d(images[:, None], 3, 1, 1)[:, 0]
    near = torch.cdist(spectra(edited), spectra(images)).argmin(1)
    assert torch.equal(near, torch.arange(200))


def test_a_crop_is_found_by_a_crop() -> None:
    images = textures(100)
    together = torch.cat([images, center_crops(images, 0.9)]).round().byte()
    searched = descriptors(together)
    assert all(one.shape == (200, DIMENSIONS) for one in searched)
    distance = torch.cdist(searched[SCALES.index(0.9)][:100], searched[0])
    assert torch.equal(distance.argmin(1), torch.arange(100, 200))


def test_the_middle_of_an_image_is_enlarged() -> None:
    image = torch.zeros(1, SIDE, SIDE)
    image[:, 16:48, 16:48] = 1
    assert center_crops(image, 0.5).min() > 0.4
    assert center_crops(image, 1.0) is image
