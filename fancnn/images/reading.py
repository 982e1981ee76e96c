"""Read an image file of any kind into RGB bytes, or say in words why not."""

import hashlib
import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fancnn.errors import UserError
from fancnn.images.fast_jpeg import decode_sound
from fancnn.images.image_gate import DEFAULT_GATE, LARGE, ImageGate
from fancnn.images.image_headers import decoding_bytes, validate_container, validate_size, validate_tags
from fancnn.images.unreadable import UnreadableImage as UnreadableImage
from fancnn.settings.choices import ImageFormat
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import MOST_MEGAPIXELS
from fancnn.system.memory import give_back_freed_memory

SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".gif"}
)
"""Lower-case suffixes of the files that are read as images."""

# Only these are tried: a file is known by its content, and Pillow also knows kinds that start other programs
# (EPS starts Ghostscript). MPO, the two-lens JPEG, comes through JPEG.
FORMATS = tuple(name.value for name in ImageFormat)

# What Pillow's readers were seen to raise on damaged files; its own guards are assertions in places.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError),
    *(AssertionError, RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)

_CUT_OFF = re.compile("truncated|reached EOF|not enough image data|cannot load this image", re.IGNORECASE)

STRIP = 2**20  # pixels that are converted at once where a whole image would take much memory

_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})

_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ON_ITS_SIDE = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
)

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # a TIFF tag, and its value in negatives

Work = Callable[[int, int], int]  # height and width to the bytes that something takes besides the pixels


def is_hidden(relative: PurePath) -> bool:
    """Tell whether a system, not a person, put this file or folder there: `.DS_Store`, `__MACOSX/`.

    Args:
        relative: Path relative to the folder the user named, so that one inside `~/.cache` is not hidden.
    """
    return any(part.startswith(".") or part.casefold() in _LITTER for part in relative.parts)


def is_image_file(relative: PurePath) -> bool:
    """Tell by the name alone whether a file is to be read as an image; `relative` as in `is_hidden`."""
    return relative.suffix.lower() in SUFFIXES and not is_hidden(relative)


def read_image(
    source: str | os.PathLike[str] | bytes, background: str = "white", gate: ImageGate = DEFAULT_GATE
) -> NDArray[np.uint8]:
    """Read an image as it is meant to be seen: upright, opaque, in RGB; of several pages the first.

    Always decodes in full, so the pixels depend on the file alone. Colour profiles are not applied.

    Args:
        source: A path, or the content of a file.
        background: What shows through transparent pixels, `white` or `black`.
        gate: What is let in.

    Returns:
        `(height, width, 3)`, 0 to 255, C-contiguous and writable. 16-bit greys are divided by 257 and
        rounded.

    Raises:
        UnreadableImage: If the file cannot be read, is no whole image or too large a one, with the reason in short
            words.
        UserError: If `background` is neither `white` nor `black`.
    """
    if isinstance(source, bytes):
        with decoded(source, background, gate) as image:
            return image
    # The content is read first: file errors and decoding errors are both OSErrors in Pillow, and a file that
    # is rewritten while it is memory-mapped would end the process.
    with gate.content(source) as content, decoded(content, background, gate) as image:
        return image


@contextmanager
def decoded(
    content: bytes,
    background: str = "white",
    gate: ImageGate = DEFAULT_GATE,
    *,
    formats: Sequence[str] = FORMATS,
    work: Work = lambda height, width: 0,
) -> Iterator[NDArray[np.uint8]]:
    """Decode the content of a file as `read_image` does, once there is room for it, which is then held.

    Args:
        content: Of a file.
        background: As for `read_image`.
        gate: What is let in.
        formats: Pillow's names of the kinds that are tried.
        work: From height and width to the bytes that are taken besides the pixels while something is done with them.

    Raises:
        UnreadableImage: As `read_image`.
    """
    _validate_background(background)
    image = opened(content, gate.limits, formats, work)
    memory = _memory(image, work)
    with gate.decoding(memory):
        pixels = _fast_jpeg(content, image)
        if pixels is None:
            pixels = as_rgb(image, background, gate.limits)
        del image  # as large as the pixels, and not needed beside them
        if memory > LARGE:
            give_back_freed_memory()
        yield pixels


