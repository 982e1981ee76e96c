"""The order of training pictures: decided by (seed, epoch) alone, so that a resumed run sees the same."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler


class EpochBatches(Sampler[Tensor]):
    """Batches of indices in a fresh order each epoch; `rank` of `world_size` processes takes every so-many-th index.

    Lightning calls `set_epoch` before each epoch. With several processes the few indices that do not
    divide evenly are dropped, in another place each epoch.

    Args:
        size: Number of pictures.
        batch_size: Indices a batch; the last may have fewer.
        seed: With the epoch, decides the order.
        rank: Which process this is.
        world_size: How many processes share the pictures.
    """

    def __init__(self, size: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor]:
        # a generator: Lightning may ask for the iterator before it sets the epoch, and for the first batch after
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        order = torch.randperm(self.size, generator=generator)
        share = order[self.rank :: self.world_size][: self.size // self.world_size]
        yield from torch.split(share, self.batch_size)

    def __len__(self) -> int:
        return -(-(self.size // self.world_size) // self.batch_size)


def epoch_seed(seed: int, epoch: int) -> int:
    """One number for (seed, epoch); different for any two epochs of a run and, but for luck, of two runs."""
    return (seed * 1_000_003 + epoch * 7919) % 2**63
