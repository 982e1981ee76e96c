"""What a claim on escapes counts, parts or groups of parts, and what can be proven of it.

Three methods, named in `certificate.json`:

| method | it counts | valid where |
| --- | --- | --- |
| exact binomial | NG parts | they are independent draws: no two of a lot, panel or patient |
| exact binomial of groups | groups with NG parts; one escapes if any of its NG parts passes | groups are independent |
| betting on lots | NG parts, in groups | groups are independent, and the largest possible one is known |

The first two are Clopper and Pearson 1934; the third is in `fancnn.decisions.lots`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from fancnn.decisions.lots import holds_by_lot, lots_needed, lots_needed_at_this_share, upper_bound_by_lot
from fancnn.errors import UserError
from fancnn.metrics.intervals import parts_needed, upper_bound
from fancnn.metrics.rounding import percent, percent_at_most, percent_exactly
from fancnn.plurals import agreeing, plural

Unit = Literal["part", "group"]
Method = Literal["exact binomial", "exact binomial of groups", "betting on lots"]
UNITS: tuple[Unit, ...] = get_args(Unit)
MOST_PARTS = 10**7


def natural_unit(groups: Sequence[str]) -> Unit:
    """Return what a claim counts where nobody says it: groups where each image has one and some have several.

    Args:
        groups: Of each image, GO and NG; empty where it has none.

    Example:
        >>> natural_unit(["a", "a", "b"]), natural_unit(["a", "b"]), natural_unit(["a", "a", ""]), natural_unit([])
        ('group', 'part', 'part', 'part')
    """
    names = set(groups)
    return "group" if "" not in names and len(names) < len(groups) else "part"


def claim_unit(groups: Sequence[str], unit: Unit | None, largest_group: int | None, key: str = "") -> Unit:
    """Return what a claim on these images counts, and refuse what would not be valid.

    Args:
        groups: As `natural_unit`.
        unit: Asked for; None takes parts where `largest_group` is given, else the natural one.
        largest_group: The most NG parts that one group of the line can hold; None where that is not known.
        key: What the keys of the configuration begin with, for texts.

    Raises:
        UserError: If `unit` is group and an image has none; if it is part, images share groups and `largest_group` is
            not given; or if `largest_group` would change nothing.
    """
    chosen = unit or ("part" if largest_group is not None else natural_unit(groups))
    named = Counter(group for group in groups if group)
    if chosen == "group":
        if len(groups) > named.total():
            raise UserError(
                f"{key}unit=group needs a group for each image: train with data.split_method=grouped and data.group=..."
            )
        if largest_group is not None:
            raise UserError(f"{key}largest_group={largest_group} is for {key}unit=part: a claim on groups needs none")
    elif largest_group is None and (shared := sum(count > 1 for count in named.values())):
        way_out = f"or claim groups: {key}unit=group" if len(groups) == named.total() else "or give each image a group"
        raise UserError(
            f"{key}unit=part: {shared:,} groups have several images. Parts of one lot, panel or patient are alike and "
            "no independent draws: one rare, large, bad group may hold most of the escapes and not be among these. "
            f"Say the most NG parts that one group of the line can hold, {key}largest_group=..., {way_out}"
        )
    elif largest_group is not None and not named:
        raise UserError(f"{key}largest_group={largest_group}: these images name no groups; leave it out")
    return chosen


def ng_evidence(
    probabilities: ArrayLike,
    groups: Sequence[str] | None = None,
    unit: Unit | None = None,
    largest_group: int | None = None,
    key: str = "",
) -> "NgEvidence":
    """Return the evidence that NG images are, of the unit that `claim_unit` gives.

    Args:
        probabilities: P(NG) of NG images `(n,)`, each once, drawn as the line's NG parts or groups are.
        groups: Of each; None where none has one.
        unit: What the claim counts.
        largest_group: The most NG parts that one group of the line can hold.
        key: What the keys of the configuration begin with, for texts.

    Raises:
        UserError: As `claim_unit`, or if a group has more NG parts than `largest_group`.
    """
    scores = np.asarray(probabilities, np.float64)
    names = [""] * len(scores) if groups is None else list(groups)
    chosen = claim_unit(names, unit, largest_group, key)
    sizes = Counter(name for name in names if name)
    if largest_group is not None and (too_large := [name for name in sizes if sizes[name] > largest_group]):
        raise UserError(
            f"{key}largest_group={largest_group}: the group {too_large[0]} has "
            f"{plural(sizes[too_large[0]], 'NG part')}. "
            "Expected the most that one group of the line can hold, not of these images alone"
        )
    numbers: dict[str | int, int] = {}
    members = [numbers.setdefault(name or place, len(numbers)) for place, name in enumerate(names)]
    return NgEvidence(scores, np.array(members, np.intp), chosen, largest_group or 1)


@dataclass(frozen=True)
class SearchedClaim:
    """The largest threshold that a claim allows.

    Attributes:
        stopped: The lowest P(NG) that must not pass; the threshold is to be put below it.
        bound: What then is proven: the escape rate of the unit is at most this.
    """

    stopped: float
    bound: float


@dataclass(frozen=True)
class NgEvidence:
    """NG parts and the groups that they come in.

    Attributes:
        probabilities: P(NG) of each part `(n,)`.
        members: Number of each part's group `(n,)`, from 0; a part without one is a group of its own.
        unit: What is counted.
        largest_group: The most NG parts that a group of the line can hold; 1 where parts are independent.
    """

    probabilities: NDArray[np.float64]
    members: NDArray[np.intp]
    unit: Unit
    largest_group: int

    @property
    def method(self) -> Method:
        if self.unit == "group":
            return "exact binomial of groups"
        return "exact binomial" if self.largest_group == 1 else "betting on lots"

    @property
    def parts(self) -> int:
        return len(self.probabilities)

    @property
    def groups(self) -> int:
        return int(self.members.max()) + 1 if self.parts else 0

    @property
    def counted(self) -> NDArray[np.float64]:
        """Return P(NG) of each unit: of a group the lowest, by which it would pass."""
        if self.unit == "part":
            return self.probabilities
        lowest = np.ones(self.groups)
        np.minimum.at(lowest, self.members, self.probabilities)
        return lowest

    def escapes(self, lower: float) -> int:
        """Return how many units pass the threshold `lower`."""
        return int(np.sum(self.counted <= lower))

    def escaped_parts(self, lower: float) -> int:
        return int(np.sum(self.probabilities <= lower))

    def escaped_groups(self, lower: float) -> int:
        return len(np.unique(self.members[self.probabilities <= lower]))

    def bound(self, lower: float, confidence: float) -> float:
        """Return the highest escape rate of the unit that a threshold from elsewhere leaves open."""
        if self.method == "betting on lots":
            passed = np.bincount(self.members[self.probabilities <= lower], minlength=self.groups)
            return upper_bound_by_lot(np.bincount(self.members), passed, self.largest_group, confidence)
        counted = self.counted
        return upper_bound(int(np.sum(counted <= lower)), len(counted), confidence)

    def search(self, escape_rate: float, confidence: float) -> SearchedClaim:
        """Return the largest threshold for which the claim holds; by group, none at which more parts are seen to pass.

        The thresholds are tested from the safest on until the claim fails: the fixed-sequence test of Angelopoulos et
        al. 2021 (Learn then Test, section 3), here with a claim whose evidence falls as the threshold rises. So the
        true escape rate is above `escape_rate` with a probability of at most `1 - confidence`, whatever the scores'
        distribution, ties included.

        Raises:
            UserError: If there are too few units for the claim, saying how many are needed, or if too many have a
                probability of 0, which passes any threshold.
        """
        if not self.could_hold(escape_rate, confidence):
            raise UserError(self.too_few(escape_rate, confidence))
        if self.method == "betting on lots":
            return self._search_lots(escape_rate, confidence)
        counted = np.sort(self.counted)
        allowed = allowed_escapes(len(counted), escape_rate, confidence)
        stopped = float(counted[allowed])
        if self.unit == "group":
            parts = np.sort(self.probabilities)
            stopped = min(stopped, float(parts[_most_of(self.parts, escape_rate)]))
        if stopped == 0:
            raise UserError(self._certain_to_pass(escape_rate, confidence))
        return SearchedClaim(stopped, upper_bound(allowed, len(counted), confidence))

    def could_hold(self, escape_rate: float, confidence: float) -> bool:
        """Return whether so many units prove the claim if none of them escapes."""
        if self.method == "betting on lots":
            sizes = np.bincount(self.members)
            return self.parts > 0 and holds_by_lot(sizes, 0 * sizes, escape_rate, self.largest_group, confidence)
        return allowed_escapes(len(self.counted), escape_rate, confidence) >= 0

    def needed(self, escape_rate: float, confidence: float) -> int:
        """Return how many units the claim takes if none escapes: parts or groups, by `needed_of`."""
        if self.method == "betting on lots":
            mean = self.parts / self.groups if self.parts else 1.0
            return lots_needed(escape_rate, mean, self.largest_group, confidence)
        return parts_needed(escape_rate, confidence)

    @property
    def needed_of(self) -> str:
        """Return what `needed` counts, in words."""
        by = {"exact binomial": "NG parts", "exact binomial of groups": "groups with NG parts"}
        return by.get(self.method, f"groups like these, of {self.parts / max(self.groups, 1):.3g} NG parts each,")

    def too_few(self, escape_rate: float, confidence: float) -> str:
        """Say that the claim cannot be proven, and how many units it takes."""
        have = plural(self.parts, "NG part")
        if self.unit == "group" or self.method == "betting on lots":
            have += f" in {self.groups:,} groups"
        if self.unit == "group":
            have = f"{self.groups:,} groups with NG parts"
        least = self.bound(-1.0, confidence)
        return (
            f"{have} cannot prove an escape rate of {self.unit}s <= {percent(escape_rate)} at "
            f"{percent_exactly(confidence)} confidence: {self.needed(escape_rate, confidence):,} {self.needed_of} are "
            f"needed. {percent_at_most(least)} is the least they could prove"
        )

    def way_out(self, lower: float, escape_rate: float, confidence: float) -> str:
        """Say how many units would prove the claim at the share of escapes that is seen, or that none would."""
        if self.method == "betting on lots":
            passed = np.bincount(self.members[self.probabilities <= lower], minlength=self.groups)
            sizes = np.bincount(self.members)
            count = lots_needed_at_this_share(sizes, passed, escape_rate, self.largest_group, confidence)
        else:
            count = _needed_at_this_share(self.escapes(lower), len(self.counted), escape_rate, confidence)
        if count is None or count > MOST_PARTS:
            return "the share seen is itself too large: lower the threshold"
        return f"at this share of escapes about {count:,} {self.needed_of} are needed".rstrip(",")

    def claim(self, bound: float, confidence: float) -> str:
        """Say what is claimed of all parts or groups to come, with its unit."""
        return f"escape rate of {self.unit}s <= {percent_at_most(bound)} at {percent_exactly(confidence)} confidence"

    def seen(self, lower: float) -> str:
        """Say what was observed, by unit and by part."""
        parts = f"{self.escaped_parts(lower):,} of {plural(self.parts, 'NG part')} pass"
        if self.method == "exact binomial":
            return parts
        escaped = self.escaped_groups(lower)
        if self.method == "betting on lots":
            in_groups = f", in {escaped:,} of {self.groups:,} groups" if escaped else f", in {self.groups:,} groups"
            return f"{parts}{in_groups}; it is taken that no group of the line has more than {self.largest_group:,}"
        has = agreeing(escaped, "has")
        return (
            f"{escaped:,} of {self.groups:,} groups with NG parts {has} one that passes; by part {parts}, of which "
            "nothing is promised"
        )

    def _search_lots(self, escape_rate: float, confidence: float) -> SearchedClaim:
        levels = np.unique(self.probabilities[self.probabilities > 0])  # a probability of 0 passes any threshold
        sizes = np.bincount(self.members)

        def holds_below(level: float) -> bool:
            passed = np.bincount(self.members[self.probabilities < level], minlength=self.groups)
            return holds_by_lot(sizes, passed, escape_rate, self.largest_group, confidence)

        if not levels.size or not holds_below(levels[0]):
            raise UserError(self._certain_to_pass(escape_rate, confidence))
        low, high = 0, len(levels)  # the claim holds below levels[low]; it fails from levels[high] on
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if holds_below(levels[middle]) else (low, middle)
        return SearchedClaim(float(levels[low]), escape_rate)

    def _certain_to_pass(self, escape_rate: float, confidence: float) -> str:
        return (
            f"{self.escaped_parts(0.0):,} of {plural(self.parts, 'NG part')} have probability 0 and pass at any "
            "threshold: too "
            f"many for an escape rate of {self.unit}s <= {percent(escape_rate)} at {percent_exactly(confidence)} "
            "confidence"
        )


def allowed_escapes(count: int, escape_rate: float, confidence: float) -> int:
    """Return how many of `count` independent units may pass so that the claim holds; -1 if not even none may."""
    passing = np.arange(count)
    return int(np.sum(bdtr(passing, count, escape_rate) <= 1 - confidence)) - 1


def _most_of(count: int, share: float) -> int:
    """Return the most of `count` that are no larger share of it than `share`, which is below 1.

    Example:
        >>> _most_of(100, 0.29), _most_of(710, 0.02), _most_of(10, 0.05)
        (29, 14, 0)
    """
    return int(np.sum(np.arange(1, count + 1) / max(count, 1) <= share))


def _needed_at_this_share(escapes: int, count: int, escape_rate: float, confidence: float) -> int | None:
    """Return how many units prove the claim if they escape as these do; None above `MOST_PARTS`."""
    tried = count
    while tried <= MOST_PARTS:
        if upper_bound(round(escapes * tried / count), tried, confidence) <= escape_rate:
            return tried
        tried = tried * 11 // 10 + 1
    return None