def _memory(image: Image.Image, work: Work) -> int:
    """Return the bytes that an image takes while it is decoded, or while something is done with its pixels."""
    return max(decoding_bytes(image), 3 * image.height * image.width + work(image.height, image.width))


def opened(
    content: bytes, limits: ImageLimits, formats: Sequence[str] = FORMATS, work: Work = lambda height, width: 0
) -> Image.Image:
    """Open the content of a file, of which no pixel is decoded yet.

    Args:
        content: Of a file.
        limits: What is let in.
        formats: Pillow's names of the kinds that are tried.
        work: As for `decoded`, so that a refusal can name all bounds that are exceeded.

    Raises:
        UnreadableImage: If it is of none of these kinds, its header is damaged, or it is too large.
    """
    if not content:
        raise UnreadableImage("empty (0 bytes)")
    validate_container(content, limits)
    _hush_pillow()
    with _damage_in_words(content, formats):
        image = Image.open(io.BytesIO(content), formats=tuple(formats))
    validate_size(*image.size, limits, _memory(image, work))
    return image


def upright_size(path: str | os.PathLike[str], gate: ImageGate = DEFAULT_GATE) -> tuple[int, int]:
    """Return height and width of an image file as it is meant to be seen; no pixel is decoded.

    Raises:
        UnreadableImage: As `read_image`, as far as that can be known without the pixels.
    """
    with gate.content(path) as content:
        image = opened(content, gate.limits)
        size = image.height, image.width
        return size[::-1] if _UPRIGHT.get(_orientation(image)) in _ON_ITS_SIDE else size


def as_rgb(
    image: Image.Image, background: str = "white", limits: ImageLimits = DEFAULT_GATE.limits
) -> NDArray[np.uint8]:
    """Convert an opened Pillow image as `read_image` does.

    Pass a file's image before its pixels are loaded: Pillow forgets then that greys have 12 bits only.

    Returns:
        `(height, width, 3)`, 0 to 255, C-contiguous and writable.

    Raises:
        UnreadableImage: If there are too many pixels, or they are damaged or numbers without a known white level.
        UserError: If `background` is neither `white` nor `black`.
    """
    _validate_background(background)
    validate_size(*image.size, limits)
    raw_mode = _raw_mode(image)
    _hush_pillow()
    with _damage_in_words():
        image.load()
    _mend_colour_key(image, raw_mode)
    turn = _UPRIGHT.get(_orientation(image))
    image = _eight_bits(image, white=4095 if raw_mode == "I;12" else 65535)
    with _damage_in_words():
        image = _opaque(image, background)
    return _as_array(image if turn is None else image.transpose(turn))


def _as_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an RGB image, strip by strip: at once they would be there three times over."""
    width, height = image.size
    step = max(STRIP // width, 1)
    if step >= height:
        # np.asarray would save 3 of 250 microseconds, and its read-only result makes torch.from_numpy warn.
        return np.array(image)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, step):
        pixels[top : top + step] = np.asarray(image.crop((0, top, width, min(top + step, height))))
    return pixels


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """Return SHA-256 over shape and pixels of a decoded image; a copy in another lossless file format has the same one.

    Args:
        image: `(height, width, 3)`, as `read_image` gives it.
    """
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _validate_background(background: str) -> None:
    if background not in ("white", "black"):
        raise UserError(f"background={background!r}: expected white or black, to lie behind transparency")


def _fast_jpeg(content: bytes, image: Image.Image) -> NDArray[np.uint8] | None:
    """Decode an upright grey or colour JPEG without a fault to Pillow's pixels, sooner; None for all others."""
    if image.format != "JPEG" or image.mode not in ("RGB", "L") or _orientation(image) in _UPRIGHT:
        return None
    return decode_sound(content)


