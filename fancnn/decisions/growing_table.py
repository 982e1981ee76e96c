"""A table that grows between looks, and the claim that holds at all of them: `certify sequential=true`.

What is claimed of the escapes at any time of looking (see `fancnn.decisions.sequential`) holds if images are only ever
added. That is checked: what was looked at is kept beside the certificate, and a table in which an image of before is
missing or has changed is refused.

Format of `<certificate>.looks.json`, version 1:

| key | meaning |
| --- | --- |
| format, version | `fancnn-looks`, 1 |
| model | a mark of the model's weights; empty where a table alone was given |
| thresholds | lower and upper that the claim is of |
| confidence | of the claim |
| unit | what is counted: `part` or `group` |
| looks | one for each time that there were other images than before, the first first: the fields of `Look` |
| types | defect types in the order in which they appeared |
| images | of the last look, sorted: of each image with a label and a probability 24 hexadecimal digits, the first 12 of
the SHA-256 of what it is known by (its content's hash, else its path), then the first 12 of that of label, group and
decision, separated by tabs |
| groups | where groups are counted, sorted: the first 12 digits of the SHA-256 of the name of each; else empty |
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fancnn.decisions.certificates import Certificate, TypeEscapes
from fancnn.decisions.model_metadata import THRESHOLDS
from fancnn.decisions.sequential import parts_needed_sequential, sequential_interval, upper_bound_sequential
from fancnn.errors import UserError
from fancnn.files.json_files import read_json, version_of, write_json
from fancnn.files.plain_data import Kind, list_of, number_between, one_of, record, text, truth, validate, whole
from fancnn.metrics.intervals import Interval
from fancnn.metrics.predictions import Prediction, with_truth
from fancnn.metrics.rounding import percent, percent_at_most, percent_exactly
from fancnn.metrics.thresholds import Thresholds
from fancnn.plurals import agreeing, plural

FORMAT, VERSION = "fancnn-looks", 1
DIGITS = 12  # of a hash: among a million images two are taken for one with a probability of 0.002
SHOWN = 8  # numbers of parts of so many looks in a sentence


@dataclass(frozen=True)
class Look:
    """What was seen at one look, all images so far together.

    Attributes:
        when: UTC, ISO 8601.
        ng: NG parts or groups.
        escapes: Of those passed.
        go: GO parts or groups.
        overkills: Of those rejected.
        escape_rate: Asked for.
        bound: Of the escape rate, at any time of looking.
        granted: Whether that was enough.
    """

    when: str
    ng: int
    escapes: int
    go: int
    overkills: int
    escape_rate: float
    bound: float
    granted: bool


@dataclass(frozen=True)
class Looks:
    """All looks at a table that grows, and the images of the last one; the fields as the table above has them."""

    model: str
    thresholds: tuple[float, float]
    confidence: float
    unit: str
    looks: tuple[Look, ...]
    types: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[str, ...]


def looks_path(certificate: Path) -> Path:
    """Name the file of looks that belongs to a certificate.

    Example:
        >>> looks_path(Path("out/certificate.json")).as_posix()
        'out/certificate.looks.json'
    """
    return certificate.with_name(f"{certificate.stem}.looks.json")


def read_looks(path: Path) -> Looks | None:
    """Read the looks so far; None where there are none.

    Raises:
        UserError: If the file is none of them or of a newer version.
    """
    if not path.exists():
        return None
    content = read_json(path, "the looks so far at a certificate")
    if content.get("format") != FORMAT:
        raise UserError(f"{path} does not hold the looks of a certificate: its format is not {FORMAT}")
    version_of(content, VERSION, str(path))
    validate(content, LOOKS, str(path))
    lists: dict[str, Any] = {name: tuple(content[name]) for name in ("thresholds", "types", "images", "groups")}
    looks = tuple(Look(**look) for look in content["looks"])
    return Looks(model=content["model"], confidence=content["confidence"], unit=content["unit"], looks=looks, **lists)


_COUNTS = dict.fromkeys(("ng", "escapes", "go", "overkills"), whole(0))
_RATES = dict.fromkeys(("escape_rate", "bound"), number_between(0, 1))
_LOOK: Mapping[str, Kind] = {"when": text, **_COUNTS, **_RATES, "granted": truth}
_LOOKS: Mapping[str, Kind] = {
    "model": text,
    "thresholds": THRESHOLDS,
    "confidence": number_between(0, 1),
    "unit": one_of("part", "group"),
    "looks": list_of(record(_LOOK, tuple(_LOOK), closed=True), 1),
    **dict.fromkeys(("types", "images", "groups"), list_of(text)),
}
LOOKS = record(_LOOKS, tuple(_LOOKS))
"""The table at the top."""


def write_looks(path: Path, looks: Looks) -> None:
    """Write the looks so far, in the place of those of before."""
    write_json(path, {"format": FORMAT, "version": VERSION, **asdict(looks)}, indent=1)


def looked_again(
    earlier: Looks | None,
    certificate: Certificate,
    rows: Iterable[Prediction],
    *,
    unit: str,
    model: str,
    when: str,
    place: str,
) -> tuple[Certificate, Looks]:
    """Turn a claim that holds at one look into one that holds at this and all others, earlier and later.

    The bounds that replace those of `certificate` are never smaller, so that what it refuses stays refused.

    Args:
        earlier: Looks so far; None at the first.
        certificate: Of all images so far, at a threshold that was given.
        rows: Those images.
        unit: What is counted: `part` or `group`.
        model: A mark of the model's weights; empty where it is not known.
        when: Now, UTC, ISO 8601.
        place: Where the looks are kept; for sentences.

    Returns:
        The claim, and the looks with this one. The very same images again are no new look.

    Raises:
        UserError: If the threshold was searched, parts are counted that come in groups, or the table is not that of
            the look before with images added.
    """
    thresholds = certificate.thresholds
    if certificate.searched or thresholds is None:
        raise UserError(SEARCHED)
    known = with_truth(rows)
    _validate_alone(known, unit)
    now = Looks(
        model=model,
        thresholds=(thresholds.lower, thresholds.upper),
        confidence=certificate.confidence,
        unit=unit,
        looks=(),
        types=tuple(sorted({item.defect_type for item in certificate.by_type})),
        images=tuple(sorted(_mark(row, thresholds) for row in known)),
        groups=tuple(sorted({_digits(row.group) for row in known})) if unit == "group" else (),
    )
    if earlier is not None:
        _validate_same(earlier, now, place)
        _validate_none_lost(earlier, known, thresholds, place)
        _validate_groups_complete(earlier, known, thresholds)
        new = tuple(name for name in now.types if name not in earlier.types)
        now = replace(now, model=earlier.model or model, types=(*earlier.types, *new))

    bound = upper_bound_sequential(certificate.escapes, certificate.ng, certificate.confidence)
    granted = certificate.granted and bound <= certificate.escape_rate
    counts = {name: getattr(certificate, name) for name in ("ng", "escapes", "go", "overkills", "escape_rate")}
    before = earlier.looks if earlier else ()
    again = earlier is not None and earlier.images == now.images
    look = Look(before[-1].when if again else when, **counts, bound=bound, granted=granted)
    now = replace(now, looks=(*(before[:-1] if again else before), look))

    overkill = sequential_interval(certificate.overkills, certificate.go, certificate.confidence)
    only_evidence = granted or bound > certificate.escape_rate  # else it was refused for another reason
    return replace(
        certificate,
        granted=granted,
        statement=_statement(certificate, now, overkill) if only_evidence else certificate.statement,
        bound=bound,
        overkill=overkill,
        needed=parts_needed_sequential(certificate.escape_rate, certificate.confidence),
        by_type=_by_type(certificate.by_type, now.types, certificate.confidence),
        caveats=(*certificate.caveats, _what_must_hold(now, earlier)),
    ), now


SEARCHED = (
    "sequential=true needs a threshold that was fixed before the first look: threshold=run, or a number. One that is "
    "searched on the images moves from look to look, and the claim would be of another one each time. Find it on other "
    "images (python -m fancnn.decide decision.rule=escape), or certify once, without sequential=true"
)


def _validate_alone(rows: Sequence[Prediction], unit: str) -> None:
    groups = Counter((row.group, row.label) for row in rows if row.group)
    if unit == "part" and (several := max(groups.values(), default=0)) > 1:
        raise UserError(
            f"sequential=true counts parts as if each had nothing to do with the others, and here are groups of up to "
            f"{several}: parts of a group are alike, and prove less. unit=group counts groups"
        )


def _validate_same(earlier: Looks, now: Looks, place: str) -> None:
    fixed = {
        "the model's weights": (earlier.model, now.model) if earlier.model and now.model else (),
        "thresholds": (earlier.thresholds, now.thresholds),
        "confidence": (earlier.confidence, now.confidence),
        "unit": (earlier.unit, now.unit),
    }
    changed = [(name, *pair) for name, pair in fixed.items() if len(set(pair)) > 1]
    if changed:
        was = "; ".join(
            f"{name} changed" if "weights" in name else f"{name} {_in_words(old)} before and {_in_words(new)} now"
            for name, old, new in changed
        )
        raise UserError(
            f"{place} holds {plural(len(earlier.looks), 'look')} of another claim: {was}. A claim that may be looked "
            "at any time is fixed before its first look. Go on with what it was, or begin again: another output=, and "
            "images that no look has seen"
        )


def _validate_none_lost(earlier: Looks, rows: Sequence[Prediction], thresholds: Thresholds, place: str) -> None:
    """Refuse a table in which an image of the look before is missing, or is another now."""
    lost = Counter(earlier.images) - Counter(_mark(row, thresholds) for row in rows)
    if not lost:
        return
    paths = {_digits(_identity(row)): row.path for row in rows}
    changed = [paths[mark[:DIGITS]] for mark in sorted(lost) if mark[:DIGITS] in paths]
    missing = sum(count for mark, count in lost.items() if mark[:DIGITS] not in paths)
    what = []
    if missing:
        what.append(f"{plural(missing, 'image')} of {_last(earlier)} {agreeing(missing, 'is')} missing here")
    if changed:
        has = agreeing(len(changed), "has")
        others = f"{plural(len(changed), 'image')} of {_last(earlier)} {has}"
        what.append(f"{others} another label, group or decision now, or fewer copies (e.g. {changed[0]})")
    raise UserError(
        f"{', and '.join(what)}: a claim that may be looked at any time holds only if images are added and none is "
        f"taken away or changed ({place} knows them). Bring them back; or begin again: another output=, and images "
        "that no look has seen"
    )


def _validate_groups_complete(earlier: Looks, rows: Sequence[Prediction], thresholds: Thresholds) -> None:
    """Refuse images that were added to a group which the look before has counted as a whole."""
    known, groups = Counter(earlier.images), set(earlier.groups)
    for row in rows:
        mark = _mark(row, thresholds)
        known[mark] -= 1
        if known[mark] < 0 and _digits(row.group) in groups:
            raise UserError(
                f"{row.path} was added to group {row.group}, which {_last(earlier)} has counted: a group counts as it "
                "was when it was looked at, so that only complete groups may stand in the table. Leave out what came "
                "after, and add whole groups"
            )


def _last(looks: Looks) -> str:
    return f"look {len(looks.looks)} ({looks.looks[-1].when})"


def _statement(certificate: Certificate, looks: Looks, overkill: Interval | None) -> str:
    noun, look, confidence = _noun(looks.unit), looks.looks[-1], percent_exactly(certificate.confidence)
    claim = f"escape rate of {noun} <= {percent_at_most(look.bound)} at {confidence} confidence, at any time of looking"
    passing = f"{look.escapes} of {look.ng} NG {noun} pass"
    if looks.unit == "group":
        has = agreeing(look.escapes, "has")
        passing = (
            f"{look.escapes:,} of {look.ng:,} groups with NG parts {has} one that passes; by part "
            f"{certificate.escaped_parts:,} of {plural(certificate.ng_parts, 'NG part')} pass, of which nothing "
            "is promised"
        )
    seen = f"look {len(looks.looks)}: {_sizes(looks.looks)} NG {noun}; {passing}"
    if overkill is not None:
        rate, high = percent(look.overkills / look.go), percent_at_most(overkill.high)
        unit = "GO groups that have one" if looks.unit == "group" else "GO parts"
        where = f"{100 * overkill.low:.3g} to {high}, likewise; {look.overkills:,} of {look.go:,}"
        claim += f"; overkill {rate} of {unit} ({where})"
    if look.granted:
        return f"{claim} ({seen})"
    more = parts_needed_sequential(look.escape_rate, certificate.confidence, look.escapes) - look.ng
    return (
        f"{claim}, is all that can be said so far, and {percent(look.escape_rate)} was asked for ({seen}; {more:,} "
        f"more NG {noun} without an escape would do)"
    )


def _by_type(types: Sequence[TypeEscapes], order: Sequence[str], confidence: float) -> tuple[TypeEscapes, ...]:
    """Return the bounds of all types together, at any time of looking, though types may appear later.

    The type that appeared as number k has the share 6 / (pi k)^2 of the error; these shares add up to 1.
    """
    bounded = []
    for item in types:
        share = 6 / (math.pi * (order.index(item.defect_type) + 1)) ** 2
        bound = upper_bound_sequential(item.escapes, item.ng, 1 - (1 - confidence) * share)
        bounded.append(replace(item, bound=bound))
    return tuple(sorted(bounded, key=lambda item: (-item.bound, item.defect_type)))


def _what_must_hold(looks: Looks, earlier: Looks | None) -> str:
    text = f"it holds at any look if NG {_noun(looks.unit)} are added as they come, and none for how it was decided"
    if looks.unit == "group":
        text += ", and if groups are complete when they are added"
    if earlier is None:
        return f"{text}; that images are only ever added is checked from the next look on"
    return f"{text}; the {plural(len(earlier.images), 'image')} of the look before are all here, unchanged"


def _mark(row: Prediction, thresholds: Thresholds) -> str:
    assert row.probability is not None
    facts = (str(row.label), row.group, thresholds.decide(row.probability))
    return _digits(_identity(row)) + _digits("\t".join(facts))


def _identity(row: Prediction) -> str:
    return row.content or row.path


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]


def _sizes(looks: Sequence[Look]) -> str:
    sizes = [f"{look.ng:,}" for look in looks]
    return ", ".join(sizes if len(sizes) <= SHOWN else [*sizes[: SHOWN // 2], "...", *sizes[-SHOWN // 2 :]])


def _noun(unit: str) -> str:
    return "groups" if unit == "group" else "parts"


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return Thresholds(*value).in_words()
    return percent(value) if isinstance(value, float) else str(value)
