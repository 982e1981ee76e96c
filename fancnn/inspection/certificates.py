"""What can be proven of the escapes: a claim on all parts that the line will make, from the pictures at hand.

Format of `certificate.json`, version 1: `format` (`fancnn-certificate`), `version`, where the pictures come from
(`run`, `table`, `part`), `look` (what number it is of those at these images, null where that is not known),
`looks_planned` (null for any number), `confidence_spent` (what this look is held to, and the bounds with it, so that
`confidence`, which was asked for, holds over all looks; see `fancnn.inspection.spending`; these three are absent
before), and the fields of `Certificate`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import Interval, exact_interval, parts_needed, simultaneous_upper_bound, upper_bound
from fancnn.inspection.predictions import Prediction, check_each_once, columns, with_truth
from fancnn.inspection.scores import Confusion, confusion
from fancnn.inspection.thresholds import allowed_escapes, few_escapes, percent
from fancnn.tables import replacing

FORMAT, VERSION = "fancnn-certificate", 1
Unit = Literal["picture", "group"]
NONE_REJECTED = Thresholds.single(1.0)


@dataclass(frozen=True)
class TypeEscapes:
    """Escapes among the parts of one defect type; `bound` holds for all types and all thresholds at once."""

    defect_type: str
    ng: int
    escapes: int
    bound: float


@dataclass(frozen=True)
class Certificate:
    """A claim and what it rests on.

    Attributes:
        granted: Whether the claim is proven.
        statement: The claim, or why it is refused and how many pictures it takes.
        escape_rate: Asked for.
        confidence: Of the claim.
        thresholds: That it holds for; None where none was found, and nothing is taken to be rejected.
        searched: Whether they were found on these very pictures (which the claim takes into account).
        bound: Largest escape rate that is compatible with what was seen, at this confidence.
        ng: NG parts counted.
        escapes: Of those passed.
        go: GO parts counted.
        overkills: Of those rejected.
        overkill: Clopper-Pearson interval of the overkill rate at this confidence; None without GO parts.
        rechecked: GO and NG parts sent to a person.
        needed: NG parts that the claim takes if none of them escapes.
        by_type: Worst bound first; empty where no types are known.
        caveats: What makes the claim better than the truth may be; a claim without any is honest.
    """

    granted: bool
    statement: str
    escape_rate: float
    confidence: float
    thresholds: Thresholds | None
    searched: bool
    bound: float
    ng: int
    escapes: int
    go: int
    overkills: int
    overkill: Interval | None
    rechecked: int
    needed: int
    by_type: tuple[TypeEscapes, ...]
    caveats: tuple[str, ...]


def certified(
    rows: Iterable[Prediction],
    escape_rate: float,
    confidence: float = 0.95,
    thresholds: Thresholds | None = None,
    recheck_above: float | None = None,
    unit: Unit | None = None,
    caveats: Sequence[str] = (),
) -> Certificate:
    """State the claim on the escape rate that `rows` can prove.

    Args:
        rows: Pictures, each once; those without truth or probability are passed over, and said.
        escape_rate: Largest share of NG parts that may pass, in (0, 1).
        confidence: In (0, 1).
        thresholds: Chosen on other pictures; None finds the largest threshold for which the claim holds, on these.
        recheck_above: Where NG begins if the threshold that is found shall only divide GO from RECHECK.
        unit: What the claim counts. With `group` a lot, panel or patient passes as a whole if any of its NG pictures
            passes, which makes claims honest where pictures of a group are alike; None counts groups where each
            picture has one and some have several.
        caveats: Known already.

    Raises:
        UserError: If there are no NG pictures, a picture stands there twice, or `unit` is group and a picture has
            none.
    """
    rows = list(rows)
    check_each_once(rows)
    known = with_truth(rows)
    unit = unit or _natural_unit(known)
    units = _groups(known) if unit == "group" else known
    ng = [row for row in units if row.label == 1]
    if not ng:
        raise UserError("a certificate is about NG parts, and there are none among these pictures")
    refusal, searched = "", thresholds is None
    if thresholds is None:
        thresholds, refusal = _found([_chance(row) for row in ng], escape_rate, confidence, recheck_above)
    counts = confusion(*columns(units), thresholds or NONE_REJECTED)
    allowed = allowed_escapes(len(ng), escape_rate, confidence) if searched and thresholds else 0
    bound = upper_bound(max(allowed, counts.escapes), len(ng), confidence)
    interval = exact_interval(counts.overkills, counts.go, confidence) if thresholds else None
    granted = not refusal and bound <= escape_rate
    return Certificate(
        granted=granted,
        statement=refusal or _statement(granted, bound, escape_rate, confidence, counts, interval),
        escape_rate=escape_rate,
        confidence=confidence,
        thresholds=thresholds,
        searched=searched,
        bound=bound,
        ng=counts.ng,
        escapes=counts.escapes,
        go=counts.go,
        overkills=counts.overkills,
        overkill=interval,
        rechecked=counts.ng_rechecked + counts.go_rechecked,
        needed=parts_needed(escape_rate, confidence),
        by_type=escapes_by_type(ng, thresholds, confidence, searched=searched) if thresholds else (),
        caveats=(*caveats, *_caveats(rows, unit), *_useless(counts)),
    )


def _found(
    scores: Sequence[float], escape_rate: float, confidence: float, recheck_above: float | None
) -> tuple[Thresholds | None, str]:
    """The largest threshold for which the claim holds, or why there is none."""
    try:
        lower = few_escapes(scores, escape_rate, confidence).thresholds.lower
    except UserError as error:
        return None, str(error)
    return Thresholds(lower, max(lower, recheck_above or lower)), ""


def write_certificate(path: Path, certificate: Certificate, about: Mapping[str, Any]) -> None:
    """Write `certificate.json`; `about` says where the pictures come from."""
    with replacing(path) as file:
        content = {"format": FORMAT, "version": VERSION, **about, **asdict(certificate)}
        json.dump(content, file, indent=2, allow_nan=False)
        file.write("\n")


def _statement(
    granted: bool, bound: float, asked: float, confidence: float, counts: Confusion, overkill: Interval | None
) -> str:
    claim = f"escape rate <= {percent(bound)} at {percent(confidence)} confidence"
    if overkill is not None:
        rate = percent(counts.overkills / counts.go)
        claim += f"; overkill {rate} ({100 * overkill.low:.3g} to {100 * overkill.high:.3g})"
    seen, escapes, ng = f"{counts.escapes} of {counts.ng} NG parts pass", counts.escapes, counts.ng
    if granted:
        return f"{claim} ({seen})"
    needed = next(n for n in _growing(ng) if upper_bound(round(escapes * n / ng), n, confidence) <= asked or n > 10**7)
    way_out = (
        f"at this share of escapes about {needed:,} NG parts are needed"
        if needed <= 10**7
        else "the share seen is itself too large: lower the threshold"
    )
    return f"{claim} is all that can be said, and {percent(asked)} was asked for ({seen}; {way_out})"


def _growing(count: int) -> Iterable[int]:
    while True:
        yield count
        count = count * 11 // 10 + 1


def escapes_by_type(
    rows: Iterable[Prediction], thresholds: Thresholds, confidence: float = 0.95, *, searched: bool = False
) -> tuple[TypeEscapes, ...]:
    """Escapes by defect type, the worst bound first; empty where no types are known.

    The bounds hold for all types together (Bonferroni). With `searched` they hold wherever the thresholds were put,
    also on these very pictures, and are wider for it.
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.label == 1 and row.defect_type and row.probability is not None:
            scores[row.defect_type].append(row.probability)
    found = []
    for name, values in scores.items():
        escapes = sum(value <= thresholds.lower for value in values)
        together = 1 - (1 - confidence) / len(scores)
        bound = upper_bound(escapes, len(values), together)
        if searched:
            bound = simultaneous_upper_bound(escapes, len(values), confidence, families=len(scores))
        found.append(TypeEscapes(name, len(values), escapes, bound))
    return tuple(sorted(found, key=lambda item: (-item.bound, item.defect_type)))


