"""What can be proven of the escapes: a claim on all parts that the line will make, from the images at hand.

Format of `certificate.json`, version 3 (before, `split` was `part`; version 1 had neither `unit` nor what follows
from it, no `scope`, `excluded`, `refusal` nor hashes; it counted groups without saying so):

| key | meaning |
| --- | --- |
| format, version | `fancnn-certificate`, 3 |
| sequential | whether the claim holds at any time of looking, see `fancnn.decisions.growing_table`; absent before |
| run, table, split | where the images come from: the run folder, the table, and which split of it |
| checkpoint_sha256 | of the run's best checkpoint file; null where a table alone was given |
| table_sha256 | of the prediction table |
| weights_sha256 | of the model that scored, as in the run's `metrics.json`; null where not known, absent before |
| granted, statement | whether the claim is proven; the claim, or why it is refused |
| refusal | null where granted; `evidence`, `seen` (the weights have seen images) or `several models` |
| escape_rate, confidence | asked for |
| look, looks_planned | what number this look is of those at these images (null where that is not known), and how many
were planned (null for any number); absent before |
| confidence_spent | what this look is held to, and the bounds with it, so that `confidence` holds over all looks; see
`fancnn.decisions.look_spending`; absent before |
| unit, method, largest_group | what is counted, how the claim is proven, and the size given for the largest group |
| thresholds, searched | that the claim is of (null where none was found), and whether they were found on these images |
| bound | the largest escape rate of the unit that is compatible with what was seen, at this confidence |
| ng, escapes, go, overkills | counted by unit: parts, or groups that have one |
| ng_parts, escaped_parts, go_parts, rejected_parts | counted by part |
| groups | how many groups the images are of; 0 where none are known |
| overkill | interval of the share of GO parts that are rejected, at this confidence; null without GO parts |
| rechecked | GO and NG parts that go to a person |
| assumes_person | NG parts that go to a person, who is taken to miss none |
| needed | units that the claim takes if none of them escapes |
| by_type | the fields of `TypeEscapes`, the worst bound first |
| excluded | images that do not count, by reason: the fields of `Excluded` |
| scope | what the claim holds for, in a sentence |
| caveats | what makes the claim better than the truth may be, in sentences |
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fancnn.decisions.escape_claims import Method, NgEvidence, Unit, claim_unit, natural_unit, ng_evidence
from fancnn.decisions.threshold_choice import halfway_below
from fancnn.errors import UserError
from fancnn.files.json_files import write_json
from fancnn.metrics.clusters import clustered_interval, natural_groups, unit_numbers
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.intervals import Interval, exact_interval, simultaneous_upper_bound, upper_bound
from fancnn.metrics.parts import by_part, counted_noun
from fancnn.metrics.predictions import Prediction, columns, validate_each_once, with_truth
from fancnn.metrics.rounding import percent, percent_at_least, percent_at_most, percent_exactly
from fancnn.metrics.thresholds import Thresholds
from fancnn.plurals import plural

FORMAT, VERSION = "fancnn-certificate", 3
Refusal = Literal["evidence", "seen", "several models"]
NONE_REJECTED = Thresholds.single(1.0)
MANY_ALIKE = 0.05  # share of rows with one and the same probability from which copies are suspected
SCOPE = (
    "it holds for parts drawn as these were: the same product, camera and light, and the same mix of defects; not for "
    "others"
)


@dataclass(frozen=True)
class TypeEscapes:
    """Escapes of one defect type.

    Attributes:
        defect_type: Its name.
        ng: NG parts of it, or groups that have some: see `unit`.
        escapes: Of those passed; a group passes if any of its NG parts of this type does.
        bound: Largest escape rate of the unit that is left open, for all types (and all thresholds) at once.
        unit: What `ng`, `escapes` and `bound` count.
        ng_parts: NG parts of it.
        escaped_parts: Of those passed.
    """

    defect_type: str
    ng: int
    escapes: int
    bound: float
    unit: Unit
    ng_parts: int
    escaped_parts: int


@dataclass(frozen=True)
class Excluded:
    """Images that do not count, by reason.

    Attributes:
        without_label: Their truth is not known.
        without_probability: They could not be read, or have no decision.
        unread_ng_files: Files of NG classes that could not be read and have no row.
        copies: Of an image that counts: of NG images that with the lowest probability, of GO that with the highest.
        seen: The weights have seen them, and they were asked to be left out.
    """

    without_label: int = 0
    without_probability: int = 0
    unread_ng_files: int = 0
    copies: int = 0
    seen: int = 0


@dataclass(frozen=True)
class Certificate:
    """A claim and what it rests on; the fields as the table above has them."""

    granted: bool
    statement: str
    refusal: Refusal | None
    escape_rate: float
    confidence: float
    unit: Unit
    method: Method
    largest_group: int | None
    thresholds: Thresholds | None
    searched: bool
    bound: float
    ng: int
    escapes: int
    go: int
    overkills: int
    ng_parts: int
    escaped_parts: int
    go_parts: int
    rejected_parts: int
    groups: int
    overkill: Interval | None
    rechecked: int
    assumes_person: int
    needed: int
    by_type: tuple[TypeEscapes, ...]
    excluded: Excluded
    scope: str
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class _Counts:
    """What thresholds do to the images, by part and by unit."""

    parts: ConfusionCounts
    units: ConfusionCounts
    evidence: NgEvidence
    thresholds: Thresholds
    overkill: Interval | None
    go_groups: int
    rejected_groups: int


def certified(
    rows: Iterable[Prediction],
    escape_rate: float,
    confidence: float = 0.95,
    thresholds: Thresholds | None = None,
    recheck_above: float | None = None,
    unit: Unit | None = None,
    caveats: Sequence[str] = (),
    *,
    largest_group: int | None = None,
    exclude_seen: bool = False,
    unread_ng_files: int = 0,
    scored_by: str = "",
) -> Certificate:
    """State the claim on the escape rate that `rows` can prove.

    Args:
        rows: Images, each once; those without truth or probability are left out with a warning; of copies one counts,
            and of several images of one part the worst.
        escape_rate: Largest share of the unit that may pass, in (0, 1).
        confidence: In (0, 1).
        thresholds: Chosen on other images; None finds the largest threshold for which the claim holds, on these.
        recheck_above: Where NG begins if the threshold that is found shall only divide GO from RECHECK.
        unit: What the claim counts, see `fancnn.decisions.escape_claims.claim_unit`. With `group` a lot, panel or
            patient passes if any of its NG parts passes, and nothing is promised of the share of parts; it is refused
            where more parts than asked for are seen to pass.
        caveats: Known already.
        largest_group: The most NG parts that one group of the line can hold: what a claim on parts in groups needs.
        exclude_seen: Whether images that the weights have seen are left out; else any refuses the claim.
        unread_ng_files: Files of NG classes without a row.
        scored_by: In words, where no one model scored the images: then nothing is claimed.

    Raises:
        UserError: If there are no NG images, an image stands there twice; or as `claim_unit` and `ng_evidence`.
    """
    images = list(rows)
    validate_each_once(images)
    rows = by_part(images)
    fresh = [row for row in rows if not _trained_on(row)] if exclude_seen else rows
    known = with_truth(fresh)
    counted = counted_once(known)
    excluded = Excluded(
        without_label=sum(row.label is None for row in fresh),
        without_probability=sum(row.label is not None and row.probability is None for row in fresh),
        unread_ng_files=unread_ng_files,
        copies=len(known) - len(counted),
        seen=len(rows) - len(fresh),
    )
    ng = [row for row in counted if row.label == 1]
    if not ng:
        raise UserError(_without_ng(excluded, any_known=bool(known)))

    # the threshold, given or searched for, and what of its escapes can be excluded
    chosen_unit = claim_unit([row.group for row in counted], unit, largest_group)
    evidence = ng_evidence(list(map(_probability, ng)), [row.group for row in ng], chosen_unit, largest_group)
    searched, bound, why = thresholds is None, 1.0, ""
    refusal = _not_to_be_claimed(fresh, scored_by)
    if refusal is None and thresholds is None:
        thresholds, bound, why = _largest_threshold(evidence, counted, escape_rate, confidence, recheck_above)
    elif refusal is None and thresholds is not None:
        bound = evidence.bound(thresholds.lower, confidence)
    counts = _counts(counted, evidence, thresholds or NONE_REJECTED, confidence)

    # granted or refused, and what is stated
    too_many_parts = chosen_unit == "group" and counts.parts.escapes / counts.parts.ng > escape_rate
    granted = refusal is None and not why and bound <= escape_rate and not too_many_parts
    if refusal == "seen":
        statement = _seen_statement(fresh)
    elif refusal == "several models":
        statement = _several_models(scored_by)
    else:
        statement = why or _statement(granted, bound, escape_rate, confidence, counts, too_many_parts=too_many_parts)
        refusal = None if granted else "evidence"

    given = thresholds is not None
    return Certificate(
        granted=granted,
        statement=statement,
        refusal=refusal,
        escape_rate=escape_rate,
        confidence=confidence,
        unit=chosen_unit,
        method=evidence.method,
        largest_group=largest_group,
        thresholds=thresholds,
        searched=searched,
        bound=bound,
        ng=counts.units.ng,
        escapes=counts.units.escapes,
        go=counts.units.go,
        overkills=counts.units.overkills,
        ng_parts=counts.parts.ng,
        escaped_parts=counts.parts.escapes,
        go_parts=counts.parts.go,
        rejected_parts=counts.parts.overkills,
        groups=len({row.group for row in counted if row.group}),
        overkill=counts.overkill if given else None,
        rechecked=counts.parts.rechecked,
        assumes_person=counts.parts.ng_rechecked,
        needed=evidence.needed(escape_rate, confidence),
        by_type=_by_type(counted, evidence, thresholds, confidence, searched=searched) if thresholds else (),
        excluded=excluded,
        scope=SCOPE,
        caveats=(
            *caveats,
            *_of_parts(images, rows),
            *_caveats(fresh, excluded, given=given and not searched, exclude_seen=exclude_seen),
            *_useless(counts),
        ),
    )


def counted_once(rows: Iterable[Prediction]) -> list[Prediction]:
    """Return the rows without copies: of NG images with the same content that with the lowest probability stays.

    Of GO images that with the highest: what is proven of the rest holds whichever of the copies is the part.

    Args:
        rows: With truth and probability; one whose content is not known is no copy.
    """
    return _worst_of_each(rows, lambda row: row.content or f"path {row.path}")


def escapes_by_type(
    rows: Iterable[Prediction],
    thresholds: Thresholds,
    confidence: float = 0.95,
    *,
    searched: bool = False,
    unit: Unit | None = None,
) -> tuple[TypeEscapes, ...]:
    """Return the escapes by defect type, the worst bound first; empty where no types are known.

    Several NG classes are types, too; an NG image without a type has its class as one. By group a type's groups are
    those that have NG parts of it, and one passes if such a part does: a type that is never the worst of its group
    counts as any other.

    Args:
        rows: Images; those without truth or probability play no part.
        thresholds: Of the decisions.
        confidence: Of the bounds, which hold for all types together (Bonferroni).
        searched: Whether the thresholds were put where they are on these images: then the bounds hold wherever they
            were put, and are wider for it.
        unit: What the bounds count; None takes the natural one of all rows, GO images among them.
    """
    known = with_truth(rows)
    unit = unit or natural_unit([row.group for row in known])
    scores: dict[str, list[float]] = defaultdict(list)
    lowest: dict[str, dict[str, float]] = defaultdict(dict)
    for name, row in zip(*named_types(known), strict=True):
        probability = _probability(row)
        scores[name].append(probability)
        member = row.group if unit == "group" and row.group else f"path {row.path}"
        lowest[name][member] = min(probability, lowest[name].get(member, 1.0))
    if set(scores) == {""}:
        return ()
    each = [
        _type_escapes(name, list(lowest[name].values()), values, thresholds, confidence, len(scores), unit, searched)
        for name, values in scores.items()
    ]
    return tuple(sorted(each, key=lambda item: (-item.bound, item.defect_type)))


def named_types(rows: Iterable[Prediction]) -> tuple[list[str], list[Prediction]]:
    """Return the types of the NG rows and these rows; all names are empty where nothing tells types apart.

    Example:
        >>> rows = [Prediction("a", 0.5, label=1, class_name="NG", defect_type=name) for name in ("chip", "")]
        >>> named_types(rows)[0], named_types(rows[1:])[0]
        (['chip', 'NG'], [''])
    """
    ng = [row for row in rows if row.label == 1]
    if len({row.class_name for row in ng}) > 1:
        return ["/".join(filter(None, (row.class_name, row.defect_type))) or "NG" for row in ng], ng
    if not any(row.defect_type for row in ng):
        return [""] * len(ng), ng
    return [row.defect_type or row.class_name or "NG" for row in ng], ng


def write_certificate(path: Path, certificate: Certificate, about: Mapping[str, Any]) -> None:
    """Write `certificate.json`; `about` says where the images come from."""
    write_json(path, {"format": FORMAT, "version": VERSION, **about, **asdict(certificate)})


def _without_ng(excluded: Excluded, *, any_known: bool) -> str:
    """Return why there is nothing to claim of images without a countable NG image."""
    if excluded.without_probability and not any_known:
        text = f"none of {excluded.without_probability:,} NG or GO images has a probability: nothing can be claimed"
    else:
        text = "a certificate is about NG parts, and there are none among these images"
    return text + (f": the weights have seen all {excluded.seen:,} others" if excluded.seen else "")


def _not_to_be_claimed(rows: Sequence[Prediction], scored_by: str) -> Refusal | None:
    """Return why nothing is claimed, whatever the images show."""
    if any(map(_trained_on, rows)):
        return "seen"
    return "several models" if scored_by else None


def _seen_statement(rows: Sequence[Prediction]) -> str:
    trained, noun = sum(map(_trained_on, rows)), counted_noun(rows)
    return (
        f"{trained:,} of {plural(len(rows), noun)} have trained the model's weights, and of those nothing "
        "can be proven: it "
        "may know them by heart. Leave them out with exclude_seen=true, or certify on images that it has never seen"
    )


def _several_models(scored_by: str) -> str:
    return (
        f"{scored_by}, so that a claim would be of no one model. Certify a fold by itself, on the images that its "
        "model has not seen (run=.../fold-1), or evaluate the one model on new images and certify that"
    )


def _largest_threshold(
    evidence: NgEvidence,
    counted: Sequence[Prediction],
    escape_rate: float,
    confidence: float,
    recheck_above: float | None,
) -> tuple[Thresholds | None, float, str]:
    """Return the largest threshold for which the claim holds and its bound, or why there is none."""
    try:
        claim = evidence.search(escape_rate, confidence)
    except UserError as error:
        return None, 1.0, str(error)
    lower = halfway_below(claim.stopped, [_probability(row) for row in counted])
    return Thresholds(lower, max(lower, recheck_above or lower)), claim.bound, ""


def _counts(rows: Sequence[Prediction], evidence: NgEvidence, thresholds: Thresholds, confidence: float) -> _Counts:
    parts = ConfusionCounts.of(*columns(rows), thresholds)
    groups = _worst_of_each(rows, lambda row: row.group) if all(row.group for row in rows) else []
    by_group = ConfusionCounts.of(*columns(groups), thresholds)
    return _Counts(
        parts=parts,
        units=by_group if evidence.unit == "group" else parts,
        evidence=evidence,
        thresholds=thresholds,
        overkill=_overkill_interval(rows, thresholds, confidence),
        go_groups=by_group.go if len(groups) < len(rows) else 0,
        rejected_groups=by_group.overkills,
    )


def _overkill_interval(rows: Sequence[Prediction], thresholds: Thresholds, confidence: float) -> Interval | None:
    """Return an interval for the share of GO parts that are rejected, groups kept together; None if none is known."""
    go = [row for row in rows if row.label == 0]
    rejected = np.array([_probability(row) > thresholds.upper for row in go], np.float64)
    if (groups := natural_groups([row.group for row in go])) is None:
        return exact_interval(int(rejected.sum()), len(go), confidence)
    units = unit_numbers(groups, len(go))
    return clustered_interval(np.bincount(units, rejected), np.bincount(units), confidence)


def _worst_of_each(rows: Iterable[Prediction], name: Callable[[Prediction], str]) -> list[Prediction]:
    """Return one row for each name and label: the image by which it would pass, or be rejected."""
    worst: dict[tuple[str, int | None], Prediction] = {}
    for row in rows:
        key = (name(row), row.label)
        sign = 1 if row.label == 1 else -1  # of NG the lowest probability escapes, of GO the highest is rejected
        if key not in worst or sign * _probability(row) < sign * _probability(worst[key]):
            worst[key] = row
    return list(worst.values())


def _statement(
    granted: bool,
    bound: float,
    asked: float,
    confidence: float,
    counts: _Counts,
    *,
    too_many_parts: bool,
) -> str:
    evidence, lower = counts.evidence, counts.thresholds.lower
    claim, seen = evidence.claim(bound, confidence), evidence.seen(lower)
    more = "".join(f"; {text}" for text in (*_overkill_words(counts, confidence), *_person_words(counts)))
    if granted:
        return f"{claim} ({seen}){more}"
    if too_many_parts:
        share = percent(counts.parts.escapes / counts.parts.ng)
        return (
            f"by part {share} are seen to pass and {percent(asked)} was asked for, whatever the groups say: "
            f"{claim} ({seen}){more}"
        )
    way_out = evidence.way_out(lower, asked, confidence)
    return f"{claim} is all that can be said, and {percent(asked)} was asked for ({seen}; {way_out}){more}"


def _overkill_words(counts: _Counts, confidence: float) -> Iterable[str]:
    """Yield a sentence on the overkill by part; how many groups are touched is another number, and not the overkill."""
    if counts.overkill is None:
        return
    low, high = percent_at_least(counts.overkill.low).removesuffix(" %"), percent_at_most(counts.overkill.high)
    text = f"overkill {percent(counts.parts.overkills / counts.parts.go)} of GO parts ({low} to {high} at "
    text += f"{percent_exactly(confidence)}; {counts.parts.overkills:,} of {counts.parts.go:,}"
    if counts.go_groups:
        text += f", in {counts.rejected_groups:,} of {plural(counts.go_groups, 'group')}"
    yield text + ")"


def _person_words(counts: _Counts) -> Iterable[str]:
    if looked := counts.parts.ng_rechecked:
        yield (
            f"{looked:,} of {plural(counts.parts.ng, 'NG part')} go to a person (RECHECK), and the claim takes "
            "it that the "
            "person misses none"
        )


def _by_type(
    rows: Sequence[Prediction], evidence: NgEvidence, thresholds: Thresholds, confidence: float, *, searched: bool
) -> tuple[TypeEscapes, ...]:
    """Return the escapes of each type by the unit of the claim.

    A bet on lots is counted by group, since its bound for a group needs no largest size.
    """
    unit: Unit = "group" if evidence.method == "betting on lots" else evidence.unit
    return escapes_by_type(rows, thresholds, confidence, searched=searched, unit=unit)


def _type_escapes(
    name: str,
    counted: Sequence[float],
    parts: Sequence[float],
    thresholds: Thresholds,
    confidence: float,
    types: int,
    unit: Unit,
    searched: bool,
) -> TypeEscapes:
    escapes = sum(value <= thresholds.lower for value in counted)
    if searched:
        bound = simultaneous_upper_bound(escapes, len(counted), confidence, families=types)
    else:
        bound = upper_bound(escapes, len(counted), 1 - (1 - confidence) / types)
    escaped_parts = sum(value <= thresholds.lower for value in parts)
    return TypeEscapes(name, len(counted), escapes, bound, unit, len(parts), escaped_parts)


def _useless(counts: _Counts) -> Iterable[str]:
    parts = counts.parts
    if 2 * parts.overkills > parts.go:
        yield f"of little use as it is: {parts.overkills:,} of {parts.go:,} good parts would be rejected"
    elif 2 * (parts.overkills + parts.go_rechecked) > parts.go:
        yield f"of little use as it is: {parts.go_rechecked:,} of {parts.go:,} good parts would go to a person"


def _caveats(rows: Sequence[Prediction], excluded: Excluded, *, given: bool, exclude_seen: bool) -> Iterable[str]:
    yield from _of_excluded(rows, excluded)
    if exclude_seen and all(row.roles is None for row in rows):
        yield "exclude_seen=true leaves out nothing: the table does not say what the model has seen"
    yield from _of_seen(rows, given=given)
    parts = {row.split for row in rows if row.roles is None}
    if "train" in parts:
        yield "optimistic: some of these images were trained on"
    if "val" in parts:
        yield "optimistic: some of these images chose the epoch and fitted the calibration"
    if "" in parts:
        yield "it is taken that the model has never seen these images"


def _of_parts(images: Sequence[Prediction], parts: Sequence[Prediction]) -> Iterable[str]:
    if counted_noun(parts) == "part":
        of = f"{plural(len(parts), 'part')} in {plural(len(images), 'image')}"
        yield f"of {of} the worst image of a part decides: it holds for parts of which all images are there, as here"


def _of_excluded(rows: Sequence[Prediction], excluded: Excluded) -> Iterable[str]:
    noun = counted_noun(rows)
    if excluded.seen:
        yield f"{excluded.seen:,} {noun}s that trained the weights are left out"
    if excluded.without_label:
        yield f"optimistic: {excluded.without_label:,} {noun}s without a label do not count; NG parts may be among them"
    if unread := sum(row.label == 1 and row.probability is None for row in rows):
        yield f"optimistic: {unread:,} NG {noun}s have no probability and do not count; hard ones may be among them"
    if excluded.unread_ng_files:
        yield (
            f"optimistic: {excluded.unread_ng_files:,} files in NG folders could not be read and have no row "
            "(skipped.csv); hard ones may be among them"
        )
    if excluded.copies:
        yield f"{excluded.copies:,} copies of other {noun}s do not count: of NG copies the lowest probability does"
    labelled = {(row.content, row.label) for row in rows if row.content and row.label is not None}
    labels = Counter(content for content, _ in labelled)
    if both := sum(count > 1 for count in labels.values()):
        yield f"{noun}s that stand there both as GO and as NG, one of them wrongly, and are counted as both: {both:,}"
    unknown = [row.probability for row in rows if not row.content and row.probability not in (None, 0.0, 1.0)]
    alike = max(Counter(unknown).values(), default=0)
    if alike > 1 and alike > MANY_ALIKE * len(rows):
        yield (
            f"copies cannot be recognized: {alike:,} of {plural(len(rows), noun)} have exactly the same "
            "probability, and the "
            "table has no hashes; a copy counts as a part of its own, and proves nothing"
        )


def _of_seen(rows: Sequence[Prediction], *, given: bool) -> Iterable[str]:
    """Yield what the model says it has seen, but for its weights: those refuse the claim."""
    roles, noun = [set(row.roles or ()) for row in rows], counted_noun(rows)
    if chosen := sum(bool(of & {"epoch", "calibration"}) for of in roles):
        yield f"optimistic: {chosen:,} of {plural(len(rows), noun)} chose the model's epoch or fitted its calibration"
    if given and (chosen := sum("thresholds" in of for of in roles)):
        yield f"optimistic: {chosen:,} of {plural(len(rows), noun)} chose the model's thresholds"


def _trained_on(row: Prediction) -> bool:
    return "weights" in (row.roles or ())


def _probability(row: Prediction) -> float:
    assert row.probability is not None
    return row.probability
