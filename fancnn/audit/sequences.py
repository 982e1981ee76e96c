"""Numbers in file names whose neighbors look alike: frames of one part, or images of one lot."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fancnn.audit.audit_checks import Finding, Item
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage
from fancnn.plurals import plural

SHORTEST = 3  # images
ALIKE = 0.1  # of pairs at random that are as alike as neighbors of a sequence
NOTABLE = 0.5  # of neighbors that have to be so: by chance a tenth is
FEWEST = 10  # neighbors
SEED = 0

Grays = NDArray[np.float32]


def sequences(images: Sequence[LabeledImage], facts: Sequence[ImageFacts]) -> list[list[int]]:
    """Return runs of images with rising numbers in their names that look alike, each of `SHORTEST` or more."""
    if len(images) < 2:
        return []
    grays = np.stack([item.gray.reshape(-1) for item in facts]).astype(np.float32)
    grays -= grays.mean(1, keepdims=True)
    grays /= np.maximum(np.sqrt((grays * grays).sum(1, keepdims=True)), 1e-6)
    runs: list[list[int]] = []
    for members in _numbered(images):
        alike = (grays[members[:-1]] * grays[members[1:]]).sum(1)
        if len(alike) < FEWEST:
            continue
        near = alike > _usual(grays, members)
        if near.mean() >= NOTABLE:
            runs += _runs(members, near)
    return runs


def sequence_findings(images: Sequence[LabeledImage], runs: Sequence[Sequence[int]]) -> Iterator[Finding]:
    """Yield that there are sequences."""
    if runs:
        total = sum(map(len, runs))
        items = tuple(Item(images[run[0]].path, images[run[-1]].path, plural(len(run), "image")) for run in runs)
        yield Finding(
            "A008",
            f"{plural(total, 'image')} in {plural(len(runs), 'sequence')}: names in order, neighbors alike",
            items,
            "If each is one part or lot, keep it in one split: groups.csv names the sequence of each image.",
        )


def _numbered(images: Sequence[LabeledImage]) -> Iterator[list[int]]:
    """Yield the images of a folder whose names differ in their last number alone, in its order."""
    by_frame: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for place, image in enumerate(images):
        path = PurePosixPath(image.path)
        if match := re.fullmatch(r"(.*?)(\d{1,15})(\D*)", path.stem):
            by_frame[str(path.parent), match[1], match[3]].append((int(match[2]), place))
    for members in by_frame.values():
        yield [place for _, place in sorted(members)]


def _usual(grays: Grays, members: Sequence[int]) -> float:
    """Return how alike the most alike tenth of pairs at random are."""
    generator = np.random.default_rng(SEED)
    first, second = generator.integers(0, len(members), (2, 1000))
    apart = np.abs(first - second) > 1
    chosen = np.asarray(members)
    pairs = (grays[chosen[first[apart]]] * grays[chosen[second[apart]]]).sum(1)
    return float(np.quantile(pairs, 1 - ALIKE))


def _runs(members: Sequence[int], near: NDArray[np.bool_]) -> Iterator[list[int]]:
    run = [members[0]]
    for place, joined in zip(members[1:], near, strict=True):
        if not joined:
            if len(run) >= SHORTEST:
                yield run
            run = []
        run.append(place)
    if len(run) >= SHORTEST:
        yield run
