"""How large the images of a folder are, before any is decoded."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median_low

from fancnn.images.image_gate import ImageGate
from fancnn.images.letterbox import reduced_size
from fancnn.images.parallel_map import parallel_map
from fancnn.images.reading import upright_size
from fancnn.images.unreadable import UnreadableImage


def common_size(files: Sequence[Path], reduce: int, gate: ImageGate) -> tuple[int, int]:
    """Return the height and width that hold each image when it is reduced so much, pixels.

    Files that cannot be read do not count: whoever decodes them says so.

    Raises:
        ValueError: If none can be read.
    """
    reduced = [reduced_size(size, reduce) for size in set(_sizes(files, gate))]
    return max(height for height, _ in reduced), max(width for _, width in reduced)


def typical_size(files: Sequence[Path], gate: ImageGate) -> tuple[int, int]:
    """Return the median height and the median width of images, pixels; of two in the middle the smaller one.

    Raises:
        ValueError: If none can be read.
    """
    heights, widths = zip(*_sizes(files, gate), strict=True)
    return median_low(heights), median_low(widths)


def _sizes(files: Sequence[Path], gate: ImageGate) -> list[tuple[int, int]]:
    sizes = [size for size in parallel_map(files, lambda file: _size(file, gate)) if size is not None]
    if not sizes:
        raise ValueError("none of the images can be read")
    return sizes


def _size(file: Path, gate: ImageGate) -> tuple[int, int] | None:
    try:
        return upright_size(file, gate)
    except UnreadableImage:
        return None
