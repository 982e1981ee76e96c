"""Reading greys of 12 and 16 bits, and transparent colours stated in the depth of the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fancnn.images.reading import UnreadableImage, as_rgb, read_image

RGB = np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def saved(image, **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def grey_as_rgb(grey):
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)


def png(rows, depth, colour_type, *chunks):
    """A PNG by hand: `rows` are the bytes of each row, `chunks` stand before the pixels."""
    width = len(rows[0]) * 8 // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type])
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def grey_tiff(row, bits, *, white_is_zero=False, signed=False):
    """An uncompressed little-endian TIFF of one row of two greys, by hand."""
    longs = {256: 2, 257: 1, 273: 8 + 2 + 12 * 9 + 4, 278: 1, 279: len(row)}
    shorts = {258: bits, 259: 1, 262: 0 if white_is_zero else 1, 339: 2 if signed else 1}
    tags = sorted([(tag, 4, longs[tag]) for tag in longs] + [(tag, 3, shorts[tag]) for tag in shorts])
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + row


def test_a_colour_key_is_transparent_in_rgb_and_grey():
    keyed = saved(RGB, format="PNG", transparency=tuple(map(int, RGB[2, 3])))
    hit = np.equal(RGB, RGB[2, 3]).all(axis=2)
    np.testing.assert_array_equal(read_image(keyed), np.where(hit[..., None], 255, RGB))
    keyed = saved(GREY, format="PNG", transparency=int(GREY[2, 3]))
    expected = np.where(np.equal(GREY, GREY[2, 3]), 0, GREY)
    np.testing.assert_array_equal(read_image(keyed, "black"), grey_as_rgb(expected))


@pytest.mark.parametrize(("depth", "expected"), [(1, [0, 255]), (2, [0, 85, 255, 255]), (4, [17, 255, 0])])
def test_a_colour_key_counts_in_the_depth_of_the_file(depth, expected):
    rows = {1: bytes([0b01000000]), 2: bytes([0b00011011]), 4: bytes([0x15, 0x00])}
    content = png([rows[depth]], depth, 0, (b"tRNS", struct.pack(">H", {1: 1, 2: 2, 4: 5}[depth])))
    assert read_image(content)[0, : len(expected), 0].tolist() == expected


def test_a_colour_key_in_sixteen_bits_is_found():
    grey = struct.pack(">HHH", 1000, 1001, 65535)
    key = (b"tRNS", struct.pack(">H", 1000))
    assert read_image(png([grey], 16, 0, key))[0, :, 0].tolist() == [255, 4, 255]
    colours = struct.pack(">6H", 1000, 2000, 3000, 65535, 0, 0)
    key = (b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))
    assert read_image(png([colours], 16, 2, key))[0].tolist() == [[255, 255, 255], [255, 0, 0]]


def test_text_chunks_cannot_pose_as_transparency_or_metadata():
    names = (b"transparency", b"exif", b"xmp", b"Raw profile type exif")
    texts = [(b"tEXt", name + b"\0nonsense") for name in names]
    content = png([row.tobytes() for row in RGB], 8, 2, *texts)
    np.testing.assert_array_equal(read_image(content), RGB)


# More than eight bits

LEVELS = np.array([[0, 128, 129, 257, 12345, 32768, 65278, 65534, 65535]], np.uint16)
OPTIONS = {
    "png": {"format": "PNG"},
    "ppm": {"format": "PPM"},
    "tiff": {"format": "TIFF"},
    "lzw": {"format": "TIFF", "compression": "tiff_lzw"},
}
EIGHT_BITS = [[0, 0, 1, 1, 48, 128, 254, 255, 255]]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("png", "<u2"), ("ppm", "<i4"), ("tiff", "<u2"), ("tiff", ">u2"), ("tiff", "<i4"), ("lzw", "<u2")],
)
def test_sixteen_bit_greys_are_divided_by_257_and_rounded(name, dtype):
    content = saved(LEVELS.astype(dtype), **OPTIONS[name])
    np.testing.assert_array_equal(read_image(content), grey_as_rgb(EIGHT_BITS))


def test_every_sixteen_bit_level_rounds_to_the_nearest():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(as_rgb(Image.fromarray(levels))[..., 0], np.rint(levels / 257))


def test_sixteen_bit_greys_may_have_alpha():
    row = struct.pack(">4H", 65535, 65535, 40000, 0)
    assert read_image(png([row], 16, 4), "black")[0].tolist() == [[255] * 3, [0] * 3]
    assert read_image(png([row], 16, 4), "white")[0].tolist() == [[255] * 3, [255] * 3]


def test_sixteen_bit_colours_are_within_one_level():
    wide = np.random.default_rng(1).integers(0, 65536, (5, 6, 3))
    pixels = read_image(png([row.astype(">u2").tobytes() for row in wide], 16, 2))
    assert np.abs(pixels - wide / 257).max() <= 1


def test_twelve_bit_greys_use_the_whole_range():
    assert read_image(grey_tiff(bytes([0xFF, 0xF8, 0x00]), 12))[0, :, 0].tolist() == [255, 128]


def test_sixteen_bit_negatives_are_turned_round():
    content = grey_tiff(struct.pack("<HH", 0, 65535), 16, white_is_zero=True)
    assert read_image(content)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("levels", [[70000, 0], [-1, 5], [-32768, 32767]])
def test_whole_numbers_without_a_white_level_are_refused(levels):
    content = saved(np.array([levels], np.int32), format="TIFF")
    with pytest.raises(UnreadableImage, match=f"from {min(levels)} to {max(levels)} have no known white"):
        read_image(content)


def test_floating_point_pixels_are_refused():
    with pytest.raises(UnreadableImage, match="floating-point pixels have no known white level"):
        read_image(saved(GREY.astype(np.float32), format="TIFF"))


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16L", "I;16B", "HSV"])
def test_black_in_any_other_mode_is_black(mode):
    assert as_rgb(Image.new(mode, (3, 2))).max() == 0


def test_converting_twice_gives_the_same():
    image = Image.open(io.BytesIO(png([bytes([0x15])], 4, 0, (b"tRNS", b"\0\x05"))))
    np.testing.assert_array_equal(as_rgb(image), as_rgb(image))
