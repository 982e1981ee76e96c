"""JPEGs take a quicker decoder where they are sound; whatever they are, the answer is the one that Pillow gives."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fancnn.images import reading
from fancnn.images.reading import UnreadableImage, as_rgb, read_image
from fancnn.settings.groups import ImageLimits

OPTIONS = {
    "quality": st.integers(1, 100),
    "subsampling": st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    "progressive": st.booleans(),
    "optimize": st.booleans(),
    "restart_marker_blocks": st.sampled_from([0, 1, 3]),
}
SIDES = st.integers(1, 70)


def jpeg(image, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(content):
    return as_rgb(Image.open(io.BytesIO(content)))


def answer(read, content):
    try:
        return read(content).tobytes()
    except UnreadableImage as error:
        return str(error)


def soft(seed, height, width, channels=3):
    """Large smooth steps with some noise, as photographs have."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 9 + 1, width // 9 + 1, channels))
    fine = np.repeat(np.repeat(coarse, 9, 0), 9, 1)[:height, :width] + generator.normal(0, 8, (height, width, channels))
    return fine.clip(0, 255).astype(np.uint8).squeeze()


@settings(max_examples=150, deadline=None)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 2**32 - 1), options=st.fixed_dictionaries(OPTIONS))
def test_colour_jpegs_have_pillows_pixels(height, width, seed, options):
    content = jpeg(soft(seed, height, width).reshape(height, width, 3), **options)
    np.testing.assert_array_equal(read_image(content), by_pillow(content))


@settings(max_examples=50, deadline=None)
@given(height=SIDES, width=SIDES, quality=st.integers(1, 100), progressive=st.booleans())
def test_grey_jpegs_have_pillows_pixels(height, width, quality, progressive):
    content = jpeg(soft(0, height, width, 1).reshape(height, width), quality=quality, progressive=progressive)
    np.testing.assert_array_equal(read_image(content), by_pillow(content))


def test_jpegs_that_keep_rgb_have_pillows_pixels():
    content = jpeg(soft(1, 50, 40), keep_rgb=True)
    np.testing.assert_array_equal(read_image(content), by_pillow(content))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), progressive=st.booleans())
def test_damaged_jpegs_get_pillows_answer(data, progressive):
    content = bytearray(jpeg(soft(2, 60, 50), progressive=progressive))
    for place in data.draw(st.lists(st.integers(2, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(content), len(content) - 1, len(content) - 2, len(content) // 2]))
    assert answer(read_image, bytes(content[:cut])) == answer(by_pillow_in_words, bytes(content[:cut]))


def by_pillow_in_words(content):
    return as_rgb(reading.opened(content, ImageLimits()))


def test_sound_jpegs_take_the_quick_way_and_others_do_not(monkeypatch):
    taken = []
    monkeypatch.setattr(reading, "as_rgb", lambda image, *more: taken.append(image.mode))
    content = jpeg(soft(3, 30, 30))
    assert read_image(content).shape == (30, 30, 3)
    assert taken == []
    read_image(content[:-40])
    file = io.BytesIO()
    Image.fromarray(soft(3, 30, 30)).convert("CMYK").save(file, "JPEG")
    read_image(file.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    read_image(jpeg(soft(3, 30, 30), exif=exif))
    assert taken == ["RGB", "CMYK", "RGB"]


@pytest.mark.parametrize("extra", [b"\n", b"\x00" * 100, b"trailing words"])
def test_what_follows_the_image_is_no_matter(extra):
    content = jpeg(soft(4, 30, 30)) + extra
    np.testing.assert_array_equal(read_image(content), by_pillow(content))
