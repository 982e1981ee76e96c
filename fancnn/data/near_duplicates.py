"""Find images that show one photograph: turned, mirrored, cropped, shifted, blurred, re-lit or compressed again.

Each image is compared with those whose descriptors are nearest (`fancnn.data.fingerprints`), laid over them
(`fancnn.data.registration`), and held against what different photographs of this same set have in common: where parts
lie in a fixture, all of them are alike. What is left unexplained in a pair of copies has to be a small share
(`UNLIKE`) of what is left between either image and its fifth nearest neighbor.

Missed: copies that were turned by other angles than quarters, cut to less than 0.8 of their sides, or distorted.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fancnn.data.fingerprints import SCALES, SIDE, descriptors
from fancnn.data.registration import STEPS, TURNS, Alignment, align, coarse_alignment, definiteness, laid_over
from fancnn.data.union_find import joined

NEIGHBORS = 6  # asked for at each scale
KEPT = 12  # of an image, over all scales
BRUTE_FORCE = 12_000  # images up to which each is compared with each
PROBED = 12  # cells in which a neighbor is looked for
AT_ONCE = 256  # pairs
LEAST_PEAK, LEAST_CORRELATION = 0.85, 0.98
FIRST_STEPS, HOPEFUL = 2, 0.93  # after these steps a pair of copies is that alike, and only such are looked at on
DEFINITE = 0.003  # below it an image shows little more than an edge, which fits the edge of any other
USUAL = 5  # the neighbor that is taken for a different photograph
UNLIKE = 0.2  # of what is unexplained between an image and that neighbor, at most
MOST_COPIES = 64  # of one photograph that are known for such where an image has more than four
MOST_OF_ALL = 1 / 3  # of the images that these may be: of a folder of parts in one fixture all are alike
APART = 2.5  # times as much unexplained as in copies: what such a cluster has to be from all others
DRAWN = 32  # pairs of a cluster
EVEN = 3.0  # gray levels: an image of less deviation shows nothing that could be recognized
SEED = 0

SHIFTED = 0.015  # of the side
CROPPED = 0.975
RELIT, BRIGHTER = 0.06, 6.0  # change of the contrast, and gray levels
BLURRED = 0.85  # of the fine detail that the other one has


Progress = Callable[[Iterable[Tensor], int], Iterable[Tensor]]


@dataclass(frozen=True)
class NearDuplicate:
    """Two images of one photograph.

    Attributes:
        first: Number of the image that shows more, or is sharper, so that the other was made from it, if one was.
        second: Number of the other.
        changes: What was done to it, a few of `turned by 90 degrees` and the like, `cropped`, `shifted`, `exposure`,
            `blurred`; `compressed` where nothing else is seen.
        correlation: Of what both show.
    """

    first: int
    second: int
    changes: tuple[str, ...]
    correlation: float


def near_duplicates(grays: Tensor, progress: Progress = lambda blocks, total: blocks) -> list[NearDuplicate]:
    """Return pairs of images that show one photograph.

    Args:
        grays: `(n, SIDE, SIDE)` uint8, the whole image in each, whatever its shape.
        progress: Passes blocks of pairs on, for a progress bar; gets how many there will be.
    """
    if len(grays) < 2:
        return []
    uneven = (grays.flatten(1).float().std(1, correction=0) >= EVEN).nonzero()[:, 0]
    if len(uneven) < 2:
        return []
    shown = grays[uneven]
    searched = descriptors(shown)
    pairs = candidate_pairs(searched)
    blocks = torch.split(pairs.rows, AT_ONCE)
    aligned = [_aligned(shown, pairs.of(rows)) for rows in progress(blocks, len(blocks))]
    alignment = _joined(aligned)
    unexplained = 1 - alignment.correlation.clamp(min=0)
    usual = _fifth(len(shown), pairs, unexplained)
    usual[_many_of_one(shown, pairs, unexplained)] = 1.0
    bound = UNLIKE * torch.minimum(usual[pairs.first], usual[pairs.second])
    definite = definiteness(shown) >= DEFINITE
    certain = definite[pairs.first] & definite[pairs.second]
    copies = (certain & (unexplained <= 1 - LEAST_CORRELATION) & (unexplained < bound)).nonzero()[:, 0]
    changes = _changes(shown, pairs.of(copies), alignment[copies])
    return [
        NearDuplicate(int(uneven[first]), int(uneven[second]), words, correlation)
        for (first, second), words, correlation in changes
    ]


@dataclass
class Pairs:
    """Images to be compared: the first one is cut to `scales`, the second one is taken as it is; each `(n,)`."""

    first: Tensor
    second: Tensor
    scales: Tensor

    @property
    def rows(self) -> Tensor:
        return torch.arange(len(self.first))

    def of(self, rows: Tensor) -> "Pairs":
        return Pairs(self.first[rows], self.second[rows], self.scales[rows])


def candidate_pairs(searched: Sequence[Tensor]) -> Pairs:
    """Return for each image the pairs with its nearest neighbors, each pair once, at the scale at which it is nearest.

    Args:
        searched: Descriptors by scale, see `fancnn.data.fingerprints.descriptors`.
    """
    base, best = searched[0], dict[tuple[int, int], tuple[float, int, int, float]]()
    search = _search(base)
    distances, places, scales = [], [], []
    for scale, queries in zip(SCALES, searched, strict=True):
        distance, place = search(queries)
        distances.append(distance)
        places.append(place)
        scales.append(torch.full_like(distance, scale))
    distance, place, scale_of = torch.cat(distances, 1), torch.cat(places, 1), torch.cat(scales, 1)
    order = distance.argsort(1)[:, : 2 * KEPT]
    columns = (item.gather(1, order).tolist() for item in (distance, place, scale_of))
    for image, (near, others, shares) in enumerate(zip(*columns, strict=True)):
        taken = set[int]()
        for how_far, other, share in zip(near, others, shares, strict=True):
            if other in taken or other == image or not math.isfinite(how_far) or len(taken) == KEPT:
                continue
            taken.add(other)
            key = (min(image, other), max(image, other))
            if key not in best or how_far < best[key][0]:
                best[key] = (how_far, image, other, share)
    rows = [(image, other, share) for _, image, other, share in best.values()]
    first, second, shares = zip(*rows, strict=True) if rows else ((), (), ())
    return Pairs(torch.tensor(first, dtype=torch.long), torch.tensor(second, dtype=torch.long), torch.tensor(shares))


def _search(base: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return a function that finds the nearest rows of `base` to each query: squared distances, and their places."""
    if len(base) <= BRUTE_FORCE:
        return lambda queries: _nearest(queries, base, torch.arange(len(base)))
    centers = _centers(base)
    cell_of = torch.cat([torch.cdist(block, centers).argmin(1) for block in torch.split(base, 4096)])
    members = [(cell_of == cell).nonzero()[:, 0] for cell in range(len(centers))]

    def search(queries: Tensor) -> tuple[Tensor, Tensor]:
        distance = torch.full((len(queries), NEIGHBORS + 1), math.inf)
        place = torch.zeros((len(queries), NEIGHBORS + 1), dtype=torch.long)
        probes = torch.cat(
            [torch.cdist(b, centers).topk(PROBED, largest=False).indices for b in torch.split(queries, 4096)]
        )
        for cell, rows in enumerate(members):
            asking = (probes == cell).any(1).nonzero()[:, 0]
            if not len(asking) or not len(rows):
                continue
            near, where = _nearest(queries[asking], base[rows], rows)
            both = torch.cat([distance[asking], near], 1), torch.cat([place[asking], where], 1)
            kept = both[0].topk(NEIGHBORS + 1, largest=False)
            distance[asking], place[asking] = kept.values, both[1].gather(1, kept.indices)
        return distance, place

    return search


