"""What is let in: images of known kinds, within the limits of all readers, whatever bytes a client sends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import UserError
from fancnn.images.reading import UnreadableImage, opened
from fancnn.inference.exported_model import ExportedModel


class Refused(UserError):  # noqa: N818  # shown to clients, as UserError is to users
    """A request that is not answered with decisions. The text is the reason, for the client to read.

    Args:
        status: Of HTTP: 4xx if the client can mend it, 503 if waiting can, 500 if the server's operator must.
        reason: What was expected and what came.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@contextmanager
def admitted(model: ExportedModel, content: bytes, formats: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Decode an image, after its header was found harmless; room for it is kept until it is let go.

    Args:
        model: Whose background lies behind transparent pixels, and whose limits are kept.
        content: Of an image file.
        formats: Pillow's names of the kinds that are tried.

    Returns:
        `(height, width, 3)`, uint8, RGB.

    Raises:
        Refused: 415 if it is of no such kind, 413 if it is too large, 422 if it is damaged.
    """
    try:
        with model.reading(content, formats) as image:
            yield image
    except UnreadableImage as error:
        raise _refused(error) from None


def size_of(model: ExportedModel, content: bytes, formats: Sequence[str]) -> tuple[int, int]:
    """Return the width and height as the header says them, no pixel is decoded.

    Raises:
        Refused: As `admitted`.
    """
    try:
        return opened(content, model.gate.limits, formats, model.scoring_bytes).size
    except UnreadableImage as error:
        raise _refused(error) from None


def _refused(error: UnreadableImage) -> Refused:
    return Refused(413 if error.too_large else 415 if error.unknown else 422, str(error))
