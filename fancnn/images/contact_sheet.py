"""Contact sheets: many small images with a caption each, on one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

MARGIN, CAPTION = 4, 14  # pixels


def contact_sheet(images: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int = 8) -> NDArray[np.uint8]:
    """Lay images of one size out in rows, each over its caption.

    Args:
        images: `(height, width, 3)` uint8 each, one size.
        captions: One line each; cut where it is wider than the image.
        columns: Images in a row.

    Returns:
        `(height, width, 3)` uint8.

    Raises:
        ValueError: If there are no images.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    height, width = images[0].shape[:2]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell_width, cell_height = width + MARGIN, height + CAPTION + MARGIN
    sheet = Image.new("RGB", (columns * cell_width + MARGIN, rows * cell_height + MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = MARGIN + index % columns * cell_width, MARGIN + index // columns * cell_height
        sheet.paste(Image.fromarray(image), (left, top))
        while caption and font.getlength(caption) > width:
            caption = caption[:-1]
        draw.text((left, top + height), caption, fill="black", font=font)
    return np.asarray(sheet)
