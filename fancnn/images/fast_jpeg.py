"""JPEGs without a fault, decoded sooner than by Pillow, to the same pixels."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

try:
    import simplejpeg
except ModuleNotFoundError:  # a line's computer may do without it
    simplejpeg = None


def decode_sound(content: bytes) -> NDArray[np.uint8] | None:
    """Return the pixels `(height, width, 3)` of a grey or colour JPEG as it lies; None where Pillow must decode it."""
    if simplejpeg is None:
        return None
    try:
        return cast("NDArray[np.uint8]", simplejpeg.decode_jpeg(content, "RGB", strict=True))
    except ValueError:  # even what could be mended: what to make of a fault is Pillow's to say
        return None
