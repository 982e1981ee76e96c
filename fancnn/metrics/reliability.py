"""Whether probabilities come true: of the parts given 0.3, three in ten should be NG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.clusters import clustered_interval, unit_numbers
from fancnn.metrics.intervals import Interval, exact_interval


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose probability is in [low, high), or [low, 1] in the last bin.

    Args:
        low: Lower edge.
        high: Upper edge.
        count: Images, at least 1.
        mean_probability: Of these images.
        ng_rate: Share of them that are NG; equal to `mean_probability` where probabilities mean what they say.
        interval: 95 % interval of `ng_rate`: exact, or with groups that of `clustered_interval`; 0 to 1 where all are
            of one group.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    ng_rate: float
    interval: Interval


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10, groups: Sequence[str] | None = None
) -> list[ReliabilityBin]:
    """Return the promised beside observed, over bins of equal width, ascending; empty bins are left out.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        probabilities: `(images,)`, P(NG) in [0, 1].
        bins: How many the range is cut into.
        groups: `(images,)`, what is taken for independent; None: each image.

    Raises:
        ValueError: If `bins` is below 1.

    Example:
        >>> [(part.low, part.count, part.ng_rate) for part in reliability([0, 1, 1], [0.1, 0.9, 1.0], bins=2)]
        [(0.0, 1, 0.0), (0.5, 2, 1.0)]
    """
    truth, probs = np.asarray(labels).astype(np.int64), np.asarray(probabilities, dtype=np.float64)
    places = bin_numbers(probs, bins)
    units = None if groups is None else unit_numbers(groups, truth.size)
    inside = [(number, places == number) for number in np.unique(places)]
    return [_bin(number, bins, truth[of], probs[of], None if units is None else units[of]) for number, of in inside]


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float | None:
    """Return the mean distance of promised and observed, weighted by the images of a bin (Naeini et al. 2015).

    Of P(NG) in [0, 1], as the bins of `reliability`; not of the confidence in [0.5, 1] of whichever class won, as
    in Guo et al. 2017. None without images.

    Raises:
        ValueError: If `bins` is below 1.

    Example:
        >>> expected_calibration_error([1, 1, 0, 1], [0.75, 0.75, 0.75, 0.75])
        0.0
    """
    probs = np.asarray(probabilities, dtype=np.float64)
    if probs.size == 0:
        return None
    # the weighted distance of a bin's two means is the distance of its sums
    gaps = np.bincount(bin_numbers(probs, bins), weights=probs - np.asarray(labels))
    return float(np.abs(gaps).sum() / probs.size)


def bin_numbers(probabilities: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """Return each probability's bin, from 0: bins are equally wide, an edge is in the bin above it, and 1 in the last.

    Raises:
        ValueError: If `bins` is below 1.

    Example:
        >>> bin_numbers(np.array([0.0, 0.09, 0.1, 1.0]), bins=10).tolist()
        [0, 0, 1, 9]
    """
    if bins < 1:
        raise ValueError(f"bins={bins}: expected at least 1, e.g. 10")
    inner_edges = np.arange(1, bins) / bins
    return np.searchsorted(inner_edges, probabilities, side="right")


def _bin(
    number: int,
    bins: int,
    truth: NDArray[np.int64],
    probs: NDArray[np.float64],
    units: NDArray[np.intp] | None,
) -> ReliabilityBin:
    ng, count = int(truth.sum()), len(truth)
    if units is None:
        interval = exact_interval(ng, count)
    else:
        interval = clustered_interval(np.bincount(units, truth), np.bincount(units))
    return ReliabilityBin(
        low=float(number / bins),
        high=float((number + 1) / bins),
        count=count,
        mean_probability=float(probs.mean()),
        ng_rate=ng / count,
        interval=interval or Interval(0.0, 1.0),
    )
