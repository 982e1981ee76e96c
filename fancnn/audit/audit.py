"""The story of `python -m fancnn.audit`: what is wrong with a folder of images, before anything is trained on it.

`audit.csv`, version 1: a row for each image that a finding is about: code, severity, path, other (the image that it is
held against), detail, and silenced (the reason, where it does not count).

`groups.csv`, version 1, a row for each image that can be read:

| column | meaning |
| --- | --- |
| image | relative to the root, with `/` |
| class, label | name of the class folder; 0 GO, 1 NG |
| group | `data.group` of the image; else the first image that it shares a photograph with, itself where there is none |
| sequence | the first image of its sequence; empty where it is in none |
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fancnn import assembly
from fancnn.audit.audit_checks import Finding, Item
from fancnn.audit.audit_page import audit_page
from fancnn.audit.copies import Copies, copy_findings, find_copies
from fancnn.audit.outliers import outlier_findings
from fancnn.audit.sequences import sequence_findings, sequences
from fancnn.audit.settings import AuditSettings
from fancnn.audit.shortcuts import run_probes, shortcut_findings
from fancnn.data.folders import list_images, validate_for_training
from fancnn.data.image_facts import ImageFacts, read_facts
from fancnn.data.labeled_images import LabeledImage
from fancnn.data.path_names import names_in_paths
from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_text
from fancnn.files.tables import table_writer
from fancnn.images.image_gate import ImageGate
from fancnn.metrics.intervals import parts_needed, upper_bound
from fancnn.plurals import plural
from fancnn.system.cache_folder import cache_folder
from fancnn.system.console import say, track

VERSION = 1
AUDIT_COLUMNS = ("code", "severity", "path", "other", "detail", "silenced")
GROUP_COLUMNS = ("image", "class", "label", "group", "sequence")
USUAL_CLAIM = 0.01  # escape rate
PRINTED = 3  # images of a finding, on the terminal


@dataclass(frozen=True)
class Audited:
    """What an audit came to: images that can be read, what is known of them, and what was found."""

    root: Path
    images: tuple[LabeledImage, ...]
    facts: tuple[ImageFacts, ...]
    copies: Copies
    runs: tuple[tuple[int, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Return whether nothing but notes and what is silenced was found."""
        return not any(finding.counts for finding in self.findings)


def audit(settings: AuditSettings) -> bool:
    """Audit the images, print what was found, leave `audit.html`, `audit.csv` and `groups.csv`.

    Returns:
        Whether nothing but notes and what is silenced was found.

    Raises:
        UserError: If there are no images to audit, or `data.group` does not fit their paths.
    """
    audited = audit_images(settings)
    output = Path(settings.output_dir)
    _write(audited, output)
    with atomic_text(output / "audit.html") as file:
        file.write(audit_page(audited.root, audited.images, audited.facts, audited.findings))
    _print(audited)
    say(f"\naudit.html, audit.csv and groups.csv: {output}")
    return audited.clean


def audit_images(settings: AuditSettings) -> Audited:
    """Read the images and run every check; nothing is printed but progress."""
    root = assembly.images_root(settings.data)
    listing = list_images(root, settings.data.go_class)
    validate_for_training(listing, settings.data.go_class)
    names = [image.path for image in listing.images]
    groups = names_in_paths(names, settings.data.group, "data.group") if settings.data.group else [""] * len(names)
    all_facts = _facts(settings, root, names)
    if all(item.error for item in all_facts):
        raise UserError(
            f"none of {plural(len(names), 'file')} under {root} can be read; the first: {all_facts[0].error}"
        )
    readable = [place for place, item in enumerate(all_facts) if not item.error]
    facts = [all_facts[place] for place in readable]
    images = [
        replace(listing.images[place], group=groups[place], sha256=item.sha256, pixel_sha256=item.pixel_sha256)
        for place, item in zip(readable, facts, strict=True)
    ]
    copies = find_copies(facts, _progress("comparing images"))
    runs = sequences(images, facts)
    findings = [
        *_unreadable(all_facts),
        *copy_findings(images, copies),
        *sequence_findings(images, runs),
        *outlier_findings(images, facts),
        *shortcut_findings(run_probes(images, facts, copies.clusters)),
        *_few(images, copies),
    ]
    silenced = [replace(item, silenced=(settings.silence or {}).get(item.code, "")) for item in findings]
    order = {"error": 0, "warning": 1, "note": 2}
    silenced.sort(key=lambda item: (bool(item.silenced), order[item.check.severity], item.code))
    return Audited(root, tuple(images), tuple(facts), copies, tuple(map(tuple, runs)), tuple(silenced))


