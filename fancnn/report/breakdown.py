"""Where the mistakes are: by defect type and by group, the worst first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fancnn.decisions.certificates import TypeEscapes, escapes_by_type, named_types
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.predictions import Prediction, columns
from fancnn.metrics.thresholds import Thresholds


@dataclass(frozen=True)
class Kind:
    """NG parts of one type; `bound` is the largest escape rate left open (95 %), for all types at once.

    Attributes:
        name: Of the type.
        counts: Of its parts.
        bound: Of the unit in `escapes`.
        escapes: What `metrics.json` says of it.
    """

    name: str
    counts: ConfusionCounts
    bound: float
    escapes: TypeEscapes


@dataclass(frozen=True)
class Group:
    """Splits of one lot, panel or patient."""

    name: str
    counts: ConfusionCounts


def by_type(rows: Sequence[Prediction], thresholds: Thresholds, *, searched: bool = False) -> list[Kind]:
    """Return the NG parts by defect type, the worst bound first; several NG classes are types, too.

    Args:
        rows: GO and NG images of the split that is shown.
        thresholds: Of the decisions.
        searched: Whether the thresholds were chosen on this split.

    Returns:
        The bounds that `metrics.json` has, of groups where images come in some; empty for one type alone.

    Example:
        >>> rows = [Prediction(name, p, label=1, defect_type=name) for name, p in (("chip", 0.1), ("dent", 0.9))]
        >>> [(kind.name, kind.counts.escapes) for kind in by_type(rows, Thresholds.single(0.5))]
        [('chip', 1), ('dent', 0)]
    """
    members: dict[str, list[Prediction]] = defaultdict(list)
    for name, row in zip(*named_types(rows), strict=True):
        members[name].append(row)
    if len(members) < 2:
        return []
    bounds = escapes_by_type(rows, thresholds, searched=searched)
    return [Kind(item.defect_type, _counts(members[item.defect_type], thresholds), item.bound, item) for item in bounds]


def by_group(rows: Iterable[Prediction], thresholds: Thresholds) -> list[Group]:
    """Return the splits by group, most escapes first, then most overkills; empty where no groups are known."""
    members: dict[str, list[Prediction]] = defaultdict(list)
    for row in rows:
        if row.group:
            members[row.group].append(row)
    groups = [Group(name, _counts(of_group, thresholds)) for name, of_group in members.items()]
    return sorted(groups, key=lambda group: (-group.counts.escapes, -group.counts.overkills, group.name))


def _counts(rows: Sequence[Prediction], thresholds: Thresholds) -> ConfusionCounts:
    return ConfusionCounts.of(*columns(rows), thresholds)
