"""Reading images of every kind; the oracles are arrays, written by Pillow or byte by byte."""

import io
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from fancnn.errors import UserError
from fancnn.images.reading import SUFFIXES, as_rgb, is_hidden, is_image_file, read_image

RGB = np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)
GREY = RGB[..., 0]
ALPHA = RGB[..., 1]
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[40:200:10, 60:220:10], 90), axis=-1).astype(np.uint8)

LOSSLESS = {
    "png": {"format": "PNG"},
    "bmp": {"format": "BMP"},
    "tiff": {"format": "TIFF"},
    "lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "webp": {"format": "WEBP", "lossless": True},
    "ppm": {"format": "PPM"},
}
LOSSY = {
    "jpeg": {"format": "JPEG", "quality": 95},
    "progressive": {"format": "JPEG", "quality": 95, "progressive": True},
    "jpeg in tiff": {"format": "TIFF", "compression": "jpeg"},
    "lossy webp": {"format": "WEBP", "quality": 95},
    "gif": {"format": "GIF"},
}


def saved(image, **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def grey_as_rgb(grey):
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)


def over(colours, alpha, background):
    share = np.asarray(alpha, float)[..., None] / 255
    return np.rint(colours * share + background * (1 - share)).astype(np.uint8)


# Names


@pytest.mark.parametrize("name", ["a.jpg", "A.JPG", "ファン 1.png", "x/вентилятор.Tiff", "a.b.jpeg", "ฝ.webp"])
def test_a_known_suffix_makes_an_image_in_any_case_and_script(name):
    assert is_image_file(PurePosixPath(name))


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.part", "split.csv", "a.", "a.svg"])
def test_other_suffixes_are_no_images(name):
    assert not is_image_file(PurePosixPath(name))


@pytest.mark.parametrize(
    "name",
    ["._a.jpg", ".DS_Store", "GO/.trash/a.jpg", "__MACOSX/GO/a.jpg", "Thumbs.db", "THUMBS.DB", "Desktop.ini"],
)
def test_what_systems_leave_behind_is_hidden(name):
    assert is_hidden(PurePosixPath(name))
    assert not is_image_file(PurePosixPath(name))


def test_every_suffix_is_lower_case_and_known_to_pillow():
    Image.init()
    assert set(Image.registered_extensions()) >= SUFFIXES
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)


# Colours


@pytest.mark.parametrize("options", LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_files_give_their_very_pixels(options):
    np.testing.assert_array_equal(read_image(saved(RGB, **options)), RGB)


@pytest.mark.parametrize("options", LOSSY.values(), ids=LOSSY)
def test_lossy_files_give_nearly_their_pixels(options):
    pixels = read_image(saved(SMOOTH, **options))
    assert np.abs(pixels.astype(int) - SMOOTH).max() <= 12


def test_the_result_is_contiguous_writable_and_the_same_from_path_and_content(tmp_path):
    path = tmp_path / "ファン 1 – ok.png"
    path.write_bytes(saved(RGB, format="PNG"))
    for source in (path, str(path), path.read_bytes()):
        pixels = read_image(source)
        np.testing.assert_array_equal(pixels, RGB)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable


def test_the_suffix_may_lie_about_the_kind(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(RGB, format="PNG"))
    np.testing.assert_array_equal(read_image(path), RGB)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_grey_files_have_three_equal_channels(kind):
    np.testing.assert_array_equal(read_image(saved(GREY, format=kind)), grey_as_rgb(GREY))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_one_bit_files_are_black_and_white(kind):
    bits = GREY > 128
    np.testing.assert_array_equal(read_image(saved(bits, format=kind)), grey_as_rgb(bits * 255))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_palette_files_show_their_colours(kind):
    palette = Image.fromarray(RGB).quantize(16)
    colours = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(saved(palette, format=kind)), colours)


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LAB", "TIFF")])
def test_other_colour_spaces_come_out_as_rgb(mode, kind):
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)  # CMYK JPEGs hold Adobe's inverted values
    pixels = read_image(saved(Image.fromarray(flat).convert(mode), format=kind))
    assert np.abs(pixels.astype(int) - flat).max() <= 2


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV"])
def test_other_colour_spaces_in_memory_come_out_as_rgb(mode):
    pixels = as_rgb(Image.fromarray(SMOOTH).convert(mode))
    assert np.abs(pixels.astype(int) - SMOOTH).max() <= 5


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "RGBA", "RGBa", "LA", "La", "PA", "LAB"])
def test_an_image_of_any_mode_in_memory_converts(mode):
    assert as_rgb(Image.new(mode, (3, 2))).shape == (2, 3, 3)


