"""Boxes on an image, outside what they hold, seen on any ground; no torch, since a line's computer draws them, too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

INNER, OUTER = (255, 140, 0), (0, 0, 0)
Box = tuple[float, float, float, float]


def with_boxes(image: NDArray[np.uint8], boxes: Sequence[Box], captions: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Return a copy of an image with boxes around places: orange in a black line, with captions beside them, if any.

    Args:
        image: `(height, width, 3)`, RGB.
        boxes: Left, top, right and bottom of each place, pixels; what is inside stays as it is.
        captions: Of the first of them.
    """
    drawn = Image.fromarray(image)
    canvas, longest = ImageDraw.Draw(drawn), max(drawn.size)
    thick = max(1, round(longest / 200))
    for place in reversed(range(len(boxes))):  # the first one, which says most, is thicker and lies on top
        left, top, right, bottom = (round(side) for side in boxes[place])
        inner = thick if place == 0 else max(1, thick // 2)
        for out, width, color in ((inner + 1, 1, OUTER), (inner, inner, INNER)):
            frame = (left - out, top - out, max(right + out, left + 1) - 1, max(bottom + out, top + 1) - 1)
            canvas.rectangle(frame, outline=color, width=width)
    font = ImageFont.load_default(max(10, longest // 45))
    for box, caption in reversed([*zip(boxes, captions, strict=False)]):
        _caption(canvas, drawn.size, box, caption, font, 3 * thick)
    return np.asarray(drawn)


def _caption(
    canvas: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: Box,
    caption: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    gap: int,
) -> None:
    """Write below a box, or above it where there is no room, and within the image."""
    left, top, right, bottom = canvas.textbbox((0, 0), caption, font=font)
    width, height = right - left, bottom - top
    below = box[3] + gap + height + 2 <= size[1]
    x = min(max(box[0], 0), max(size[0] - width - 2, 0))
    y = box[3] + gap if below else max(box[1] - gap - height - 2, 0)
    canvas.rectangle((x, y, x + width + 2, y + height + 2), fill=OUTER)
    canvas.text((x + 1 - left, y + 1 - top), caption, fill=(255, 255, 255), font=font)
