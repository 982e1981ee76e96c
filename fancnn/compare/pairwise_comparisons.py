"""Two models on the same images: what changes if the second takes the place of the first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fancnn.compare.candidates import Candidate, CommonImages, Excluded
from fancnn.metrics.paired_differences import Difference, auroc_difference, rate_differences
from fancnn.metrics.predictions import Prediction, columns
from fancnn.metrics.replacement import NewMistakes, Verdict, new_mistakes, verdict_on
from fancnn.metrics.score_differences import equal_overkill, holm, mcnemar, new_escapes, new_overkills
from fancnn.metrics.thresholds import DECISIONS, Thresholds

FLIP_KINDS = ("new escape", "escape caught", "new overkill", "overkill gone", "now to RECHECK", "no longer to RECHECK")


@dataclass(frozen=True)
class Flip:
    """An image that two models decide differently; `kind` is one of `FLIP_KINDS`."""

    first: Prediction
    second: Prediction
    first_decision: str
    second_decision: str
    kind: str


@dataclass(frozen=True)
class EqualOverkill:
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
class PairwiseComparison:
    """What changes if `second` takes the place of `first`.

    Attributes:
        first: Letter of the model in use.
        second: Letter of the other.
        thresholds: Of both.
        images: How many both have decided, GO and NG.
        flips: Every image decided differently, the worst flip first.
        counts: How many of each of `FLIP_KINDS`.
        new_escapes: What share of NG parts pass the second and not the first.
        new_overkills: What share of GO parts the second rejects and the first does not.
        mcnemar: How probable so uneven a difference in mistakes is by chance.
        mcnemar_adjusted: The same, corrected for how many models are compared with the first (Holm).
        differences: `auroc`, `accuracy`, `f1`, `escape_rate` and `overkill_rate`: second less first.
        overkills: Good parts that each of them rejects.
        rechecked: Images that each of them sends to a person.
        equal: The second at equal overkill; None where no good part is common.
        unit: What bounds, tests and intervals count as independent: `image`, `part` or `group`.
        models: How many models are compared with the first: what is stated of them holds together.
        confidence: Of that.
        excluded: Parts that the first decided and that are not compared, bad ones first.
        trained_on: How many of the images trained the second model.
        noun: What is compared: `image`, or `part` where there are several images of one.
    """

    first: str
    second: str
    thresholds: tuple[Thresholds, Thresholds]
    images: int
    flips: tuple[Flip, ...]
    counts: Mapping[str, int]
    new_escapes: NewMistakes
    new_overkills: NewMistakes
    mcnemar: float
    mcnemar_adjusted: float
    differences: Mapping[str, Difference]
    overkills: tuple[int, int]
    rechecked: tuple[int, int]
    equal: EqualOverkill | None
    unit: str
    models: int
    confidence: float
    excluded: tuple[Excluded, ...] = ()
    trained_on: int = 0
    noun: str = "image"

    @property
    def verdict(self) -> Verdict:
        """Return what it came to, as `verdict_on` has it."""
        return verdict_on(
            self.new_escapes,
            self.new_overkills,
            overkills_gone=self.counts["overkill gone"],
            excluded=len(self.excluded),
            trained_on=self.trained_on,
        )

    @property
    def mistakes_differ(self) -> bool:
        """Return whether mistakes differ by more than chance, at the comparison's confidence."""
        return self.mcnemar_adjusted < 1 - self.confidence

    @property
    def second_is_worse(self) -> bool:
        """Return whether the second ranks parts worse, or makes more mistakes, by more than chance explains."""
        accuracy, auroc = self.differences["accuracy"].value, self.differences["auroc"].interval
        more_mistakes = self.mistakes_differ and accuracy is not None and accuracy < 0
        return more_mistakes or (auroc is not None and auroc.high < 0)


