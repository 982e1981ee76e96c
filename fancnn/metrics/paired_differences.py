"""How much better a second model scores on the same images, with intervals that never have zero width.

The percentile bootstrap of the difference knows only what is among the images: with five NG parts that both models
catch it says that the difference is 0 and cannot be anything else. Here each image's influence on the difference is
computed (DeLong et al. 1988 for AUROC, with groups as in Obuchowski 1997; the delta method for rates and F1), summed
by group, and two units are added that nobody has seen: one that the first model alone gets wrong, and one that the
second alone does. For rates without groups that is the interval of Bonett and Price (2012) with Student's t.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student_t

from fancnn.metrics.clusters import unit_numbers
from fancnn.metrics.intervals import Interval
from fancnn.metrics.score_differences import validate_lengths

RATES = ("accuracy", "f1", "escape_rate", "overkill_rate")
# An NG part that only one model misses altogether scores there as GO parts do: its placement falls from 1 to a half.
UNSEEN_PLACEMENT = 0.5
# Half a unit each way in either class: F1 counts mistakes of both, and a whole one in each would be two.
UNSEEN_F1 = 0.5**0.5


@dataclass(frozen=True)
class Difference:
    """Return the second model's score less the first's; None where undefined, or with fewer than two units.

    Attributes:
        value: The difference.
        interval: Where it may lie; it holds `value` and stays within -1 and 1.
    """

    value: float | None
    interval: Interval | None


UNDEFINED = Difference(None, None)


def auroc_difference(
    labels: ArrayLike,
    first_probabilities: ArrayLike,
    second_probabilities: ArrayLike,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Difference:
    """Return the difference of the areas under the ROC curves (DeLong, DeLong and Clarke-Pearson 1988, adjusted).

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        first_probabilities: `(images,)`, P(NG) of the first model.
        second_probabilities: `(images,)`, P(NG) of the second.
        groups: Kept together, as in `unit_numbers`.
        confidence: Of the interval, in (0, 1).

    Raises:
        ValueError: If labels, probabilities or groups have different lengths.

    Example:
        >>> difference = auroc_difference([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9], [0.1, 0.2, 0.8, 0.9])
        >>> difference.value, difference.interval.low < 0.25 < difference.interval.high
        (0.25, True)
    """
    ng = np.asarray(labels) == 1
    first, second = (np.asarray(p, dtype=np.float64) for p in (first_probabilities, second_probabilities))
    validate_lengths(ng, first, second)
    units = unit_numbers(groups, ng.size)
    if ng.all() or not ng.any():
        return UNDEFINED
    (ng_first, go_first), (ng_second, go_second) = (_placements(p[ng], p[~ng]) for p in (first, second))
    moved = {True: ng_second - ng_first, False: go_second - go_first}
    value = float(moved[True].mean())

    influence = np.zeros(ng.size)
    unseen = []
    for is_ng, move in moved.items():
        of_class = ng == is_ng
        count = len(np.unique(units[of_class]))
        shrink = count / (count + 2)  # so many units of those counted are real
        influence[of_class] = (move - value) / move.size * shrink
        unseen.append(np.array([1, -1]) * UNSEEN_PLACEMENT / (count + 2))
    return _difference(value, value, influence, (ng, ~ng), unseen, units, confidence)


def rate_differences(
    labels: ArrayLike,
    first_ranks: ArrayLike,
    second_ranks: ArrayLike,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> dict[str, Difference]:
    """Return the differences of `RATES`.

    Args:
        labels: `(images,)`, 0 GO and 1 NG.
        first_ranks: `(images,)`, decisions of the first model: 0 GO, 1 RECHECK, 2 NG. Who looks at a RECHECK is taken
            to be right.
        second_ranks: `(images,)`, of the second.
        groups: Kept together, as in `unit_numbers`.
        confidence: Of the intervals, in (0, 1).

    Raises:
        ValueError: If labels, ranks or groups have different lengths.

    Example:
        >>> difference = rate_differences([0, 0, 1, 1, 1], [0, 0, 2, 2, 2], [0, 0, 2, 2, 2])["escape_rate"]
        >>> difference.value, difference.interval.high > 0.5  # three parts leave much open
        (0.0, True)
    """
    ng, first, second = np.asarray(labels) == 1, np.asarray(first_ranks), np.asarray(second_ranks)
    validate_lengths(ng, first, second)
    units = unit_numbers(groups, ng.size)
    wrong = [np.where(ng, ranks == 0, ranks == 2) for ranks in (first, second)]
    more_wrong = wrong[1].astype(np.float64) - wrong[0]
    return {
        "accuracy": _mean(-more_wrong, units, confidence),
        "f1": _f1(ng, wrong, units, confidence),
        "escape_rate": _mean(more_wrong[ng], units[ng], confidence),
        "overkill_rate": _mean(more_wrong[~ng], units[~ng], confidence),
    }


def _mean(moved: NDArray[np.float64], units: NDArray[np.intp], confidence: float) -> Difference:
    """Return the difference of a share, to which each image adds -1, 0 or 1 (Bonett and Price 2012, by units)."""
    if not moved.size:
        return UNDEFINED
    value, count = float(moved.mean()), len(np.unique(units))
    shrink = count / (count + 2)
    centre = value * shrink
    influence = (moved - centre) / moved.size * shrink
    unseen = (np.array([1, -1]) - centre) / (count + 2)  # of the mean size of a unit
    return _difference(value, centre, influence, (np.ones(moved.size, bool),), [unseen], units, confidence)


def _f1(
    ng: NDArray[np.bool_], wrong: Sequence[NDArray[np.bool_]], units: NDArray[np.intp], confidence: float
) -> Difference:
    """Return the difference of F1 = 2 caught / (caught + NG + overkills).

    Its interval uses the derivatives at counts to which unseen mistakes were added.
    """
    if not ng.any():
        return UNDEFINED
    ng_size, go_size = (UNSEEN_F1 * _mean_size(units[of_class]) for of_class in (ng, ~ng))
    scores, centres, influences, of_ng, of_go = [], [], [], [], []
    for mistakes, first in zip(wrong, (True, False), strict=True):
        caught, overkill = ng & ~mistakes, ~ng & mistakes
        scores.append(2 * caught.sum() / (caught.sum() + ng.sum() + overkill.sum()))
        # two unseen units of each class, of which each model gets one wrong
        total = caught.sum() + ng_size + ng.sum() + 2 * ng_size + overkill.sum() + go_size
        score = 2 * (caught.sum() + ng_size) / total
        centres.append(score)
        influences.append((2 * caught - score * (1.0 * caught + overkill + ng)) / total)
        # F1 of the first falls by the first unseen unit, F1 of the second by the second
        right = np.array([not first, first])
        of_ng.append((2 * right - score * (1.0 * right + 1)) * ng_size / total)
        of_go.append(-score * ~right * go_size / total)
    value, centre = (float(pair[1] - pair[0]) for pair in (scores, centres))
    classes, unseen = ((ng, ~ng), [of_ng[1] - of_ng[0], of_go[1] - of_go[0]])
    return _difference(value, centre, influences[1] - influences[0], classes, unseen, units, confidence)


def _mean_size(units: NDArray[np.intp]) -> float:
    return units.size / len(np.unique(units)) if units.size else 0.0


def _difference(
    value: float,
    centre: float,
    influence: NDArray[np.float64],
    classes: Sequence[NDArray[np.bool_]],
    unseen: Sequence[NDArray[np.float64]],
    units: NDArray[np.intp],
    confidence: float,
) -> Difference:
    """Return the difference with an interval from each image's influence, summed by unit.

    To that, the influence of the unseen units of each class is added.
    """
    present = [of_class for of_class in classes if of_class.any()]
    counts = [len(np.unique(units[of_class])) for of_class in present]
    if min(counts) < 2:
        return Difference(value, None)
    variance = float(np.sum(np.bincount(units, influence) ** 2) + sum(np.sum(moved**2) for moved in unseen))

    # degrees of freedom by class (Satterthwaite 1946): the rarer class has few, however many the other has
    of_classes = [
        float(np.sum(np.bincount(units[of_class], influence[of_class]) ** 2) + np.sum(moved**2))
        for of_class, moved in zip(classes, unseen, strict=True)
        if of_class.any()
    ]
    freedom = sum(of_classes) ** 2 / sum(v**2 / (count + 1) for v, count in zip(of_classes, counts, strict=True))
    half = float(student_t.ppf((1 + confidence) / 2, freedom)) * variance**0.5
    low, high = max(-1.0, min(value, centre - half)), min(1.0, max(value, centre + half))
    return Difference(value, Interval(low, high))


def _placements(ng: NDArray[np.float64], go: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for NG parts the share of GO parts below each, for GO parts that of NG parts above; ties count half."""
    below, above = _share_below(ng, go), 1 - _share_below(go, ng)
    return below, above


def _share_below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(others)
    return np.asarray(
        (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / (2 * ordered.size)
    )
