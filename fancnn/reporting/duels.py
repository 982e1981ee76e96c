"""Two models on the same pictures: what changes if the second takes the place of the first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fancnn.inspection.comparison import equal_overkill, flips, mcnemar, new_escapes, paired_difference
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import Interval, Sample, bootstrap_intervals
from fancnn.inspection.predictions import Prediction, columns
from fancnn.inspection.scores import Confusion, Scores, auroc, rates
from fancnn.reporting.contenders import Common, Contender, LeftOut

Difference = tuple[float | None, Interval | None]
"""Second less first, and where that may lie; None where undefined."""

CHANGES = ("new escape", "escape caught", "new overkill", "overkill gone", "now to RECHECK", "no longer to RECHECK")
VERDICTS = ("no new escapes", "new escapes", "not all compared")
RATES = ("accuracy", "f1", "escape_rate", "overkill_rate")


@dataclass(frozen=True)
class Change:
    """A picture that two models decide differently."""

    first: Prediction
    second: Prediction
    first_decision: str
    second_decision: str
    what: str


@dataclass(frozen=True)
class Equal:
    """The second model where it does to good parts what the first one does.

    Attributes:
        thresholds: Of the second model, the lowest that do not treat more good parts badly.
        overkills: Good parts that they reject.
        new_escapes: Bad parts that pass there and not the first model as it is.
        caught: The other way round.
    """

    thresholds: Thresholds
    overkills: int
    new_escapes: int
    caught: int


@dataclass(frozen=True)
class Duel:
    """What changes if `second` takes the place of `first`.

    Attributes:
        first: Letter of the model in use.
        second: Letter of the other.
        thresholds: Of both.
        ng: How many bad parts both have decided.
        changes: Every picture decided differently, the worst change first.
        counts: How many of each of `CHANGES`.
        mcnemar: How probable so uneven a difference in mistakes is by chance.
        differences: `auroc`, `accuracy`, `f1`, `escape_rate` and `overkill_rate`: second less first, and the 95 %
            interval of that by the paired bootstrap; None where undefined.
        overkills: Good parts that each of them rejects.
        equal: The second at equal overkill; None where no good part is common.
        left_out: Bad parts that the first decided and that are not compared.
    """

    first: str
    second: str
    thresholds: tuple[Thresholds, Thresholds]
    ng: int
    changes: tuple[Change, ...]
    counts: Mapping[str, int]
    mcnemar: float
    differences: Mapping[str, Difference]
    overkills: tuple[int, int]
    equal: Equal | None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def new_escapes(self) -> int:
        return self.counts["new escape"]

    @property
    def outcome(self) -> str | None:
        """One of `VERDICTS`; None where no bad part is common."""
        if not self.ng:
            return None
        return "new escapes" if self.new_escapes else "not all compared" if self.left_out else "no new escapes"


def duels(contenders: Sequence[Contender], common: Common) -> list[Duel]:
    """The first contender against each of the others."""
    first, *others = zip(contenders, common.rows, strict=True)
    found = [duel(*first, *other) for other in others]
    return [replace(item, left_out=_left_out(common, item.second)) for item in found]


def _left_out(common: Common, second: str) -> tuple[LeftOut, ...]:
    """The bad parts that a duel lacks, each once: those that its second model lacks, then those that another does."""
    ordered = sorted(common.left_out, key=lambda item: item.letter != second)
    once: dict[int, LeftOut] = {}
    for item in ordered:
        once.setdefault(id(item.row), item)  # a path may be there twice
    return tuple(once.values())


def duel(
    first: Contender, first_rows: Sequence[Prediction], second: Contender, second_rows: Sequence[Prediction]
) -> Duel:
    """Compare two; their rows are of the same pictures in the same order."""
    labels, of_first = columns(first_rows)
    _, of_second = columns(second_rows)
    ranks = [item.thresholds.ranks(chances) for item, chances in ((first, of_first), (second, of_second))]
    decided = [np.array(["GO", "RECHECK", "NG"])[rank] for rank in ranks]
    changes = _changes(first_rows, second_rows, *(list(map(str, decisions)) for decisions in decided))
    counts = Counter(change.what for change in changes)
    assert counts["new escape"] == new_escapes(labels, *decided).size
    groups = [row.group for row in first_rows]
    together = groups if all(groups) else None

    right = [~_wrong(labels, rank) for rank in ranks]
    return Duel(
        first=first.letter,
        second=second.letter,
        thresholds=(first.thresholds, second.thresholds),
        ng=int(labels.sum()),
        changes=changes,
        counts={what: counts[what] for what in CHANGES},
        mcnemar=mcnemar(*right),
        differences={
            "auroc": paired_difference(labels, of_first, of_second, auroc, together),
            **_rate_differences(labels, ranks, together),
        },
        overkills=(_rejected(labels, ranks[0]), _rejected(labels, ranks[1])),
        equal=_equal(labels, ranks[0], of_second),
    )


def _changes(
    first: Sequence[Prediction], second: Sequence[Prediction], first_decided: list[str], second_decided: list[str]
) -> tuple[Change, ...]:
    numbers = [str(number) for number in range(len(first))]  # of the pictures: paths may differ
    labels = [row.label for row in first]
    found = [
        Change(first[at], second[at], flip.first, flip.second, change(flip.label, flip.first, flip.second))
        for flip in flips(numbers, labels, first_decided, second_decided)
        for at in [int(flip.path)]
    ]
    return tuple(sorted(found, key=lambda item: (CHANGES.index(item.what), _surety(item), item.first.path)))


def _surety(change: Change) -> float:
    """Orders changes of one kind: the surest mistake of the second model first."""
    chance = change.second.probability or 0.0
    return {"new escape": chance, "new overkill": -chance}.get(change.what, 0.0)


def _rejected(labels: NDArray[np.int64], ranks: NDArray[np.int64]) -> int:
    return int(np.sum((labels == 0) & (ranks == 2)))


def _equal(labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.float64]) -> Equal | None:
    """The second's probabilities at equal overkill with the first's decisions."""
    looked_at = int(np.sum((labels == 0) & (first == 1)))
    thresholds = equal_overkill(second[labels == 0], _rejected(labels, first), looked_at)
    if thresholds is None:
        return None
    ranks, bad = thresholds.ranks(second), labels == 1
    escapes, caught = bad & (ranks == 0) & (first != 0), bad & (ranks != 0) & (first == 0)
    return Equal(thresholds, _rejected(labels, ranks), int(escapes.sum()), int(caught.sum()))


def change(label: int | None, first: str, second: str) -> str:
    """What it means that a part is decided differently; one of `CHANGES`.

    Example:
        >>> change(1, "NG", "GO"), change(0, "NG", "RECHECK"), change(1, "RECHECK", "NG")
        ('new escape', 'overkill gone', 'no longer to RECHECK')
    """
    mistake, gone = (("new escape", "escape caught"), ("new overkill", "overkill gone"))[0 if label == 1 else 1]
    wrong = "GO" if label == 1 else "NG"
    if second == wrong:
        return mistake
    if first == wrong:
        return gone
    return "now to RECHECK" if second == "RECHECK" else "no longer to RECHECK"


def _wrong(labels: NDArray[np.int64], ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Escapes and overkills; who looks at a RECHECK is taken to be right."""
    return np.asarray(((labels == 1) & (ranks == 0)) | ((labels == 0) & (ranks == 2)))


def _rate_differences(
    labels: NDArray[np.int64], ranks: Sequence[NDArray[np.int64]], groups: Sequence[str] | None
) -> dict[str, Difference]:
    """Of `RATES`, both models on the same draws; `ranks` are the decisions of each."""
    kinds = [3 * labels + rank for rank in ranks]

    def differences(sample: Sample) -> dict[str, float | None]:
        first, second = (_rates(np.bincount(kind[sample], minlength=6)) for kind in kinds)
        return {name: _less(second[name], first[name]) for name in RATES}

    intervals = bootstrap_intervals(differences, groups, labels.size)
    return {name: (value, intervals[name]) for name, value in differences(np.arange(labels.size)).items()}


def _rates(counts: NDArray[np.intp]) -> Scores:
    """Scores from counts of GO, then NG, by decision: GO, RECHECK, NG."""
    go_passed, go_rechecked, overkills, escapes, ng_rechecked, ng_found = counts.tolist()
    return rates(Confusion(ng_found, escapes, overkills, go_passed, ng_rechecked, go_rechecked))


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other
