"""Where an image speaks for NG, found with the exported file alone: squares are covered, and the logit falls."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fancnn.images.letterbox import placed
from fancnn.inference.exported_model import BATCH_SIZE, ExportedModel

COLOUR = (255, 60, 0)
FULL = 0.5  # a fall of the logit by less than this is never shown in full colour: it may be noise
OPAQUE = 220


def occlusion_heat(model: ExportedModel, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how far the logit of NG falls where a square is covered (Zeiler and Fergus 2014, section 4.2).

    Squares have an eighth of the shorter side of what the network sees, and move by half of that; they are covered
    with the image's mean colour.

    Args:
        model: As the reader of files gives it.
        image: `(height, width, 3)`, uint8, RGB.

    Returns:
        `(h, w)`, 0 and above: for each pixel that the network sees of the image, the mean over the squares there.
    """
    fit = model.facts.preprocess
    seen = without_border(model.seen(image), (image.shape[0], image.shape[1]), fit["resize"], fit["reduce"])
    height, width = seen.shape[:2]
    window = max(2, min(height, width) // 8)
    corners = [(top, left) for top in _starts(height, window) for left in _starts(width, window)]
    color = seen.mean(axis=(0, 1)).round().astype(np.uint8)
    (whole,) = model.logits(seen[None])
    fall, times = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(corners), BATCH_SIZE):  # all at once would be some 200 images in memory
        some = corners[start : start + BATCH_SIZE]
        covered = np.repeat(seen[None], len(some), axis=0)
        for one, (top, left) in zip(covered, some, strict=True):
            one[top : top + window, left : left + window] = color
        for (top, left), logit in zip(some, model.logits(covered), strict=True):
            fall[top : top + window, left : left + window] += whole - logit
            times[top : top + window, left : left + window] += 1
    return (fall / times).clip(min=0)


def without_border(
    seen: NDArray[np.uint8], size: tuple[int, int], resize: str, reduce: int | None = None
) -> NDArray[np.uint8]:
    """Return what the network sees of an image, without the border that `pad` puts around it.

    Args:
        seen: `(h, w, 3)`, the network's input.
        size: Height and width of the image.
        resize: `squash` or `pad`.
        reduce: As of `fancnn.images.letterbox.placed`.

    Example:
        >>> without_border(np.zeros((80, 80, 3), np.uint8), (200, 100), "pad").shape
        (80, 40, 3)
    """
    if resize == "squash":
        return seen
    top, left, height, width = placed(size, (seen.shape[0], seen.shape[1]), reduce)
    return seen[top : top + height, left : left + width]


def heat_png(heat: NDArray[np.float64]) -> str:
    """Return the heat as a `data:` address of a PNG to lay over the image: the hotter, the less of it shows through."""
    alpha = heat / max(float(heat.max()), FULL) * OPAQUE
    pixels = np.dstack([*(np.full(heat.shape, level) for level in COLOUR), alpha.round()]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _starts(side: int, window: int) -> list[int]:
    last = max(side - window, 0)
    return sorted({*range(0, last, max(1, window // 2)), last})
