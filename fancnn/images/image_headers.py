"""What a file says of an image before a pixel is decoded, and whether that is within bounds; no torch.

A few thousand bytes can claim any size, and some containers make their reader work or allocate before it comes to the
size. Each function here looks at bytes alone.
"""

import re
import struct
from collections.abc import Iterator

from PIL import Image

from fancnn.images.unreadable import UnreadableImage
from fancnn.settings.groups import ImageLimits

MOST_SCANS = 100  # of a JPEG: each goes over all of its pixels, and a small file can have thousands
MOST_BEFORE_IMAGE = 2**20  # bytes of a GIF's or a PPM's remarks before its first pixel, which Pillow joins one by one
MOST_NUMBERS = 2**18  # in one tag of a TIFF: Pillow makes a Python number of each

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # in the data of a scan, all else after FF is data, too
_PPM_HEADER = re.compile(rb"P[1-7FfyY](?:\s+(?:#[^\r\n]*[\r\n]\s*)*[^\s#]{1,10}){2}\s")
_TAG_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BUFFERS = {"PNG": 0, "BMP": 0, "TIFF": 8, "WEBP": 12}  # bytes a pixel that a decoder holds besides the image
_BYTES_OR_TEXT = (1, 2, 6, 7)
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def validate_container(content: bytes, limits: ImageLimits) -> None:
    """Refuse a file that costs its reader more than its bytes and pixels before these are known.

    Raises:
        UnreadableImage: Saying what of it.
    """
    if content.startswith(b"\xff\xd8"):
        if content.count(b"\xff\xda") > MOST_SCANS and _scans(content) > MOST_SCANS:
            raise UnreadableImage(f"a JPEG of more than {MOST_SCANS} scans: save it again")
    elif content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _validate_tiff(content, limits)
    elif content.startswith(b"RIFF"):
        if size := _webp_size(content):
            validate_size(*size, limits)
    elif content.startswith(b"GIF8"):
        if _gif_image(content) > MOST_BEFORE_IMAGE:
            raise UnreadableImage(f"a GIF with more than {MOST_BEFORE_IMAGE:,} bytes before its image")
    elif re.match(rb"P[1-7FfyY]\s", content) and not _PPM_HEADER.match(content, 0, MOST_BEFORE_IMAGE):
        raise UnreadableImage("damaged or cut off: begins as PPM, but its header cannot be read")


def validate_size(width: int, height: int, limits: ImageLimits, memory: int = 0) -> None:
    """Refuse an image of too long a side or too many pixels.

    Args:
        width: Of the image, in pixels.
        height: Likewise.
        limits: What is let in.
        memory: That decoding takes, in bytes; where the image is refused, that bound is named with the others.

    Raises:
        UnreadableImage: With the size, each bound that is exceeded and the keys that move them.
    """
    side, pixels = max(width, height), width * height
    reasons, keys = [], []
    if side > limits.max_side:
        reasons.append(f"a side of more than {limits.max_side:,} pixels")
        keys.append(f"image_limits.max_side={side}")
    if pixels > limits.megapixels * 1e6:
        reasons.append(f"{pixels / 1e6:.4g} megapixels, more than {limits.megapixels:g}")
        keys.append(f"image_limits.megapixels={-(-pixels // 10**6)}")
    if not reasons:
        return
    if memory > limits.decoding_megabytes * 1e6:
        reasons.append(f"{memory / 1e6:,.0f} MB of memory to decode it, more than {limits.decoding_megabytes:g}")
        keys.append(f"image_limits.decoding_megabytes={-(-memory // 10**6)}")
    allow = "allows it" if len(keys) == 1 else "together allow it"
    raise UnreadableImage(f"{width}x{height}: {'; '.join(reasons)}; {' '.join(keys)} {allow}", too_large=True)


