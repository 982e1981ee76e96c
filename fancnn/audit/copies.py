"""Which images are copies of one another, and where such copies must not be: in two classes, splits or groups."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from fancnn.audit.audit_checks import Finding, Item
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage
from fancnn.data.near_duplicates import Progress, near_duplicates
from fancnn.data.union_find import joined
from fancnn.plurals import plural

LARGE = 0.2  # share of all images: a chain of near-duplicates that long divides into splits no more
BYTES, PIXELS = "the same bytes", "the same pixels"


@dataclass(frozen=True)
class Copy:
    """Two images that are copies: numbers in the list, what the second is of the first, and how alike they are."""

    first: int
    second: int
    what: str
    correlation: float = 1.0


@dataclass(frozen=True)
class Copies:
    """All copies among images.

    Attributes:
        pairs: Each copy with one that it is a copy of.
        clusters: Of each image the first one that it is joined with.
    """

    pairs: tuple[Copy, ...]
    clusters: tuple[int, ...]


def find_copies(facts: Sequence[ImageFacts], progress: Progress = lambda blocks, total: blocks) -> Copies:
    """Return all copies among images that can be read: of bytes, of pixels, and of the photograph."""
    pairs = [*_equal(facts, lambda item: item.sha256, BYTES)]
    first_of: dict[str, int] = {}
    distinct = [place for place, item in enumerate(facts) if first_of.setdefault(item.pixel_sha256, place) == place]
    pairs += (pair for pair in _equal(facts, lambda item: item.pixel_sha256, PIXELS) if not _same(facts, pair))
    if len(distinct) > 1:
        grays = torch.stack([torch.from_numpy(facts[place].gray) for place in distinct])
        pairs += (
            Copy(distinct[one.first], distinct[one.second], ", ".join(one.changes), one.correlation)
            for one in near_duplicates(grays, progress)
        )
    clusters = joined(len(facts), ((pair.first, pair.second) for pair in pairs))
    return Copies(tuple(pairs), tuple(clusters))


def copy_findings(images: Sequence[LabeledImage], copies: Copies) -> Iterator[Finding]:
    """Yield what copies there are, and what is wrong with where they are."""
    of_bytes = [pair for pair in copies.pairs if pair.what == BYTES]
    of_pixels = [pair for pair in copies.pairs if pair.what == PIXELS]
    near = [pair for pair in copies.pairs if pair.what not in (BYTES, PIXELS)]
    if of_bytes:
        yield Finding(
            "A002", f"{plural(len(of_bytes), 'file')} repeat another one byte for byte", _items(images, of_bytes)
        )
    if of_pixels:
        yield Finding(
            "A003", f"{plural(len(of_pixels), 'file')} have the pixels of another one", _items(images, of_pixels)
        )
    if near:
        yield _near_duplicates(images, copies, near)
    for code, of, where in (
        ("A005", lambda image: str(image.label), "are in GO and in NG"),
        ("A006", lambda image: image.split, "are in two splits"),
        ("A007", lambda image: image.group, "are in two groups"),
    ):
        divided = [pair for pair in copies.pairs if of(images[pair.first]) != of(images[pair.second])]
        if divided:
            yield Finding(code, f"{plural(len(divided), 'pair')} of copies {where}", _items(images, divided))


def _near_duplicates(images: Sequence[LabeledImage], copies: Copies, near: Sequence[Copy]) -> Finding:
    members = defaultdict[int, set[int]](set)
    for pair in near:
        members[copies.clusters[pair.first]] |= {pair.first, pair.second}
    sets = list(members.values())
    largest = max(map(len, sets))
    kinds = defaultdict[str, int](int)
    for pair in near:
        kinds[pair.what] += 1
    common = ", ".join(f"{what} ({count:,})" for what, count in sorted(kinds.items(), key=lambda item: -item[1])[:4])
    chain = ""
    if largest > LARGE * len(images):
        chain = f" The largest set has {largest:,} of {len(images):,} images: do they only look alike?"
    return Finding(
        "A004",
        f"{plural(sum(map(len, sets)), 'image')} in {plural(len(sets), 'set')} share a photograph: {common}",
        _items(images, sorted(near, key=lambda pair: -pair.correlation)),
        "Keep each set in one split: groups.csv names the set of each image." + chain,
    )


def _items(images: Sequence[LabeledImage], pairs: Sequence[Copy]) -> tuple[Item, ...]:
    return tuple(Item(images[pair.second].path, images[pair.first].path, pair.what) for pair in pairs)


def _equal(facts: Sequence[ImageFacts], content: Callable[[ImageFacts], str], what: str) -> Iterator[Copy]:
    first: dict[str, int] = {}
    for place, item in enumerate(facts):
        if (key := content(item)) and first.setdefault(key, place) != place:
            yield Copy(first[key], place, what)


def _same(facts: Sequence[ImageFacts], pair: Copy) -> bool:
    return facts[pair.first].sha256 == facts[pair.second].sha256
