"""What every threshold would do: ROC, precision by recall, and the rates of mistakes, with where they may lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.bootstrap import Sample, bootstrap_intervals
from fancnn.metrics.clusters import clustered_interval, unit_numbers
from fancnn.metrics.intervals import Interval, exact_interval

Values = NDArray[np.float64]
GRID = np.linspace(0.0, 1.0, 51)


@dataclass(frozen=True)
class Band:
    """Where a curve may lie: `low` to `high` at each `x`, arrays of one length; x may be without some of the grid."""

    x: Values
    low: Values
    high: Values


@dataclass(frozen=True)
class RankingCurves:
    """ROC and precision by recall over all thresholds, from the strictest to the one that rejects every part.

    Attributes:
        overkill_rate: `(n,)`, rising from 0 to 1.
        recall: `(n,)`, rising from 0 to 1.
        precision: `(n,)`; 1 where nothing is rejected.
        roc_band: 95 % bootstrap band of recall, pointwise, by overkill rate.
        precision_band: 95 % bootstrap band of precision, pointwise, by recall.
    """

    overkill_rate: Values
    recall: Values
    precision: Values
    roc_band: Band
    precision_band: Band


def ranking_curves(
    labels: ArrayLike, probabilities: ArrayLike, groups: Sequence[str] | None = None, draws: int = 300, seed: int = 0
) -> RankingCurves | None:
    """Return the curves of `RankingCurves`; None without images of both classes.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        probabilities: `(images,)`, P(NG).
        groups: Kept together in the draws, as in `bootstrap_intervals`.
        draws: Of the bootstrap.
        seed: Of the draws.

    Example:
        >>> curves = ranking_curves([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9])
        >>> curves.overkill_rate.tolist(), curves.recall.tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    truth, probs = np.asarray(labels).astype(np.int64), np.asarray(probabilities, dtype=np.float64)
    if not 0 < truth.sum() < truth.size:
        return None
    values, places = np.unique(probs, return_inverse=True)
    cells = 2 * places + truth

    def rates(sample: Sample) -> tuple[Values, Values, Values]:
        go, ng = np.bincount(cells[sample], minlength=2 * values.size).reshape(-1, 2)[::-1].T
        go, ng = np.concatenate([[0], np.cumsum(go)]), np.concatenate([[0], np.cumsum(ng)])
        precision = np.where(go + ng > 0, ng / np.maximum(go + ng, 1), 1.0)
        return go / max(go[-1], 1), ng / max(ng[-1], 1), precision

    def on_grid(sample: Sample) -> Mapping[str, float | None]:
        false, caught, precision = rates(sample)
        if caught[-1] == 0 or false[-1] == 0:
            return dict.fromkeys(f"{curve} {i}" for curve in ("roc", "pr") for i in range(GRID.size))
        roc = caught[np.searchsorted(false, GRID, side="right") - 1]
        pr = precision[np.searchsorted(caught, GRID - 1e-12, side="left")]
        return {f"{name} {i}": float(y) for name, ys in (("roc", roc), ("pr", pr)) for i, y in enumerate(ys)}

    bands = bootstrap_intervals(on_grid, groups, truth.size, draws=draws, seed=seed)
    # nothing is found at a recall of 0, and precision says nothing there
    return RankingCurves(*rates(np.arange(truth.size)), _band(bands, "roc", 0), _band(bands, "pr", 1))


@dataclass(frozen=True)
class ThresholdCurves:
    """Shares of parts by threshold, each with its 95 % band, pointwise; None without parts of the class.

    Bands are exact for independent parts; with groups they are those of `clustered_interval`, and 0 to 1 where all
    parts of the class are of one group.

    Steps: what holds at a threshold holds up to the next one.

    Attributes:
        thresholds: `(n,)`, rising from 0 to 1: every probability there is, since the shares change there and nowhere
            else.
        escape: Share of NG parts up to the threshold: what passes if it is the lower one.
        overkill: Share of GO parts above the threshold: what is rejected if it is the upper one.
        up_to: Share of all parts up to the threshold.
    """

    thresholds: Values
    escape: tuple[Values, Band] | None
    overkill: tuple[Values, Band] | None
    up_to: Values


def threshold_curves(
    labels: ArrayLike, probabilities: ArrayLike, points: int = 200, groups: Sequence[str] | None = None
) -> ThresholdCurves:
    """Compute the curves of `ThresholdCurves`, their bands at up to `points` of the thresholds.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        probabilities: `(images,)`, P(NG).
        points: At most so many thresholds have bands.
        groups: `(images,)`, what is taken for independent; None: each image.

    Example:
        >>> curves = threshold_curves([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9])
        >>> curves.thresholds.tolist()
        [0.0, 0.1, 0.4, 0.6, 0.9, 1.0]
        >>> curves.escape[0].tolist()
        [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    """
    truth, probs = np.asarray(labels).astype(bool), np.asarray(probabilities, dtype=np.float64)
    places = np.unique(np.concatenate([[0.0], probs, [1.0]]))
    banded = np.unique(np.linspace(0, places.size - 1, points).round().astype(int))
    passed_ng, passed_go = (np.searchsorted(np.sort(probs[of]), places, side="right") for of in (truth, ~truth))
    ng, go = int(truth.sum()), int((~truth).sum())
    units = None if groups is None else unit_numbers(groups, truth.size)
    of_ng, of_go = ((probs[of], None if units is None else units[of]) for of in (truth, ~truth))
    return ThresholdCurves(
        thresholds=places,
        escape=_with_band(places, passed_ng, banded, *of_ng, above=False),
        overkill=_with_band(places, go - passed_go, banded, *of_go, above=True),
        up_to=(passed_ng + passed_go) / max(ng + go, 1),
    )


def _band(intervals: Mapping[str, Interval | None], name: str, first: int) -> Band:
    on_grid = [(x, intervals[f"{name} {i}"]) for i, x in enumerate(GRID) if i >= first]
    known = [(x, interval.low, interval.high) for x, interval in on_grid if interval is not None]
    return Band(*np.array(known, np.float64).reshape(-1, 3).T)


def _with_band(
    places: Values,
    counts: NDArray[np.intp],
    banded: NDArray[np.int_],
    probs: Values,
    units: NDArray[np.intp] | None,
    *,
    above: bool,
) -> tuple[Values, Band] | None:
    """Return the share of the parts up to each place, or above it, and its band."""
    total = probs.size
    if not total:
        return None
    if units is None:
        exact = {count: exact_interval(count, total) for count in set(counts[banded].tolist())}
        intervals = [exact[count] for count in counts[banded].tolist()]
    else:
        totals = np.bincount(units)
        hits = ((probs > place) if above else (probs <= place) for place in places[banded])
        intervals = [clustered_interval(np.bincount(units[hit], minlength=totals.size), totals) for hit in hits]
    known = [interval or Interval(0, 1) for interval in intervals]
    low, high = (np.array([getattr(interval, side) for interval in known]) for side in ("low", "high"))
    return counts / total, Band(places[banded], low, high)
