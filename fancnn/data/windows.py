"""Windows of training images: of a large image with a small defect nearly all is known to be good at a glance.

A network that judges cell by cell learns from a window what it would learn from the whole image, in a fraction of the
time; so it sees many more, and those that matter: around where it is surest that a defect is, rightly (NG) or not (GO).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset, Sampler

from fancnn.data.datasets import FileDataset, MaskedBatch, PixelDataset
from fancnn.data.defect_masks import DefectMasks
from fancnn.data.samplers import Draw, SeededBatchSampler, epoch_seed

AT_PLACE = 0.5  # share of windows of good images that are where the network is surest of a defect
ASIDE = 2 / 3  # of a window, in the middle, has the place


@dataclass
class WindowPlan:
    """Which windows training images are cut into.

    Attributes:
        side: Pixels of an image of the network's size; one that is smaller is a window itself.
        repeat: Windows of each image in an epoch.
        places: `(n, 2)` row and column, pixels: where each training image is likeliest to have a defect; None as long
            as nobody knows.
        marked: Of training images with a mask, by number: `(k, 2)` row and column of pixels that are defective.
    """

    side: int
    repeat: int
    places: Tensor | None = None
    marked: Mapping[int, Tensor] = field(default_factory=dict)


class Windows(NamedTuple):
    """Which windows of which images.

    Attributes:
        indices: `(n,)`, of the images.
        corners: `(n, 2)`, row and column of the window's first pixel.
    """

    indices: Tensor
    corners: Tensor


class WindowSampler(Sampler[Windows]):
    """Batches of windows: drawn afresh each epoch, decided by (seed, epoch) and the plan's places alone.

    As long as nobody knows where the defects of NG images are, windows of good images are drawn in their place, all of
    them anywhere. Then a window of an NG image is about the place that is likeliest to be its defect, and half of those
    of good images are, too: there the network is wrong. Of an image with a mask it is about a defect from the start.

    Args:
        draw: Which images an epoch has; `SeededBatchSampler` shares them out.
        labels: `(n,)`, 0 GO and 1 NG.
        image_size: Height and width of the images, pixels.
        plan: Which windows.
        batch_size: Windows a batch.
        seed: With the epoch, decides what is drawn.
        rank: Which process this is.
        world_size: How many processes share the windows.

    Attributes:
        window: Height and width of each, pixels.
    """

    def __init__(
        self,
        draw: Draw,
        labels: Tensor,
        image_size: tuple[int, int],
        plan: WindowPlan,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        several = Draw(draw.size * plan.repeat, lambda generator: self._indices(draw, generator))
        self.batches = SeededBatchSampler(several, batch_size, seed, rank, world_size)
        self.window = (min(plan.side, image_size[0]), min(plan.side, image_size[1]))
        self.image_size, self.plan, self.ng = image_size, plan, labels > 0

    def set_epoch(self, epoch: int) -> None:
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[Windows]:
        generator = torch.Generator().manual_seed(epoch_seed(self.batches.seed, self.batches.epoch) + 1)
        for indices in self.batches:
            yield Windows(indices, self.corners(indices, generator))

    def __len__(self) -> int:
        return len(self.batches)

    def corners(self, indices: Tensor, generator: Generator) -> Tensor:
        """Draw a window of each image, `(n, 2)`; see `Windows`."""
        window = torch.tensor(self.window)
        last = torch.tensor(self.image_size) - window
        anywhere = (torch.rand(len(indices), 2, generator=generator) * (last + 1)).long()
        aside = (torch.rand(len(indices), 2, generator=generator) - 0.5) * ASIDE * window
        at_place = self.ng[indices] | (torch.rand(len(indices), generator=generator) < AT_PLACE)
        places = self.plan.places[indices] if self.plan.places is not None else anywhere + window / 2 - aside
        for row, index in enumerate(indices.tolist()):
            if (points := self.plan.marked.get(index)) is not None:
                places[row] = points[int(torch.randint(len(points), (), generator=generator))] + 0.5
        around = (places + aside - window / 2).round().long()
        return torch.where(at_place[:, None], torch.minimum(around.clamp(min=0), last), anywhere)

    def _indices(self, draw: Draw, generator: Generator) -> Tensor:
        drawn = torch.cat([draw.indices(generator) for _ in range(self.plan.repeat)])
        if self.plan.places is not None:
            return drawn
        unknown = self.ng.clone()
        unknown[list(self.plan.marked)] = False
        good = torch.nonzero(~self.ng).flatten()
        instead = good[torch.randint(len(good), (len(drawn),), generator=generator)]
        return torch.where(unknown[drawn], instead, drawn)


class WindowDataset(Dataset[MaskedBatch]):
    """Windows of the images of `dataset`, all of one size, with their masks if there are some.

    Args:
        dataset: Whole images.
        window: Height and width of a window, pixels.
        masks: Of defects, of some of the images.
    """

    def __init__(
        self, dataset: PixelDataset | FileDataset, window: tuple[int, int], masks: DefectMasks | None = None
    ) -> None:
        self.dataset, self.window, self.masks = dataset, window, masks

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, windows: Windows) -> MaskedBatch:
        pixels, labels = self.dataset.cut(windows.indices, windows.corners, self.window)
        if self.masks is None:
            return pixels, labels
        return pixels, labels, self.masks.cut(windows.indices, windows.corners, self.window).to(pixels.device)
