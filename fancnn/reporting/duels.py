"""Two models on the same pictures: what changes if the second takes the place of the first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fancnn.inspection.comparison import flips, mcnemar, new_escapes, paired_difference
from fancnn.inspection.intervals import Interval, Sample, bootstrap_intervals
from fancnn.inspection.predictions import Prediction, columns
from fancnn.inspection.scores import Confusion, Scores, auroc, rates
from fancnn.reporting.contenders import Common, Contender
from fancnn.reporting.words import plural

Difference = tuple[float | None, Interval | None]
"""Second less first, and where that may lie; None where undefined."""

CHANGES = ("new escape", "escape caught", "new overkill", "overkill gone", "now to RECHECK", "no longer to RECHECK")
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
class Duel:
    """What changes if `second` takes the place of `first`.

    Attributes:
        first: Letter of the model in use.
        second: Letter of the other.
        changes: Every picture decided differently, the worst change first.
        counts: How many of each of `CHANGES`.
        mcnemar: How probable so uneven a difference in mistakes is by chance.
        differences: `auroc`, `accuracy`, `f1`, `escape_rate` and `overkill_rate`: second less first, and the 95 %
            interval of that by the paired bootstrap; None where undefined.
    """

    first: str
    second: str
    changes: tuple[Change, ...]
    counts: Mapping[str, int]
    mcnemar: float
    differences: Mapping[str, Difference]

    @property
    def new_escapes(self) -> int:
        return self.counts["new escape"]

    def verdict(self) -> str:
        """One sentence on what matters most."""
        caught = self.counts["escape caught"]
        if not self.new_escapes:
            also = f", and catches {caught} that {self.first} passes" if caught else ""
            return f"No new escapes: {self.second} passes no bad part that {self.first} does not pass{also}."
        number, parts = plural(self.new_escapes, "new escape"), plural(self.new_escapes, "bad part")
        other_way = f" ({caught} the other way round)" if caught else ""
        return f"{number}: {self.second} passes {parts} that {self.first} does not pass{other_way}."


def duels(contenders: Sequence[Contender], common: Common) -> list[Duel]:
    """The first contender against each of the others."""
    first, *others = zip(contenders, common.rows, strict=True)
    return [duel(*first, *other) for other in others]


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
        changes=changes,
        counts={what: counts[what] for what in CHANGES},
        mcnemar=mcnemar(*right),
        differences={
            "auroc": paired_difference(labels, of_first, of_second, auroc, together),
            **_rate_differences(labels, ranks, together),
        },
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
    return tuple(sorted(found, key=lambda item: (CHANGES.index(item.what), item.first.path)))


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
