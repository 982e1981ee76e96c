"""Places of an image that hold a defect: what a network that judges by cells says besides its decision.

All coordinates are pixels of the image as it is stored and shown upright, from its upper left corner; `mm_per_pixel`
(`data.mm_per_pixel`) makes millimetres of them. How they follow from the cells: `fancnn.decisions.defect_boxes`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_WHOLE, _PIXELS = r"(\d{1,7})", r"(\d{1,7}(?:\.\d{1,6})?)"
_REGION = re.compile(
    rf"{_WHOLE},{_WHOLE} to {_WHOLE},{_WHOLE} at {_PIXELS},{_PIXELS}: (0(?:\.\d{{1,9}})?|1(?:\.0{{1,9}})?)", re.ASCII
)


@dataclass(frozen=True)
class DefectRegion:
    """Hot cells that touch one another.

    Attributes:
        left: First column of pixels that they cover.
        top: First row.
        right: The column after the last.
        bottom: The row after the last.
        x: Of their middle, each cell weighted by its probability; likewise `y`.
        probability: P(NG) of the hottest of them.
    """

    left: int
    top: int
    right: int
    bottom: int
    x: float
    y: float
    probability: float

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom


def as_text(regions: Iterable[DefectRegion]) -> str:
    """Return regions as a table has them: left,top to right,bottom at the middle: probability.

    Example:
        >>> as_text([DefectRegion(8, 16, 24, 24, 15.2, 20.0, 0.93)])
        '8,16 to 24,24 at 15.2,20: 0.93'
    """
    return "; ".join(map(_as_text, regions))


def _as_text(one: DefectRegion) -> str:
    box = f"{one.left},{one.top} to {one.right},{one.bottom}"
    return f"{box} at {one.x:.10g},{one.y:.10g}: {f'{one.probability:.6f}'.rstrip('0').rstrip('.')}"


def regions_from_text(text: str) -> tuple[DefectRegion, ...]:
    """Return the regions that `as_text` wrote.

    Raises:
        ValueError: If it is no such text, or a region is empty.
    """
    regions = []
    for item in text.split(";") if text.strip() else ():
        if (found := _REGION.fullmatch(item.strip())) is None:
            raise ValueError(f"{item.strip()[:60]!r} is none: expected left,top to right,bottom at x,y: probability")
        left, top, right, bottom = map(int, found.groups()[:4])
        x, y, probability = map(float, found.groups()[4:])
        if not (left < right and top < bottom):
            raise ValueError(f"{item.strip()[:60]!r} is empty")
        regions.append(DefectRegion(left, top, right, bottom, x, y, probability))
    return tuple(regions)


def size_in_words(region: DefectRegion, mm_per_pixel: float | None = None) -> str:
    """Return the size of a region in pixels, and in millimetres where these are known.

    Example:
        >>> size_in_words(DefectRegion(8, 16, 24, 24, 15.2, 20.0, 0.93), 0.05)
        '16x8 px, 0.8x0.4 mm'
    """
    pixels = f"{region.width}x{region.height} px"
    if mm_per_pixel is None:
        return pixels
    return f"{pixels}, {_mm(region.width * mm_per_pixel)}x{_mm(region.height * mm_per_pixel)} mm"


def place_in_words(regions: Sequence[DefectRegion], mm_per_pixel: float | None = None) -> str:
    """Return size and middle of the hottest region, and how many more there are; empty where there is none.

    Example:
        >>> place_in_words([DefectRegion(8, 16, 24, 24, 15.2, 20.0, 0.93)] * 3)
        '16x8 px at 15, 20, and 2 more'
    """
    if not regions:
        return ""
    more = f", and {len(regions) - 1} more" if len(regions) > 1 else ""
    return f"{size_in_words(regions[0], mm_per_pixel)} at {regions[0].x:.0f}, {regions[0].y:.0f}{more}"


def _mm(length: float) -> str:
    return f"{length:.3g}" if length < 1000 else f"{length:.0f}"
