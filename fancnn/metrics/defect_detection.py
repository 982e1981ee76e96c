"""Whether regions lie on the defects that masks show: of each image the hottest, of each defect any.

A region that is as large as the image lies on every defect. So what is found is held against chance: a box of the same
size anywhere on the image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.intervals import Interval, exact_interval

NEIGHBOURS = np.ones((3, 3), dtype=int)  # pixels of a defect touch at a side or a corner


@dataclass(frozen=True)
class DefectDetection:
    """What regions come to on images whose defects are known.

    Attributes:
        images: With a mask.
        pointed: Of these, the hottest region lies on a defect; an image decided GO has no region.
        pointed_interval: Of the share, 95 %; it takes images for independent.
        pointed_by_chance: Share of images in which a box of the size of that region, anywhere, lies on a defect.
        defects: Connected parts of masks.
        detected: Of these, some region lies on them; `found` in files that were written before.
        detected_interval: Of the share, 95 %; it takes defects for independent.
    """

    images: int
    pointed: int
    pointed_interval: Interval | None
    pointed_by_chance: float
    defects: int
    detected: int
    detected_interval: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a JSON file takes them; intervals are [low, high] or null."""
        plain = asdict(self)
        for name in ("pointed_interval", "detected_interval"):
            interval = getattr(self, name)
            plain[name] = None if interval is None else list(astuple(interval))
        return plain

    def in_words(self) -> str:
        """Return a sentence on each of both."""
        return (
            f"masks: the hottest region lies on the defect in {self.pointed} of {self.images} images"
            f"{_in_words(self.pointed_interval)}, by chance in {100 * self.pointed_by_chance:.1f} %; "
            f"{self.detected} of {self.defects} defects have a region on them{_in_words(self.detected_interval)}"
        )


def detected_defects(pairs: Iterable[tuple[Sequence[DefectRegion], NDArray[np.bool_]]]) -> DefectDetection:
    """Hold regions against masks.

    Args:
        pairs: Of each image its regions, the hottest first, and its mask, `(height, width)` of the stored image.

    Example:
        >>> mask = np.zeros((40, 60), bool)
        >>> mask[10, 10:14] = mask[30, 50] = True
        >>> result = detected_defects([([DefectRegion(8, 8, 16, 16, 12.0, 12.0, 0.9)], mask)])
        >>> result.pointed, result.detected, result.defects
        (1, 1, 2)
    """
    images = pointed = defects = detected = 0
    chances: list[float] = []
    for regions, mask in pairs:
        images += 1
        parts, count = label(mask, NEIGHBOURS)
        touched = {int(part) for one in regions for part in np.unique(_inside(parts, one))} - {0}
        defects, detected = defects + count, detected + len(touched)
        if regions:
            pointed += bool(_inside(mask, regions[0]).any())
            chances.append(chance_of_touching(mask, regions[0].height, regions[0].width))
        else:
            chances.append(0.0)
    return DefectDetection(
        images=images,
        pointed=pointed,
        pointed_interval=exact_interval(pointed, images),
        pointed_by_chance=float(np.mean(chances)) if chances else 0.0,
        defects=defects,
        detected=detected,
        detected_interval=exact_interval(detected, defects),
    )


def chance_of_touching(mask: NDArray[np.bool_], height: int, width: int) -> float:
    """Return the share of all places of a box of that size within the image at which it has a pixel of the mask."""
    height, width = min(height, mask.shape[0]), min(width, mask.shape[1])
    sums = np.pad(mask.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))  # of all pixels above and to the left
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return float((inside > 0).mean())


def _inside(values: NDArray[Any], one: DefectRegion) -> NDArray[Any]:
    return values[one.top : one.bottom, one.left : one.right]


def _in_words(interval: Interval | None) -> str:
    return "" if interval is None else f" ({100 * interval.low:.0f} to {100 * interval.high:.0f} %)"
