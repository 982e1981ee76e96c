"""Where the defect is: from the probabilities of an image's cells to boxes on the stored image.

Plain arithmetic on numpy arrays, since a line's computer that runs an exported file has neither torch nor scipy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fancnn.images.letterbox import placed
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.thresholds import Decision

# above it a cell is part of a region; cells are trained as if half of the hard ones were NG, and 0.5 boxes many more:
# on 43 scratched surfaces 4.1 boxes beside the hottest, which lay on the scratch in 42, and 0.2 above 0.9
CELL_THRESHOLD = 0.9
MOST_REGIONS = 100  # of an image, the hottest: more say no more than these
NEIGHBOURS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]


def defect_regions(
    cells: NDArray[np.floating],
    size: tuple[int, int],
    input_size: tuple[int, int],
    *,
    place: tuple[int, int, int, int] | None = None,
    threshold: float = CELL_THRESHOLD,
) -> tuple[DefectRegion, ...]:
    """Return the regions of an image that is not GO, the hottest first: cells above the threshold that touch.

    Where no cell is above it, the hottest one alone is the region: an image that is NG is so for some place.

    Args:
        cells: `(rows, columns)`, P(NG) of each; together they cover the network's input evenly.
        size: Height and width of the stored image, pixels.
        input_size: Of the network's input.
        place: Top, left, height and width of the image in the input, as `Preprocess.place` has them; cells beside it
            are none of the image. None where it fills the input.
        threshold: A cell is hot above it.

    Returns:
        From 1 to `MOST_REGIONS`. Cells touch at a side or a corner.

    Example:
        >>> cells = np.zeros((4, 4))
        >>> cells[1, 2] = cells[1, 3] = 0.95
        >>> defect_regions(cells, (100, 200), (32, 32))
        (DefectRegion(left=100, top=25, right=200, bottom=50, x=150.0, y=37.5, probability=0.95),)
    """
    top, left, height, width = place or (0, 0, *input_size)
    rows = _Axis.of(cells.shape[0], input_size[0], top, height, size[0])
    columns = _Axis.of(cells.shape[1], input_size[1], left, width, size[1])
    inside = np.where(rows.inside[:, None] & columns.inside, cells.astype(np.float64), -1.0)
    groups = _connected(inside > threshold) or [[divmod(int(inside.argmax()), inside.shape[1])]]
    regions = [_region(inside, group, rows, columns) for group in groups]
    return tuple(sorted(regions, key=lambda region: (-region.probability, region.top, region.left))[:MOST_REGIONS])


def located(
    cells: NDArray[np.floating] | None,
    decision: Decision,
    size: tuple[int, int],
    preprocess: Mapping[str, Any],
    threshold: float,
) -> tuple[DefectRegion, ...] | None:
    """Return the regions of a decided image: none where it is GO, and None where the network has no cells.

    Args:
        cells: As in `defect_regions`; None where the network has none.
        decision: On the image.
        size: Likewise.
        preprocess: The keys of `PreprocessSettings`: how the image became the network's input.
        threshold: Likewise.
    """
    if cells is None or decision == "GO":
        return None if cells is None else ()
    height, width = preprocess["image_size"]
    pads = preprocess["resize"] == "pad"
    place = placed(size, (height, width), preprocess["reduce"]) if pads else None
    return defect_regions(cells, size, (height, width), place=place, threshold=threshold)


@dataclass(frozen=True)
class _Axis:
    """The cells along one side of an image: where they begin, end and have their middle, and which are on it at all."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    middles: NDArray[np.float64]
    inside: NDArray[np.bool_]

    @staticmethod
    def of(count: int, input_side: int, offset: int, inner: int, side: int) -> "_Axis":
        """Return `count` cells over an input, `inner` pixels of which, from `offset` on, are `side` of the image.

        In whole numbers: a box ends where a cell ends, and not a pixel later for the last bit of a float.
        """
        unit = inner * count  # so many of these are a pixel
        edges = (np.arange(count + 1, dtype=np.int64) * input_side - offset * count) * side
        low, high = edges[:-1].clip(0, unit * side), edges[1:].clip(0, unit * side)
        return _Axis(low // unit, -(-high // unit), (low + high) / (2 * unit), low < high)


def _connected(hot: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Return the cells of each region."""
    remaining = set(zip(*(places.tolist() for places in np.nonzero(hot)), strict=True))
    groups = []
    while remaining:
        group = [remaining.pop()]
        for row, column in group:  # which grows meanwhile
            touching = {(row + down, column + right) for down, right in NEIGHBOURS} & remaining
            remaining -= touching
            group += touching
        groups.append(sorted(group))
    return groups


def _region(cells: NDArray[np.float64], group: Sequence[tuple[int, int]], rows: _Axis, columns: _Axis) -> DefectRegion:
    down, right = np.array(group).T
    probabilities = cells[down, right]
    weights = probabilities if probabilities.sum() > 0 else np.ones(len(group))
    return DefectRegion(
        left=int(columns.begins[right].min()),
        top=int(rows.begins[down].min()),
        right=int(columns.ends[right].max()),
        bottom=int(rows.ends[down].max()),
        x=round(float(np.average(columns.middles[right], weights=weights)), 1),
        y=round(float(np.average(rows.middles[down], weights=weights)), 1),
        probability=round(float(probabilities.max()), 6),
    )
