"""The order of training pictures: decided by (seed, epoch) alone, so that a resumed run sees the same."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[int]):
    """A fresh permutation each epoch; `rank` of `world_size` processes takes every so-many-th index.

    Lightning calls `set_epoch` before each epoch. With several processes the few indices that do not
    divide evenly are dropped, in another place each epoch.

    Args:
        size: Number of pictures.
        seed: With the epoch, decides the order.
        rank: Which process this is.
        world_size: How many processes share the pictures.
    """

    def __init__(self, size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.size, self.seed, self.rank, self.world_size = size, seed, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        order = torch.randperm(self.size, generator=generator)
        yield from order[self.rank :: self.world_size][: len(self)].tolist()

    def __len__(self) -> int:
        return self.size // self.world_size


def epoch_seed(seed: int, epoch: int) -> int:
    """One number for (seed, epoch); different for any two epochs of a run and, but for luck, of two runs."""
    return (seed * 1_000_003 + epoch * 7919) % 2**63
