"""Files that are damaged, cut off or no images at all: a reason in words, and nothing else."""

import io
import os
import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from fancnn.images.reading import UnreadableImage, read_image

RGB = np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)
ALPHA = RGB[..., 1]
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[40:200:10, 60:220:10], 90), axis=-1).astype(np.uint8)
LEVELS = np.arange(0, 65536, 5041, dtype=np.uint16).reshape(1, -1)

KINDS = {
    "png": {"format": "PNG"},
    "bmp": {"format": "BMP"},
    "tiff": {"format": "TIFF"},
    "lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "jpeg in tiff": {"format": "TIFF", "compression": "jpeg"},
    "webp": {"format": "WEBP", "lossless": True},
    "lossy webp": {"format": "WEBP"},
    "ppm": {"format": "PPM"},
    "jpeg": {"format": "JPEG"},
    "progressive": {"format": "JPEG", "progressive": True},
    "gif": {"format": "GIF"},
}


def saved(image, **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def oriented(image, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, exif=exif, **options)


def pixels_or_reason(content):
    try:
        pixels = read_image(content)
    except UnreadableImage as error:
        return str(error) or pytest.fail("no reason given")
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


EVERY = {name: saved(SMOOTH, **options) for name, options in KINDS.items()}


def test_an_empty_file_is_named_so(tmp_path):
    path = tmp_path / "a.jpg"
    path.touch()
    with pytest.raises(UnreadableImage, match=r"^empty \(0 bytes\)$"):
        read_image(path)


@pytest.mark.parametrize("content", [b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0", bytes(5000)])
def test_other_content_is_no_image(content):
    with pytest.raises(UnreadableImage, match=r"^not an image, or of a kind not read here .*JPEG, PNG"):
        read_image(content)


def test_a_missing_file_is_named_so(tmp_path):
    with pytest.raises(UnreadableImage, match=r"^no such file: was it moved or deleted\?$"):
        read_image(tmp_path / "gone.png")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="here every file may be read")
def test_a_forbidden_file_is_named_so(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(RGB, format="PNG"))
    path.chmod(0)
    with pytest.raises(UnreadableImage, match=r"^no permission to read it$"):
        read_image(path)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "x"), "no permission to read it"),
        (OSError(5, "I/O error"), "cannot be read: I/O error"),
    ],
)
def test_errors_of_the_file_system_are_told_in_words(error, text, monkeypatch):
    def fail(path):
        raise error

    monkeypatch.setattr("fancnn.files.regular_files.os.stat", fail)
    with pytest.raises(UnreadableImage, match=text):
        read_image("a.png")


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(UnreadableImage, match=r"^(a folder, not a file|no permission to read it)$"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", EVERY)
def test_a_cut_file_is_refused_unless_every_pixel_is_there(name):
    content = EVERY[name]
    whole = read_image(content)
    for length in range(1, len(content)):
        pixels = pixels_or_reason(content[:length])
        assert isinstance(pixels, str) or np.array_equal(pixels, whole)


@pytest.mark.parametrize("name", ["png", "jpeg", "progressive", "bmp", "tiff", "ppm", "gif"])
@pytest.mark.parametrize("share", [0.9, 0.99])
def test_a_file_cut_among_its_pixels_is_called_cut_off(name, share):
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = saved(noise, **KINDS[name])
    with pytest.raises(UnreadableImage, match=r"^cut off: the file ends before its pixels do$"):
        read_image(content[: int(len(content) * share)])


@pytest.mark.parametrize("name", ["png", "jpeg", "gif"])
def test_a_file_cut_in_its_header_is_called_so(name):
    with pytest.raises(UnreadableImage, match=r"^(damaged or )?cut off: "):
        read_image(EVERY[name][:12])


def test_a_flipped_byte_among_the_pixels_of_a_png_is_noticed():
    content = saved(RGB, format="PNG")
    middle = content.index(b"IDAT") + 40
    broken = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    with pytest.raises(UnreadableImage, match=r"^(damaged|cut off): "):
        read_image(broken)


def test_an_image_of_too_many_pixels_is_refused_with_their_number():
    header = b"P6\n20000 20000\n255\n"
    with pytest.raises(UnreadableImage, match=r"^400 megapixels: more than any image may have"):
        read_image(header + bytes(10))


# Warnings and threads


def odd_but_readable():
    """A TIFF with a tag that points outside the file, over which Pillow warns."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33432] = "a copyright longer than four bytes"
    content = bytearray(saved(RGB, format="TIFF", tiffinfo=tags))
    entry = content.index(struct.pack("<HH", 33432, 2))
    content[entry + 8 : entry + 12] = struct.pack("<I", 10**6)
    return bytes(content)


def test_remarks_of_pillow_are_no_errors_and_no_noise():
    content = odd_but_readable()
    with pytest.warns(UserWarning, match="Tag data larger|Truncated"):  # or this test would test nothing
        Image.open(io.BytesIO(content)).load()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(read_image(content), RGB)
    assert not seen


def test_a_large_image_within_the_limit_is_read_without_remarks(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", RGB.shape[0] * RGB.shape[1] - 1)
    np.testing.assert_array_equal(read_image(saved(RGB, format="PNG")), RGB)


def test_many_threads_read_the_same_as_one():
    contents = [*EVERY.values(), odd_but_readable()] * 20
    with ThreadPoolExecutor(8) as pool:
        for pixels, content in zip(pool.map(read_image, contents), contents, strict=True):
            np.testing.assert_array_equal(pixels, read_image(content))


# Any damage

SOUND = [
    *EVERY.values(),
    saved(np.dstack([RGB, ALPHA]), format="PNG"),
    saved(Image.fromarray(RGB).quantize(16), format="PNG", transparency=bytes(range(0, 160, 10))),
    saved(Image.fromarray(RGB).quantize(16), format="GIF", transparency=3),
    saved(Image.fromarray(LEVELS), format="PNG"),
    saved(Image.fromarray(LEVELS), format="TIFF"),
    saved(Image.fromarray(RGB).convert("LAB"), format="TIFF"),
    saved(Image.fromarray(SMOOTH).convert("CMYK"), format="JPEG"),
    oriented(SMOOTH, 6, format="JPEG"),
    oriented(RGB, 6, format="PNG"),
    oriented(RGB, 6, format="TIFF"),
]


@settings(max_examples=1000, deadline=None)
@given(
    content=st.sampled_from(SOUND),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    early=st.booleans(),
    length=st.floats(0, 1) | st.just(1.0),
)
def test_any_damage_gives_pixels_or_a_reason(content, flips, early, length):
    damaged = bytearray(content)
    for place, change in flips:
        damaged[int(place * (min(120, len(content)) if early else len(content)))] ^= change
    pixels_or_reason(bytes(damaged[: int(length * len(content))]))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"P6 "]), st.binary())
def test_any_bytes_give_pixels_or_a_reason(magic, rest):
    pixels_or_reason(magic + rest)
