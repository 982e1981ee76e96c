"""What makes the numbers of a report less than they seem, in sentences."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fancnn.data.labeled_images import copies_across_splits
from fancnn.data.seen_images import seen_sentences
from fancnn.metrics.clusters import natural_groups
from fancnn.metrics.intervals import parts_needed, upper_bound
from fancnn.metrics.parts import uneven_parts
from fancnn.metrics.rounding import percent_at_most
from fancnn.pages.formatting import percent
from fancnn.pages.gallery import Thumbnail, kind_of
from fancnn.plurals import agreeing, plural
from fancnn.report.report_data import ReportData
from fancnn.runs.looks import NOT_KNOWN, Looks
from fancnn.settings.groups import ALL
from fancnn.training.diagnosis import diagnose

IMBALANCE = 3.0
GAP = 1.5
ENOUGH = parts_needed(0.01)

PROVENANCE = {
    "val": "the validation split, which also chose the epoch and, where they were fitted, the thresholds and the "
    "calibration: optimistic",
    "train": "the training split, which the network has learnt: they say next to nothing of other parts",
    "all": "images that name no split: it is taken that the model has never seen them",
}


def rests_on(material: ReportData) -> str:
    """Return which images the headline is about, and what else they were used for."""
    counts, split = material.counts, material.split
    judged = plural(counts.go + counts.ng, "part" if material.of_parts else "image")
    in_images = f" in {plural(len(material.judged_images), 'image')}" if material.of_parts else ""
    sizes = f"{judged}{in_images}, {counts.go:,} GO and {counts.ng:,} NG"
    basis = PROVENANCE.get(split, f"the split {split}")
    if split == "test":
        again = bool(material.known.decided_again)
        basis = f"the test split{_looked_at(material.looks, decided_again=again)}"
    elif split == ALL and material.looks is not None and not material.looks.alone:
        basis += _looked_at(material.looks)
    if split == "test" and _chosen_on(material, "test"):
        basis = "the test split, on which the thresholds were chosen: optimistic"
    return f"These numbers rest on {basis} ({sizes})."


def _looked_at(looks: Looks | None, *, decided_again: bool = False) -> str:
    """Return what test images may have been used for, by how often they were looked at."""
    if looks is None:
        return f"; {NOT_KNOWN}, so they may have guided choices"
    if looks.alone and not decided_again:
        return ", which was used to choose nothing: look 1 at these images"
    if looks.alone:
        return "; look 1 at these images, and the thresholds were chosen again after it"
    return f"; {looks.in_words()}, so {'earlier' if looks.before else 'later'} results may have guided choices"


def warnings(material: ReportData, shown: Iterable[Thumbnail] = ()) -> list[str]:
    """Return sentences, what matters most first; empty where nothing deserves one; `shown` is what the page shows."""
    sources = (_of_the_shown_split, _of_numbers, _of_the_training, _of_the_split, _of_files)
    return [*(sentence for source in sources for sentence in source(material)), *_of_images(shown)]


def ng_groups(material: ReportData) -> int | None:
    """Return how many groups the NG parts are of, where groups are what is independent; else None."""
    if natural_groups([row.group for row in material.judged]) is None:
        return None
    return len({row.group for row in material.judged if row.label == 1})


def independent_ng(material: ReportData) -> int:
    """Return NG parts that are independent of each other: one for each group, where there are groups."""
    groups = ng_groups(material)
    return material.counts.ng if groups is None else groups


def proof(ng: int, groups: int | None = None) -> str:
    """Return what so many NG parts can prove at best; of `groups`, each proves as much as one part."""
    needed = f"at a single look an escape rate of at most 1 % takes {ENOUGH} NG parts without one escape, 0.1 % takes "
    needed += f"{parts_needed(0.001):,}"
    if ng == 0:
        return f"Without NG parts nothing can be said of escapes: {needed}."
    best = percent_at_most(upper_bound(0, ng if groups is None else groups))
    parts = plural(ng, "NG part")
    if groups is not None:
        parts, needed = f"{parts} of {plural(groups, 'group')}", f"{needed}, each of a group of its own"
    of = "" if groups is None else " of groups"
    return f"The most that {parts} can prove, if none escapes, is an escape rate{of} of at most {best}: {needed}."


def _of_the_shown_split(material: ReportData) -> Iterator[str]:
    if material.split == "val":
        yield (
            "Only validation numbers are known, and validation chose the epoch: expect somewhat worse on new parts. "
            + (
                f"The test split waits for its look: python -m fancnn.evaluate run={material.place}."
                if any(image.split == "test" for image in material.images)
                else "data.test_fraction=0.2 keeps a split for one last look."
            )
        )
    if material.split == "train":
        yield "These are numbers of the training images; judge the model on others."
    if material.metrics and not material.own_thresholds:
        yield "The thresholds were given for this report; the model itself decides by its own."
    yield from _seen(material)
    if unknown := sum(row.label is None for row in material.rows):
        yield f"{plural(unknown, 'image')} of unknown truth are left out."


def _seen(material: ReportData) -> Iterator[str]:
    """Yield warnings of images that the model has seen in other ways than the split alone shows."""
    images = material.judged_images
    roles = Counter(role for row in images for role in row.roles or ())
    for sentence in seen_sentences(roles, len(images), material.split):
        yield f"{sentence}."
    if material.known.seen_complete is False:
        yield "Which images the model has seen is not recorded in full; some of these may be among them."
    if material.known.scored_by:
        yield f"No one model is what is shown here: {material.known.scored_by}."


def _of_numbers(material: ReportData) -> Iterator[str]:
    counts = material.counts
    for count, name, lost in ((counts.ng, "NG", "escapes"), (counts.go, "GO", "overkills")):
        if count == 0:
            yield f"There are no {name} parts among these images: whatever needs them is undefined, {lost} above all."
    if counts.ng and independent_ng(material) < ENOUGH:
        yield f"Few bad parts. {proof(counts.ng, ng_groups(material))}"
    test, val = (material.splits.get(split, {}) for split in ("test", "val"))
    if _apart(test, val):
        yield (
            f"Accuracy is {percent(test['accuracy'])} on test and {percent(val['accuracy'])} on validation, more apart "
            "than chance explains: the two splits differ in kind, or much was chosen on validation."
        )


def _of_the_training(material: ReportData) -> Iterator[str]:
    labels = Counter(image.label for image in material.images if image.split == "train")
    few, many = sorted((labels[0], labels[1]))
    if few and many / few >= IMBALANCE:
        rare = "NG" if labels[1] < labels[0] else "GO"
        yield f"Training saw {many / few:.1f} times as many images of one class as of the other ({few:,} {rare})."
    chosen = material.known.epoch
    row = next((row for row in material.history if row["epoch"] == chosen), {})
    train, val = row.get("train/loss"), row.get("val/loss")
    if train is not None and val is not None and val > GAP * train and val - train > 0.05:
        yield (
            f"At the chosen epoch the loss is {train:.3f} on training and {val:.3f} on validation: the network knows "
            "its training images better than others. More images help most."
        )
    findings = diagnose(material.history)
    kept = material.known.warnings
    yield from map(str, findings) if kept is None else kept  # those of the run itself know dead layers, too
    unfinished = any(finding.kind == "still falling" for finding in findings)
    if len(material.history) > 1 and chosen == len(material.history) and not unfinished:
        yield "The last epoch was the best: longer training (trainer.max_epochs) may still help."


def _of_the_split(material: ReportData) -> Iterator[str]:
    if copies := copies_across_splits(material.images):
        yield f"{plural(copies, 'image')} have a copy of the same pixels in another split: the scores are too good."
    splits: dict[str, set[str]] = defaultdict(set)
    for image in material.images:
        if image.group:
            splits[image.group].add(image.split)
    if shared := sum(len(of_group) > 1 for of_group in splits.values()):
        yield (
            f"Groups in several splits: {shared:,} of {len(splits):,}. Images of one lot or panel are alike, and the "
            "scores are too good. data.split_method=grouped keeps them together."
        )
    trained = {kind_of(p.class_name, p.defect_type) for p in material.images if p.split == "train" and p.label == 1}
    judged = {kind_of(row.class_name, row.defect_type) for row in material.judged if row.label == 1}
    if trained and (unseen := sorted(judged - trained)):
        yield f"Never seen in training: {', '.join(unseen[:5])}{' and others' if len(unseen) > 5 else ''}."


def _of_files(material: ReportData) -> Iterator[str]:
    if uneven := uneven_parts(row.part for row in material.rows):
        yield f"{uneven[0].upper()}{uneven[1:]}."
    if material.skipped:
        first = material.skipped[0]
        yield (
            f"{plural(len(material.skipped), 'file')} could not be read and were left out; skipped.csv lists them, "
            f"first {first['path']} ({first['reason']})."
        )
    if unread := sum(row.probability is None for row in material.rows):
        why = "could not be read, or the network's output for them was no finite number"
        yield f"{plural(unread, 'image')} {why}: they have no decision."


def _of_images(shown: Iterable[Thumbnail]) -> Iterator[str]:
    """Yield warnings of files that are not what was scored; an image that is shown twice counts once."""
    once = {thumbnail.path: thumbnail for thumbnail in shown}.values()
    changed = sum(thumbnail.changed for thumbnail in once)
    gone = sum(bool(thumbnail.missing) for thumbnail in once) - changed
    if changed:
        has = agreeing(changed, "has")
        yield f"Of {plural(len(once), 'image')} on this page {changed:,} {has} changed since the model scored them."
    if gone:
        yield f"Of {plural(len(once), 'image')} on this page {gone:,} cannot be shown: missing or unreadable now."


def _chosen_on(material: ReportData, split: str) -> bool:
    known = material.known
    fitted = not (known.decision or "fixed").startswith(("fixed", "as configured"))  # the latter: before
    return bool(fitted and known.decision_split == split and material.own_thresholds)


def _apart(test: Any, val: Any) -> bool:
    """Return whether the intervals of two splits' accuracy do not meet."""
    pair = [split.get("intervals", {}).get("accuracy") for split in (test, val)]
    if not all(pair):
        return False
    (low, high), (other_low, other_high) = pair
    return bool(low > other_high or other_low > high)