def pairwise_comparisons(
    candidates: Sequence[Candidate],
    common: CommonImages,
    *,
    new_escape_rate: float | None = None,
    new_overkill_rate: float | None = None,
    confidence: float = 0.95,
) -> list[PairwiseComparison]:
    """Compare the first candidate with each of the others.

    Args:
        candidates: The models, the one in use first.
        common: Their decisions on the same images.
        new_escape_rate: Share of NG parts that may be new escapes; None where not given.
        new_overkill_rate: Share of GO parts that may be new overkills; None where not given.
        confidence: Of everything that is stated of new escapes, of new overkills, and of each difference; for all
            models together.
    """
    labels, _ = columns(common.rows[0])
    probabilities = [columns(rows)[1] for rows in common.rows]
    ranks = [item.thresholds.ranks(of) for item, of in zip(candidates, probabilities, strict=True)]
    decisions = [np.array(DECISIONS)[rank] for rank in ranks]
    groups, models = common.groups, len(candidates) - 1

    mistakes = []
    for label, which, margin in ((1, new_escapes, new_escape_rate), (0, new_overkills, new_overkill_rate)):
        of_class = labels == label
        flags = [_flags(which(labels, decisions[0], other), labels.size)[of_class] for other in decisions[1:]]
        own = None if groups is None else [name for name, member in zip(groups, of_class, strict=True) if member]
        mistakes.append(new_mistakes(flags, own, margin=margin, confidence=confidence))

    right = [~_wrong(labels, rank) for rank in ranks]
    p_values = [mcnemar(right[0], other, groups) for other in right[1:]]
    adjusted = holm(p_values)
    corrected = 1 - (1 - confidence) / models
    comparisons = []
    for at, item in enumerate(candidates[1:], start=1):
        flips = _flips(common.rows[0], common.rows[at], decisions[0], decisions[at])
        counts = Counter(flip.kind for flip in flips)
        comparisons.append(
            PairwiseComparison(
                first=candidates[0].letter,
                second=item.letter,
                thresholds=(candidates[0].thresholds, item.thresholds),
                images=labels.size,
                flips=flips,
                counts={kind: counts[kind] for kind in FLIP_KINDS},
                new_escapes=mistakes[0][at - 1],
                new_overkills=mistakes[1][at - 1],
                mcnemar=p_values[at - 1],
                mcnemar_adjusted=adjusted[at - 1],
                differences={
                    "auroc": auroc_difference(labels, probabilities[0], probabilities[at], groups, corrected),
                    **rate_differences(labels, ranks[0], ranks[at], groups, corrected),
                },
                overkills=(_rejected(labels, ranks[0]), _rejected(labels, ranks[at])),
                rechecked=(int(np.sum(ranks[0] == 1)), int(np.sum(ranks[at] == 1))),
                equal=_equal_overkill(labels, ranks[0], probabilities[at]),
                unit=common.unit,
                models=models,
                confidence=confidence,
                excluded=_excluded(common, item.letter),
                trained_on=common.trained_on.get(item.letter, 0),
                noun=common.noun,
            )
        )
    return comparisons


def flip_kind(label: int | None, first: str, second: str) -> str:
    """Return what it means that a part is decided differently; one of `FLIP_KINDS`.

    Example:
        >>> flip_kind(1, "NG", "GO"), flip_kind(0, "NG", "RECHECK"), flip_kind(1, "RECHECK", "NG")
        ('new escape', 'overkill gone', 'no longer to RECHECK')
    """
    mistake, gone = (("new escape", "escape caught"), ("new overkill", "overkill gone"))[0 if label == 1 else 1]
    wrong = "GO" if label == 1 else "NG"
    if second == wrong:
        return mistake
    if first == wrong:
        return gone
    return "now to RECHECK" if second == "RECHECK" else "no longer to RECHECK"


def _flags(places: NDArray[np.intp], size: int) -> NDArray[np.bool_]:
    flags = np.zeros(size, dtype=bool)
    flags[places] = True
    return flags


def _flips(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    first_decisions: NDArray[np.str_],
    second_decisions: NDArray[np.str_],
) -> tuple[Flip, ...]:
    rows = zip(first, second, first_decisions.tolist(), second_decisions.tolist(), strict=True)
    flips = [Flip(*row, flip_kind(row[0].label, *row[2:])) for row in rows if row[2] != row[3]]
    return tuple(sorted(flips, key=lambda flip: (FLIP_KINDS.index(flip.kind), _surety(flip), flip.first.path)))


def _surety(flip: Flip) -> float:
    """Order flips of one kind: the surest mistake of the second model first."""
    probability = flip.second.probability or 0.0
    return {"new escape": probability, "new overkill": -probability}.get(flip.kind, 0.0)


def _excluded(common: CommonImages, second: str) -> tuple[Excluded, ...]:
    """Return the parts that a comparison lacks, each once, NG parts first.

    A part that both models lack is listed for the second one's sake.
    """
    ordered = sorted(common.excluded, key=lambda item: (item.row.label != 1, item.letter != second))
    once: dict[int, Excluded] = {}
    for item in ordered:
        once.setdefault(id(item.row), item)  # a path may be there twice
    return tuple(once.values())


def _rejected(labels: NDArray[np.int64], ranks: NDArray[np.int64]) -> int:
    return int(np.sum((labels == 0) & (ranks == 2)))


def _equal_overkill(
    labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.float64]
) -> EqualOverkill | None:
    """Return the second's probabilities at equal overkill with the first's decisions."""
    looked_at = int(np.sum((labels == 0) & (first == 1)))
    thresholds = equal_overkill(second[labels == 0], _rejected(labels, first), looked_at)
    if thresholds is None:
        return None
    ranks, bad = thresholds.ranks(second), labels == 1
    escapes, caught = bad & (ranks == 0) & (first != 0), bad & (ranks != 0) & (first == 0)
    return EqualOverkill(thresholds, _rejected(labels, ranks), int(escapes.sum()), int(caught.sum()))


def _wrong(labels: NDArray[np.int64], ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the escapes and overkills; who looks at a RECHECK is taken to be right."""
    return np.asarray(((labels == 1) & (ranks == 0)) | ((labels == 0) & (ranks == 2)))
