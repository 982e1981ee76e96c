"""May a second model take the place of the first: how many new mistakes that leaves open, and a gate on that.

A new escape is an NG part that the second passes and the first does not; a new overkill is a GO part that the second
rejects and the first does not. That none was seen among twenty parts proves little; what counts is the upper bound of
their rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.clusters import unit_numbers
from fancnn.metrics.intervals import upper_bound

Verdict = Literal["passes", "not all compared", "not proven", "new overkills", "new escapes"]
VERDICTS: tuple[Verdict, ...] = ("passes", "not all compared", "not proven", "new overkills", "new escapes")
"""From the best to the worst."""

DRAWS, MOST_DRAWS, SEED = 50_000, 2_000_000, 0
BATCH = 2**22  # numbers drawn at once: 32 MB


@dataclass(frozen=True)
class NewMistakes:
    """New escapes or new overkills of a model, and what share of all parts they may be.

    Attributes:
        count: Seen.
        parts: Parts of the class that both models decided.
        units: Groups that hold these parts; as many as parts where there are no groups.
        bound: Largest share of parts of the class that is compatible with what was seen; 1.0 without parts.
        level: Confidence of this bound, corrected for several models.
        margin: Share that is allowed; None where none was given.
        within: Whether the share is proven to be below the margin; None without margin.
    """

    count: int
    parts: int
    units: int
    bound: float
    level: float
    margin: float | None = None
    within: bool | None = None

    @property
    def too_many(self) -> bool:
        """Return whether the share that was seen is itself not below the margin."""
        return self.within is False and self.parts > 0 and self.count >= (self.margin or 0) * self.parts


def new_mistakes(
    of_models: Sequence[ArrayLike],
    groups: Sequence[str] | None = None,
    *,
    margin: float | None = None,
    confidence: float = 0.95,
) -> list[NewMistakes]:
    """Bound the rate of new mistakes of several models, so that all bounds hold together at `confidence`.

    Without a margin each bound is at 1 - (1 - confidence) / models (Bonferroni). With one, models are tested against
    it step by step (Holm 1979): the surest at that level, the next as if there were one model fewer, and so on until
    one fails. What is then claimed holds together (Guilbaud 2008): those that passed are below the margin, and the
    others have bounds corrected for how many have not passed. If all pass, each is below its own bound too.

    Args:
        of_models: For each model `(parts,)`, True where it makes a new mistake; parts of one class.
        groups: A name for each part, as in `unit_numbers`; None: each part is a unit of its own.
        margin: Share that is allowed, in (0, 1).
        confidence: In (0, 1).

    Raises:
        ValueError: If flags and groups have different lengths, or `confidence` is not in (0, 1).

    Example:
        >>> [(round(item.bound, 3), item.within) for item in new_mistakes([[False] * 200], margin=0.02)]
        [(0.015, True)]
    """
    flags = [np.asarray(of_model, dtype=bool) for of_model in of_models]
    error = 1 - confidence

    def bounds(models: Sequence[int], corrected_for: int) -> dict[int, float]:
        return {model: bound_in_groups(flags[model], groups, 1 - error / corrected_for) for model in models}

    everything = range(len(flags))
    together = bound_of = bounds(everything, len(flags))
    below: set[int] = set()
    while margin is not None and (passed := {model for model, bound in bound_of.items() if bound < margin}):
        below |= passed
        remaining = [model for model in everything if model not in below]
        bound_of = bounds(remaining, len(remaining))
    if margin is not None and below:
        all_passed = len(below) == len(flags)
        bound_of |= {model: min(margin, together[model]) if all_passed else margin for model in below}
    level = 1 - error / (len(flags) - len(below) or len(flags))
    return [
        NewMistakes(
            count=int(flag.sum()),
            parts=flag.size,
            units=int(unit_numbers(groups, flag.size).max(initial=-1)) + 1,
            bound=bound_of[model],
            level=level,
            margin=margin,
            within=None if margin is None else model in below,
        )
        for model, flag in enumerate(flags)
    ]


def bound_in_groups(flags: ArrayLike, groups: Sequence[str] | None = None, confidence: float = 0.95) -> float:
    """Return the highest share of parts that is compatible with those flagged, groups kept together.

    Without groups the bound of Clopper and Pearson (1934). With groups the share of all parts, each part counting the
    same, is bounded from groups that are independent of each other, whatever happens inside them: the `confidence`
    quantile of (sum of w_g flagged_g + w_0 m) / (sum of w_g parts_g + w_0 m) over Dirichlet(1, ..., 1) weights w,
    where m is the number of parts of the largest group. That is Gaffke's bound of a mean (2005; Learned-Miller and
    Thomas 2020) for a ratio: an unseen group of the largest size, flagged as a whole, stands beside those seen. It
    equals Clopper and Pearson's where groups have one part, and also where groups of one size are flagged as a whole
    or not at all. Its validity is conjectured, and was never seen broken; it takes for granted that no group is larger
    than the largest here.

    Args:
        flags: `(parts,)`, True where flagged.
        groups: A name for each part, as in `unit_numbers`.
        confidence: In (0, 1).

    Returns:
        A share; 1.0 without parts. With groups from seeded draws, rounded up for their scatter.

    Raises:
        ValueError: If `groups` has another length, or `confidence` is not in (0, 1).

    Example:
        >>> round(bound_in_groups([False] * 20), 3)
        0.139
        >>> 0.45 < bound_in_groups([False] * 20, ["lot 1", "lot 2", "lot 3", "lot 4"] * 5) < 0.6
        True
    """
    flagged = np.asarray(flags, dtype=bool)
    units = unit_numbers(groups, flagged.size)
    parts = np.bincount(units)
    if parts.max(initial=1) == 1:
        return upper_bound(int(flagged.sum()), flagged.size, confidence)
    hits = np.rint(np.bincount(units, flagged)).astype(np.int64)
    if not np.any((hits > 0) & (hits < parts)) and len(np.unique(parts)) == 1:
        return upper_bound(int(np.sum(hits > 0)), parts.size, confidence)
    return _dirichlet_bound(hits, parts, confidence)


def verdict_on(
    escapes: NewMistakes, overkills: NewMistakes, *, overkills_gone: int, excluded: int, trained_on: int
) -> Verdict:
    """Return what the comparison came to.

    With a margin, new mistakes are within it only if that is proven. Without one, any new escape is too many, and so
    are more new overkills than there are old ones gone: the second model rejects more good parts than the first.

    Args:
        escapes: New escapes of the second model.
        overkills: Its new overkills.
        overkills_gone: Good parts that the first rejects and the second does not.
        excluded: Parts that the first decided and that are not compared.
        trained_on: Compared images that trained the second model: nothing is proven by these.

    Returns:
        `new escapes` or `new overkills` where too many were seen; `not proven` where one of the classes has no part
        in common, a margin is not proven, or the second model was trained on images compared; `not all compared`
        where parts are excluded; else `passes`.
    """
    if escapes.too_many or (escapes.margin is None and escapes.count):
        return "new escapes"
    if overkills.too_many or (overkills.margin is None and overkills.count > overkills_gone):
        return "new overkills"
    if not (escapes.parts and overkills.parts) or False in (escapes.within, overkills.within) or trained_on:
        return "not proven"
    return "not all compared" if excluded else "passes"


def _dirichlet_bound(hits: NDArray[np.int64], parts: NDArray[np.int64], confidence: float) -> float:
    # equal groups share one draw: a sum of exponentials is gamma distributed, and scale cancels in the ratio
    kinds, counts = np.unique(np.stack([hits, parts], axis=1), axis=0, return_counts=True)
    largest = float(parts.max())
    draws = int(min(max(DRAWS, 200 / (1 - confidence)), MOST_DRAWS))  # 200 beyond the quantile
    # an order statistic that is above the quantile in all but one of 10,000 seeds
    place = int(np.ceil(draws * confidence + 3.72 * np.sqrt(draws * confidence * (1 - confidence))))
    if place >= draws:
        return 1.0
    rng = np.random.default_rng(SEED)
    ratios = []
    for start in range(0, draws, batch := max(1, BATCH // len(counts))):
        size = min(batch, draws - start)
        weights = rng.standard_gamma(counts, (size, len(counts)))
        unseen = rng.standard_exponential(size) * largest
        ratios.append((weights @ kinds[:, 0] + unseen) / (weights @ kinds[:, 1] + unseen))
    return float(np.partition(np.concatenate(ratios), place)[place])