def decoding_bytes(image: Image.Image) -> int:
    """Return an upper bound of the memory that decoding takes: what 24 megapixels of each kind took, or a little more.

    Args:
        image: As opened; no pixel is decoded yet.
    """
    each = 1 if image.mode in ("1", "L", "P") else 4  # as Pillow holds a pixel
    each += 4 if image.mode != "RGB" else 0  # converted
    # laid on the background; Pillow's `has_transparency_data` asks a palette that a damaged file may lack
    each += 4 if "transparency" in image.info or image.mode[-1] in "APa" else 0
    each += 4  # turned upright, which metadata may say that come after the pixels
    each += 3  # the array
    buffers = 2 * len(image.getbands()) if image.format == "JPEG" else _BUFFERS.get(image.format or "", 4)
    return (each + buffers) * image.width * image.height


def _scans(content: bytes) -> int:
    """Count the scans of a JPEG; what lies after its end is none of it: some cameras put a film there."""
    count, place = 0, 2
    while (marker := _MARKER.search(content, place)) and count <= MOST_SCANS:
        kind, place = content[marker.end() - 1], marker.end()
        if kind == 0xD9:
            break
        count += kind == 0xDA
        if kind not in (0x01, 0xD8):
            place += int.from_bytes(content[place : place + 2], "big")
    return count


def _gif_image(content: bytes) -> int:
    """Return where the first image of a GIF begins, or the end of what there is."""
    place = 13 + (3 << (content[10] & 7) + 1 if len(content) > 10 and content[10] & 0x80 else 0)
    while content[place : place + 1] == b"!" and place <= MOST_BEFORE_IMAGE:
        place += 2
        while place < len(content) and (length := content[place]):
            place += length + 1
        place += 1
    return place


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP, whose decoder makes room for them when it is opened."""
    kind, head = content[12:16], content[20:30]
    if len(head) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def validate_tags(content: bytes) -> dict[int, int]:
    """Check the tags of a TIFF, or of EXIF, which has its form: their values may not take more room than the whole.

    Returns:
        The first number of each tag that holds a single one in its entry.

    Raises:
        UnreadableImage: If they do, or one has more numbers than any image needs.
    """
    values, claimed = dict[int, int](), 0
    for tag, kind, count, value in _tags(content):
        size = count * _TAG_SIZES.get(kind, 0)
        claimed += size if size > 8 else 0
        if kind not in _BYTES_OR_TEXT and count > MOST_NUMBERS:
            raise UnreadableImage(f"damaged: tag {tag} has {count:,} values")
        if claimed > len(content):
            raise UnreadableImage("damaged: its tags have more bytes than the file")
        if count == 1:
            values.setdefault(tag, value)
    return values


def _validate_tiff(content: bytes, limits: ImageLimits) -> None:
    tags = validate_tags(content)
    if _TILE_WIDTH in tags and _TILE_LENGTH in tags:  # a tile is decoded whole, however little of it is the image
        validate_size(tags[_TILE_WIDTH], tags[_TILE_LENGTH], limits)


def _tags(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, type, count and, if there is one number, its value, of the first directory of a TIFF."""
    order = "<" if content.startswith(b"II") else ">"
    large = content[2:4] in (b"+\0", b"\0+")
    head, entry, numbers = (
        ("Q", f"{order}HHQ", {3: "H", 4: "I", 16: "Q"}) if large else ("I", f"{order}HHI", {3: "H", 4: "I"})
    )
    try:
        (place,) = struct.unpack_from(order + head, content, 8 if large else 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if large else 'H'}", content, place)
        place += 8 if large else 2
        for index in range(min(count, 2**16)):
            start = place + index * (20 if large else 12)
            tag, kind, values = struct.unpack_from(entry, content, start)
            number = numbers.get(kind)
            value = struct.unpack_from(order + number, content, start + struct.calcsize(entry))[0] if number else 0
            yield tag, kind, values, value
    except (struct.error, OverflowError):  # cut off: whoever reads it says so
        return
