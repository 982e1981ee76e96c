"""Where the mistakes are: by defect type and by group, the worst first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fancnn.inspection.certificates import escapes_by_type
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.predictions import Prediction, columns
from fancnn.inspection.scores import Confusion, confusion
from fancnn.reporting.gallery import kind_of


@dataclass(frozen=True)
class Kind:
    """NG parts of one type; `bound` is the largest escape rate left open (95 %), for all types at once."""

    name: str
    counts: Confusion
    bound: float


@dataclass(frozen=True)
class Group:
    """Parts of one lot, panel or patient."""

    name: str
    counts: Confusion


def by_type(rows: Iterable[Prediction], thresholds: Thresholds) -> list[Kind]:
    """NG parts by defect type, the worst bound first; several NG classes are types, too. Empty for one kind alone.

    Example:
        >>> rows = [Prediction("a", p, label=1, defect_type=name) for p, name in ((0.1, "chip"), (0.9, "dent"))]
        >>> [(kind.name, kind.counts.escapes) for kind in by_type(rows, Thresholds.single(0.5))]
        [('chip', 1), ('dent', 0)]
    """
    ng = [row for row in rows if row.label == 1]
    if len({row.class_name for row in ng}) > 1:
        ng = [replace(row, defect_type=kind_of(row.class_name, row.defect_type)) for row in ng]
    ng = [row if row.defect_type else replace(row, defect_type=row.class_name or "NG") for row in ng]
    members: dict[str, list[Prediction]] = defaultdict(list)
    for row in ng:
        members[row.defect_type].append(row)
    if len(members) < 2:
        return []
    found = escapes_by_type(ng, thresholds)
    return [Kind(item.defect_type, _counts(members[item.defect_type], thresholds), item.bound) for item in found]


def by_group(rows: Iterable[Prediction], thresholds: Thresholds) -> list[Group]:
    """Parts by group, most escapes first, then most overkills; empty where no groups are known."""
    members: dict[str, list[Prediction]] = defaultdict(list)
    for row in rows:
        if row.group:
            members[row.group].append(row)
    groups = [Group(name, _counts(of_group, thresholds)) for name, of_group in members.items()]
    return sorted(groups, key=lambda group: (-group.counts.escapes, -group.counts.overkills, group.name))


def _counts(rows: Sequence[Prediction], thresholds: Thresholds) -> Confusion:
    return confusion(*columns(rows), thresholds)
