"""Copies of images with boxes around their defects, one beside the other as the images themselves lie."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from fancnn.errors import UserError
from fancnn.files.atomic_files import write_atomically
from fancnn.images.drawn_boxes import with_boxes
from fancnn.images.image_gate import ImageGate
from fancnn.images.reading import UnreadableImage, read_image
from fancnn.metrics.defect_regions import DefectRegion, size_in_words

CAPTIONS = 3  # of the hottest regions: more would cover the image
QUALITY = 92


class DrawnImages:
    """A folder of images with boxes.

    Args:
        folder: Where they are written, as JPEG files; one that was of another kind has `.jpg` after its name.
        paths: Of all images, which may lie in several folders.
        gate: What is let in.
    """

    def __init__(self, folder: str, paths: Sequence[Path], gate: ImageGate) -> None:
        self.folder, self.gate, self.count = Path(folder).expanduser(), gate, 0
        self._root = Path(os.path.commonpath([path.absolute().parent for path in paths]))

    def add(self, path: Path, regions: Sequence[DefectRegion], mm_per_pixel: float | None) -> None:
        """Write an image with its boxes; one that can no longer be read is left out.

        Raises:
            UserError: If it cannot be written.
        """
        try:
            image = read_image(path, gate=self.gate)
        except UnreadableImage:
            return
        captions = [f"{size_in_words(one, mm_per_pixel)}: {one.probability:.2f}" for one in regions[:CAPTIONS]]
        content = io.BytesIO()
        Image.fromarray(with_boxes(image, [one.box for one in regions], captions)).save(
            content, "JPEG", quality=QUALITY
        )
        own = path.absolute().relative_to(self._root)
        place = self.folder / (own if own.suffix.lower() in (".jpg", ".jpeg") else f"{own}.jpg")
        try:
            write_atomically(place, content.getvalue())
        except OSError as error:
            raise UserError(f"drawn={self.folder}: cannot write {place}: {error.strerror or error}") from error
        self.count += 1