@contextmanager
def _damage_in_words(content: bytes = b"", formats: Sequence[str] = FORMATS) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError:
        raise _unidentified(content, formats) from None
    except MemoryError:
        raise UnreadableImage("too large for the free memory", too_large=True) from None
    except Image.DecompressionBombError as error:  # before the size is known here
        pixels = re.search(r"\d+", str(error))
        megapixels = f"{int(pixels.group()) / 1e6:,.4g}" if pixels else "far more"
        raise UnreadableImage(
            f"{megapixels} megapixels: more than any image may have (image_limits.megapixels, at most "
            f"{MOST_MEGAPIXELS})",
            too_large=True,
        ) from None
    except _DAMAGE as error:
        raise UnreadableImage(_why_damaged(error)) from error


def _unidentified(content: bytes, formats: Sequence[str]) -> UnreadableImage:
    for name in formats:
        accepts = Image.OPEN[name][1]
        if accepts is not None and accepts(content[:16].ljust(16)) is True:
            return UnreadableImage(f"damaged or cut off: begins as {name}, but its header cannot be read")
    return UnreadableImage(f"not an image, or of a kind not read here ({', '.join(formats)} are)", unknown=True)


def _why_damaged(error: BaseException) -> str:
    # Pillow says "cannot load" of a file that ends before its first pixel.
    if isinstance(error, EOFError) or _CUT_OFF.search(str(error)):
        return "cut off: the file ends before its pixels do"
    return f"damaged: {error or type(error).__name__}"


def _hush_pillow() -> None:
    """Keep Pillow's remarks on odd metadata off the screen, and from being errors where warnings are errors.

    They concern tags that nobody here reads, or images that are large yet within the limit. Images are
    read in thread pools, where `warnings.catch_warnings` would undo other threads' filters at random; so one
    filter, for Pillow's own modules only, stays in the process, and is put first again if another came first.
    """
    if warnings.filters[:1] != [("ignore", None, Warning, re.compile(r"PIL\."), 0)]:
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _raw_mode(image: Image.Image) -> str:
    """Name the layout of the pixels in the file, e.g. `RGB;16B`; empty if unknown or already loaded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _mend_colour_key(image: Image.Image, raw_mode: str) -> None:
    """Bring the colour that a PNG declares transparent to the depth Pillow brought the pixels to."""
    key = image.info.get("transparency")
    if isinstance(key, str):  # a text chunk of that name
        del image.info["transparency"]
    elif isinstance(key, int) and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw_mode == "L;2" else 17)
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _orientation(image: Image.Image) -> int:
    try:
        if isinstance(exif := image.info.get("exif"), bytes):
            validate_tags(exif.removeprefix(b"Exif\0\0"))
        return cast("int", image.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        return 1  # damaged metadata say nothing against the pixels


def _eight_bits(image: Image.Image, white: Literal[4095, 65535]) -> Image.Image:
    """Return a grey image of 16-bit (or 12-bit) whole numbers as `L`, or `LA` if it has a colour key."""
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no known white level: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    key = image.info.get("transparency")
    grey = np.empty((image.height, image.width, 1 + isinstance(key, int)), dtype=np.uint8)
    step, extremes = max(STRIP // image.width, 1), list[int]()
    for top in range(0, image.height, step):  # strip by strip: whole numbers of many bits take much room
        strip = image.crop((0, top, image.width, min(top + step, image.height)))
        levels = np.asarray(strip).astype(np.int64)
        extremes += int(levels.min()), int(levels.max())
        shown = white - levels if inverted else levels  # Pillow does this for 8 bits only
        grey[top : top + step, :, 0] = (shown * 510 + white) // (2 * white)
        if isinstance(key, int):
            grey[top : top + step, :, 1] = (levels != key) * 255
    low, high = min(extremes), max(extremes)
    if low < 0 or high > white:
        raise UnreadableImage(
            f"whole numbers from {low} to {high} have no known white level: save it with 8 or 16 bits"
        )
    return Image.fromarray(grey if isinstance(key, int) else grey[..., 0])


def _opaque(image: Image.Image, background: str) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    if image.mode == "La":  # premultiplied; Pillow converts it to nothing else
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(rgba, (0, 0), rgba)
    return canvas
