"""What is let in: pictures of known kinds and bounded size, whatever bytes a client sends."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fancnn.deployment.exported_model import ExportedModel
from fancnn.errors import UserError
from fancnn.images.reading import UnreadablePicture

MOST_SCANS = 100  # of a progressive JPEG: each goes over all of its pixels, and a small file can have thousands


class Refused(UserError):  # noqa: N818  # told to clients, as UserError is to users
    """A request that is not answered with decisions. The text is the reason, for the client to read.

    Args:
        status: Of HTTP: 4xx if the client can mend it, 503 if waiting can, 500 if the server's operator must.
        reason: What was expected and what came.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def admitted(model: ExportedModel, content: bytes, formats: Sequence[str], most_pixels: float) -> NDArray[np.uint8]:
    """Decode a picture, after its header was found harmless.

    Args:
        model: Whose background lies behind transparent pixels.
        content: Of a picture file.
        formats: Pillow's names of the kinds that are tried.
        most_pixels: Height times width.

    Returns:
        `(height, width, 3)`, uint8, RGB.

    Raises:
        Refused: 415 if it is of no such kind, 413 if it is too large, 422 if it is damaged.
    """
    if not content:
        raise Refused(422, "empty (0 bytes): expected the content of a picture file")
    width, height = size_of(content, formats)
    if width * height > most_pixels:
        raise Refused(413, f"{width}x{height} are {width * height:,} pixels; at most {int(most_pixels):,} are taken")
    if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MOST_SCANS:
        raise Refused(422, f"a JPEG of more than {MOST_SCANS} scans: save it anew")
    try:
        return model.read(content)
    except UnreadablePicture as error:
        raise Refused(422, str(error)) from None


def size_of(content: bytes, formats: Sequence[str]) -> tuple[int, int]:
    """Width and height as the header says them, no pixel is decoded; 0 where it is damaged.

    Raises:
        Refused: 415 if it is of no such kind, 413 if it is far too large.
    """
    try:
        with Image.open(io.BytesIO(content), formats=tuple(formats)) as image:
            return image.size
    except UnidentifiedImageError:
        raise Refused(415, f"not a picture, or damaged, or of another kind than {', '.join(formats)}") from None
    except Image.DecompressionBombError:
        raise Refused(413, "a picture of far too many pixels") from None
    except (
        Exception
    ):  # whatever Pillow's readers raise on damaged headers: reading, which fails alike, says it in words
        return 0, 0