def _groups(rows: Sequence[Prediction]) -> list[Prediction]:
    """One row for each group and label: the picture by which it would pass, or be rejected."""
    if any(not row.group for row in rows):
        raise UserError("unit=group needs a group for each picture: train with data.split=grouped and data.group=...")
    worst: dict[tuple[str, int | None], Prediction] = {}
    for row in rows:
        key = (row.group, row.label)
        sign = 1 if row.label == 1 else -1  # of NG the lowest probability escapes, of GO the highest is rejected
        if key not in worst or sign * _chance(row) < sign * _chance(worst[key]):
            worst[key] = row
    return list(worst.values())


def _natural_unit(rows: Sequence[Prediction]) -> Unit:
    groups = {row.group for row in rows}
    return "group" if "" not in groups and len(groups) < len(rows) else "picture"


def _useless(counts: Confusion) -> Iterable[str]:
    if 2 * counts.overkills > counts.go:
        yield f"of little use as it is: {counts.overkills} of {counts.go} good parts would be rejected"


def _caveats(rows: Sequence[Prediction], unit: Unit) -> Iterable[str]:
    parts = {row.split for row in rows}
    if unread := sum(row.label == 1 and row.probability is None for row in rows):
        yield f"optimistic: {unread} NG pictures have no probability and do not count; hard ones may be among them"
    if "train" in parts:
        yield "optimistic: some of these pictures were trained on"
    if "val" in parts:
        yield "optimistic: some of these pictures chose the epoch and fitted the calibration"
    if "" in parts:
        yield "it is taken that the model has never seen these pictures"
    groups = {row.group for row in rows if row.group}
    if unit == "picture" and len(groups) < sum(bool(row.group) for row in rows):
        yield f"pictures of the same group ({len(groups)} groups) are counted as independent; unit=group counts groups"


def _chance(row: Prediction) -> float:
    assert row.probability is not None
    return row.probability