def _nearest(queries: Tensor, base: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
    count = min(NEIGHBORS + 1, len(base))
    squares = base.square().sum(1)
    nearest = [
        (squares - 2 * block @ base.T + block.square().sum(1, keepdim=True)).topk(count, largest=False)
        for block in torch.split(queries, 1024)
    ]
    return torch.cat([item.values for item in nearest]), names[torch.cat([item.indices for item in nearest])]


def _centers(base: Tensor, rounds: int = 6) -> Tensor:
    """Return centers of cells of like images: a few rounds of k-means on a sample."""
    generator = torch.Generator().manual_seed(SEED)
    sample = base[torch.randperm(len(base), generator=generator)[: 40 * _cells(len(base))]]
    centers = sample[: _cells(len(base))].clone()
    for _ in range(rounds):
        nearest = torch.cdist(sample, centers).argmin(1)
        sums = torch.zeros_like(centers).index_add_(0, nearest, sample)
        counts = nearest.bincount(minlength=len(centers))[:, None]
        centers = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
    return centers


def _cells(count: int) -> int:
    return int(2 * count**0.5)


def _aligned(grays: Tensor, pairs: Pairs) -> Alignment:
    """Return how the first images lie over the second ones; a correlation of -1 where they are plainly different."""
    first, second = grays[pairs.first].float(), grays[pairs.second].float()
    turn, shift, peak = coarse_alignment(first, second, pairs.scales)
    shares = 2 * shift / (SIDE - 1) * pairs.scales[:, None]
    affine = torch.stack([pairs.scales, -shares[:, 0], pairs.scales, -shares[:, 1]], 1)
    count = len(first)
    result = Alignment(turn, affine, -torch.ones(count), torch.ones(count), torch.zeros(count))
    likely = (peak >= LEAST_PEAK).nonzero()[:, 0]
    for steps in FIRST_STEPS, STEPS:
        if len(likely):
            result.put(likely, align(first[likely], second[likely], turn[likely], result.affine[likely], steps))
        likely = likely[result.correlation[likely] >= HOPEFUL]
    return result


def _joined(parts: Sequence[Alignment]) -> Alignment:
    names = ("turn", "affine", "correlation", "gain", "offset")
    return Alignment(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def _many_of_one(grays: Tensor, pairs: Pairs, unexplained: Tensor) -> Tensor:
    """Return of each image whether it is one of many copies of a photograph, so that its neighbors are no measure.

    Images that are chained together by what they share are copies of one photograph if any two of them share it, and
    others do not; where parts merely look alike, the ends of a chain differ, or there is no end to it.
    """
    close = unexplained <= 1 - LEAST_CORRELATION
    cluster = joined(len(grays), zip(pairs.first[close].tolist(), pairs.second[close].tolist(), strict=True))
    members: dict[int, list[int]] = {}
    for image, name in enumerate(cluster):
        members.setdefault(name, []).append(image)
    of_many = torch.zeros(len(grays), dtype=torch.bool)
    names, generator = torch.tensor(cluster), torch.Generator().manual_seed(SEED)
    outside = names[pairs.first] != names[pairs.second]
    for name, images in members.items():
        if not USUAL < len(images) <= min(MOST_COPIES, MOST_OF_ALL * len(grays)):
            continue
        beside = unexplained[outside & ((names[pairs.first] == name) | (names[pairs.second] == name))]
        if len(beside) and float(beside.min()) < APART * (1 - LEAST_CORRELATION):
            continue
        chosen = torch.tensor(images)
        first = chosen[torch.randint(len(images), (DRAWN,), generator=generator)]
        second = chosen[torch.randint(len(images), (DRAWN,), generator=generator)]
        drawn = Pairs(first, second, torch.ones(DRAWN))
        left = 1 - _aligned(grays, drawn).correlation.clamp(min=0)
        of_many[chosen] = float(left.median()) <= 1 - LEAST_CORRELATION
    return of_many


def _fifth(count: int, pairs: Pairs, unexplained: Tensor) -> Tensor:
    images, values = torch.cat([pairs.first, pairs.second]), unexplained.repeat(2)
    order = values.argsort()
    order = order[images[order].argsort(stable=True)]
    images, values = images[order], values[order]
    start = torch.searchsorted(images, torch.arange(count))
    has = images.bincount(minlength=count)
    place = (start + USUAL - 1).clamp(max=len(values) - 1)
    return torch.where(has >= USUAL, values[place], torch.ones(count))


def _changes(
    grays: Tensor, pairs: Pairs, alignment: Alignment
) -> Iterator[tuple[tuple[int, int], tuple[str, ...], float]]:
    """Yield of each pair which image came first, what was done to it, and how alike they are."""
    for row in torch.split(pairs.rows, AT_ONCE):
        if not len(row):
            return
        block, lay = pairs.of(row), alignment[row]
        first, second = grays[block.first].float(), grays[block.second].float()
        seen, common = laid_over(first, lay, SIDE)
        sharpness = _fine_detail(second, common) / (_fine_detail(seen, common) * lay.gain.abs()).clamp(min=1e-6)
        scale, shift = lay.affine[:, [0, 2]], lay.affine[:, [1, 3]]
        for place in range(len(row)):
            words = _words(lay, place, scale[place], shift[place])
            ratio = float(sharpness[place])
            if not BLURRED < ratio < 1 / BLURRED:
                words.append("blurred")
            backward = float(scale[place].mean()) > 1 / CROPPED or (
                float(scale[place].mean()) >= CROPPED and ratio > 1 / BLURRED
            )
            ends = (int(block.first[place]), int(block.second[place]))
            yield ends[::-1] if backward else ends, tuple(words) or ("compressed",), float(lay.correlation[place])


def _words(lay: Alignment, place: int, scale: Tensor, shift: Tensor) -> list[str]:
    words = [TURNS[int(lay.turn[place])]] if int(lay.turn[place]) else []
    if float(scale.min()) < CROPPED or float(scale.max()) > 1 / CROPPED:
        words.append("cropped")
    elif float(shift.abs().max()) / 2 > SHIFTED:
        words.append("shifted")
    if abs(math.log(max(float(lay.gain[place]), 1e-3))) > RELIT or abs(float(lay.offset[place])) > BRIGHTER:
        words.append("exposure")
    return words


def _fine_detail(images: Tensor, common: Tensor) -> Tensor:
    """Return the deviation of what a blur of three pixels takes away, `(n,)`."""
    blurred = torch.nn.functional.avg_pool2d(images[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    detail = (images - blurred)[:, 2:-2, 2:-2] * common[:, 2:-2, 2:-2]
    return detail.square().mean((1, 2)).sqrt()
