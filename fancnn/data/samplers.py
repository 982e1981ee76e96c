"""The order of training images: decided by (seed, epoch) alone, so that a resumed run sees the same."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """Which images an epoch has: their number, the same each epoch, and a function that draws them."""

    size: int
    indices: Callable[[Generator], Tensor]


def shuffled(labels: Tensor) -> Draw:
    """Return each image once."""
    size = len(labels)
    return Draw(size, lambda generator: torch.randperm(size, generator=generator))


def balanced(labels: Tensor) -> Draw:
    """Return as many images as there are, drawn with replacement, GO and NG with the same probability.

    The scores `train/...` are of what was drawn, here and where it is undersampled; `val/...` are of all images.

    Args:
        labels: `(n,)`, 0 GO and 1 NG, both present.
    """
    ng = labels > 0
    weights = torch.where(ng, 1 / ng.sum(), 1 / (~ng).sum())
    size = len(labels)
    return Draw(size, lambda generator: torch.multinomial(weights, size, replacement=True, generator=generator))


def undersampled(labels: Tensor) -> Draw:
    """Return each image of the rarer class once and as many of the other, others each epoch.

    Args:
        labels: `(n,)`, 0 GO and 1 NG, both present.
    """
    members = [torch.nonzero(labels == label).flatten() for label in (0, 1)]
    count = min(map(len, members))

    def indices(generator: Generator) -> Tensor:
        taken = [of[torch.randperm(len(of), generator=generator)[:count]] for of in members]
        return torch.cat(taken)[torch.randperm(2 * count, generator=generator)]

    return Draw(2 * count, indices)


SAMPLERS: dict[str, Callable[[Tensor], Draw]] = {
    "shuffled": shuffled,
    "balanced": balanced,
    "undersampled": undersampled,
}


class SeededBatchSampler(Sampler[Tensor]):
    """Batches of indices, drawn afresh each epoch; `rank` of `world_size` processes takes every so-many-th index.

    Lightning calls `set_epoch` before each epoch. With several processes the few indices that do not
    divide evenly are dropped, in another place each epoch.

    Args:
        draw: Which images an epoch has; see `SAMPLERS`. A number is that many, each once.
        batch_size: Indices a batch; the last may have fewer.
        seed: With the epoch, decides the order.
        rank: Which process this is.
        world_size: How many processes share the images.
    """

    def __init__(self, draw: Draw | int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.draw = shuffled(torch.empty(draw)) if isinstance(draw, int) else draw
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        # a generator: Lightning may ask for the iterator before it sets the epoch, and for the first batch after
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        order = self.draw.indices(generator)
        share = order[self.rank :: self.world_size][: self.draw.size // self.world_size]
        yield from torch.split(share, self.batch_size)

    def __len__(self) -> int:
        return -(-(self.draw.size // self.world_size) // self.batch_size)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return one number for (seed, epoch); different for any two epochs of a run and, but for luck, of two runs."""
    return (seed * 1_000_003 + epoch * 7919) % 2**63
