"""Defect types: which type a network finds, and how often that is right."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fancnn.metrics.clusters import clustered_interval, natural_groups, unit_numbers
from fancnn.metrics.cross_entropy import softmax
from fancnn.metrics.intervals import Interval, exact_interval
from fancnn.metrics.predictions import Prediction, TypeGuess
from fancnn.metrics.thresholds import Thresholds


def guessed(outputs: ArrayLike, names: Sequence[str]) -> list[TypeGuess]:
    """Return the likeliest type of each image, were it NG.

    Args:
        outputs: `(n, k)` logits, GO first.
        names: Of the k outputs.

    Example:
        >>> guessed([[9.0, 0.0, 0.0, -9.0], [0.0, -50.0, 3.0, -50.0]], ["GO", "chip", "dent", "stain"])[1]
        TypeGuess(name='dent', share=1.0)
    """
    shares = softmax(np.asarray(outputs)[:, 1:])  # given NG: the logit of GO plays no part
    best = shares.argmax(axis=1)
    return [TypeGuess(names[1 + place], float(row[place])) for place, row in zip(best, shares, strict=True)]


@dataclass(frozen=True)
class Naming:
    """How the NG parts that were found are named.

    Attributes:
        right: With the right type.
        of: All that were found and whose type the model knows.
        confusion: True type, then found type: how many.
        interval: 95 %, of the share that is named rightly: exact, or with groups that of `clustered_interval`; None
            where none was found, or all are of one group.
    """

    right: int
    of: int
    confusion: dict[str, dict[str, int]]
    interval: Interval | None

    @property
    def found_names(self) -> list[str]:
        """Return the types that are true or found, in the order of names."""
        return sorted({*self.confusion, *(name for counts in self.confusion.values() for name in counts)})

    def to_dict(self) -> dict[str, Any]:
        """Return it as `metrics.json` has it."""
        share = self.right / self.of if self.of else None
        interval = None if self.interval is None else list(astuple(self.interval))
        return {
            "right": self.right,
            "of": self.of,
            "share": share,
            "interval": interval,
            "confusion": self.confusion,
        }


def naming(rows: Iterable[Prediction], thresholds: Thresholds) -> Naming | None:
    """Return how the NG parts above the upper threshold are named; None where rows say no types.

    Example:
        >>> rows = [
        ...     Prediction("a", 0.9, label=1, true_type="chip", found_type="chip"),
        ...     Prediction("b", 0.8, label=1, true_type="chip", found_type="dent"),
        ...     Prediction("c", 0.1, label=1, true_type="dent", found_type="chip"),
        ... ]
        >>> named = naming(rows, Thresholds.single(0.5))
        >>> named.right, named.of, named.confusion
        (1, 2, {'chip': {'chip': 1, 'dent': 1}, 'dent': {}})
    """
    rows = list(rows)
    known = [row for row in rows if row.label == 1 and row.true_type and row.found_type]
    if not known:
        return None
    rejected = [row for row in known if (row.probability or 0) > thresholds.upper]
    counts = Counter((row.true_type, row.found_type) for row in rejected)
    names = sorted({row.true_type for row in known})
    confusion = {true: {name: counts[true, name] for of, name in sorted(counts) if of == true} for true in names}
    grouped = natural_groups([row.group for row in rows]) is not None
    return Naming(sum(counts[name, name] for name in names), len(rejected), confusion, _interval(rejected, grouped))


def _interval(rejected: Sequence[Prediction], grouped: bool) -> Interval | None:
    right = np.array([row.true_type == row.found_type for row in rejected], dtype=np.int64)
    if not grouped:
        return exact_interval(int(right.sum()), right.size)
    units = unit_numbers([row.group for row in rejected], right.size)
    return clustered_interval(np.bincount(units, right), np.bincount(units))