# Transparency


@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0)])
@pytest.mark.parametrize("name", ["png", "tiff", "lzw"])
def test_alpha_lets_the_background_through(name, background, level):
    options = LOSSLESS[name]
    colour = np.dstack([RGB, ALPHA])
    grey = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])
    for image, opaque in ((colour, RGB), (grey, grey_as_rgb(GREY))):
        pixels = read_image(saved(image, **options), background)
        np.testing.assert_array_equal(pixels, over(opaque, ALPHA, level))


def test_white_is_the_default_background():
    clear = Image.new("RGBA", (2, 2), (9, 9, 9, 0))
    assert (read_image(saved(clear, format="PNG")) == 255).all()


@pytest.mark.parametrize(
    ("kind", "transparency", "alphas"),
    [("PNG", 1, [255, 0, 255]), ("GIF", 1, [255, 0, 255]), ("PNG", bytes([255, 0, 128]), [255, 0, 128])],
)
def test_palettes_may_hold_transparency(kind, transparency, alphas):
    indices = Image.fromarray(GREY % 3)
    indices.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])
    pixels = read_image(saved(indices, format=kind, transparency=transparency))
    np.testing.assert_array_equal(pixels, over(colours[GREY % 3], np.array(alphas)[GREY % 3], 255))


@pytest.mark.parametrize("background", ["grey", "", "White"])
def test_another_background_is_refused(background):
    with pytest.raises(UserError, match=f"background={background!r}: expected white or black"):
        read_image(saved(RGB, format="PNG"), background)


# Orientation and pages

UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: lambda a: np.rot90(a, 1),
}


def oriented(image, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, exif=exif, **options)


@pytest.mark.parametrize("options", [LOSSLESS[name] for name in ("png", "tiff", "lzw", "webp")])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_turned_upright(orientation, options):
    pixels = read_image(oriented(RGB, orientation, **options))
    np.testing.assert_array_equal(pixels, UPRIGHT[orientation](RGB))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_jpegs_are_turned_upright(orientation):
    pixels = read_image(oriented(SMOOTH, orientation, **LOSSY["jpeg"]))
    assert np.abs(pixels.astype(int) - UPRIGHT[orientation](SMOOTH)).max() <= 12


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "RGBA"])
def test_images_of_any_mode_are_turned_upright(mode):
    image = (
        Image.fromarray(SMOOTH[..., 0].astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(RGB).convert(mode)
    )
    expected = np.rot90(as_rgb(image), -1)
    np.testing.assert_array_equal(read_image(oriented(image, 6, format="PNG")), expected)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_unknown_orientation_leaves_the_image_as_it_is(orientation):
    np.testing.assert_array_equal(read_image(oriented(RGB, orientation, format="PNG")), RGB)


@pytest.mark.parametrize("exif", [b"", b"II*\0\x08\0\0\0\xff\xff\x12\x01", b"nonsense", b"x"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_metadata_leave_the_image_as_it_is(exif, kind):
    assert read_image(saved(SMOOTH, format=kind, exif=b"Exif\0\0" + exif)).shape == SMOOTH.shape


@pytest.mark.parametrize("options", [{"format": kind} for kind in ("GIF", "TIFF", "PNG", "WEBP", "MPO")])
def test_of_several_frames_the_first_is_read(options):
    frames = [np.full((8, 8, 3), level, np.uint8) for level in (50, 150, 250)]
    content = saved(frames[0], save_all=True, append_images=list(map(Image.fromarray, frames[1:])), **options)
    pixels = read_image(content)
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels.astype(int) - 50).max() <= 3