def _facts(settings: AuditSettings, root: Path, names: Sequence[str]) -> list[ImageFacts]:
    gate, shown = ImageGate(settings.image_limits), _progress("reading images")
    kept = settings.data.cache
    if kept is None:
        return read_facts(root, names, gate, progress=shown)
    folder = (cache_folder() if kept == "auto" else Path(kept).expanduser()) / "facts"
    try:
        return read_facts(root, names, gate, folder, shown)
    except OSError as error:
        say(f"warning: what is read cannot be kept in {folder} ({error.strerror or error}); going on without")
        return read_facts(root, names, gate, progress=shown)


def _progress(description: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    return lambda items, total: track(items, description, total)


def _unreadable(facts: Sequence[ImageFacts]) -> Iterator[Finding]:
    bad = [Item(item.path, detail=item.error) for item in facts if item.error]
    if bad:
        advice = "Mend or remove them, or train with data.on_bad_file=skip."
        yield Finding("A001", f"{len(bad):,} of {plural(len(facts), 'file')} cannot be read", tuple(bad), advice)


def _few(images: Sequence[LabeledImage], copies: Copies) -> Iterator[Finding]:
    """Yield how far a claim could go, if all NG images were a test without a mistake; a copy counts once."""
    units = {image.group or copies.clusters[place] for place, image in enumerate(images) if image.label == 1}
    needed = parts_needed(USUAL_CLAIM)
    if 0 < len(units) < needed:
        bound = math.ceil(1000 * upper_bound(0, len(units))) / 10
        yield Finding(
            "A015",
            f"{plural(len(units), 'NG image')} (or groups) that are independent: if all were tested and none escaped, "
            f"an escape rate below {bound:g} % would be proven; 1 % takes {needed}",
        )


def _write(audited: Audited, output: Path) -> None:
    with table_writer(output / "audit.csv", AUDIT_COLUMNS, VERSION) as add:
        for finding in audited.findings:
            for item in finding.items or (Item("", detail=finding.says),):
                row = {"code": finding.code, "severity": finding.check.severity, "silenced": finding.silenced}
                add({**row, "path": item.path, "other": item.other, "detail": item.detail})
    sequence_of = {place: run[0] for run in audited.runs for place in run}
    with table_writer(output / "groups.csv", GROUP_COLUMNS, VERSION) as add:
        for place, image in enumerate(audited.images):
            first = sequence_of.get(place)
            add(
                {
                    **{"image": image.path, "class": image.class_name, "label": image.label},
                    "group": image.group or audited.images[audited.copies.clusters[place]].path,
                    "sequence": "" if first is None else audited.images[first].path,
                }
            )


def _print(audited: Audited) -> None:
    counts = Counter("NG" if image.label else "GO" for image in audited.images)
    say(f"{audited.root}: {counts['GO']:,} GO and {counts['NG']:,} NG images")
    for finding in audited.findings:
        state = f"silenced: {finding.silenced}" if finding.silenced else finding.check.severity
        say(f"{finding.code} {finding.check.title} ({state}): {finding.says}")
        for item in finding.items[:PRINTED]:
            say(f"     {' ~ '.join(filter(None, (item.path, item.other)))}{item.detail and f' ({item.detail})'}")
        if len(finding.items) > PRINTED:
            say(f"     and {len(finding.items) - PRINTED:,} more")
        if finding.advice and not finding.silenced:
            say(f"     {finding.advice}")
    if not audited.findings:
        say("no check found anything")
