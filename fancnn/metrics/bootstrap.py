"""How sure a number of any kind of a small sample is: the bootstrap, of images or of whole groups."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fancnn.metrics.clusters import unit_numbers
from fancnn.metrics.intervals import Interval

Sample = NDArray[np.intp]
"""Indices of images, drawn with replacement: `(images,)`."""


def bootstrap_intervals(
    statistics: Callable[[Sample], Mapping[str, float | None]],
    groups: Sequence[str] | None,
    size: int,
    *,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Return the intervals of whatever can be computed from a sample: the seeded percentile bootstrap (Efron 1979).

    The same arguments give the same intervals.

    Args:
        statistics: Takes the indices of a sample, in [0, size), some more than once; gives named values, None
            where undefined. It is called `draws` times, and once with all images.
        groups: One name for each image, of the lot, panel or patient it is of, as in `unit_numbers`. Images of a group
            stay together: whole groups are drawn, and a sample's size varies.
        size: How many images there are.
        draws: How many samples.
        confidence: Share of the samples' values inside the interval; each side leaves out half of the rest.
        seed: Of the draws.

    Returns:
        An interval for each name. Samples where a value is undefined are left out; None where more than half
        are, and where fewer than two groups leave nothing to draw from.

    Raises:
        ValueError: If `draws` is below 1, `confidence` not in (0, 1), or `groups` has another length than `size`.

    Example:
        >>> heights = np.array([1.6, 1.7, 1.8, 1.9])
        >>> bootstrap_intervals(lambda sample: {"mean": heights[sample].mean()}, None, 4)["mean"]
        Interval(low=1.65, high=1.85)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share above 0 and below 1, e.g. 0.95")
    if draws < 1:
        raise ValueError(f"draws={draws}: expected at least 1, e.g. 1000")
    members = unit_numbers(groups, size)
    names = list(statistics(np.arange(size)))
    if size == 0 or members.max() == 0:
        return dict.fromkeys(names)
    samples = [statistics(sample) for sample in _samples(members, draws, seed)]
    return {name: _percentiles([values[name] for values in samples], confidence) for name in names}


def _samples(members: NDArray[np.intp], draws: int, seed: int) -> Iterator[Sample]:
    """Yield images of as many groups as there are, drawn with replacement."""
    generator = np.random.default_rng(seed)
    images, sizes = np.argsort(members, kind="stable"), np.bincount(members)
    starts = np.cumsum(sizes) - sizes
    for _ in range(draws):
        drawn = generator.integers(0, sizes.size, sizes.size)
        lengths = sizes[drawn]
        ends = np.cumsum(lengths)
        yield images[np.arange(ends[-1]) + np.repeat(starts[drawn] - (ends - lengths), lengths)]


def _percentiles(values: Sequence[float | None], confidence: float) -> Interval | None:
    defined = [value for value in values if value is not None]
    if 2 * len(defined) < len(values):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
