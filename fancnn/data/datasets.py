"""Images by the batch: an index of many gives the pixels of many, with no Python for each image."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fancnn.data.defect_masks import DefectMasks
from fancnn.errors import UserError
from fancnn.images.decoding import decode_file
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess

Batch = tuple[Tensor, Tensor]  # (batch, 3, h, w) uint8, and (batch,) float32: 0 GO, 1 NG; of types 1, 2, ...
MaskedBatch = Batch | tuple[Tensor, Tensor, Tensor]  # the third: (batch, h, w) booleans, where defects are known to be


class PixelDataset(Dataset[Batch]):
    """Decoded images, in memory, mapped from the cache, or on a GPU; a batch is one gather.

    Args:
        pixels: `(rows, 3, height, width)`, uint8.
        rows: `(n,)`, which of them are the images here.
        labels: `(n,)`, float32.
    """

    def __init__(self, pixels: Tensor, rows: Tensor, labels: Tensor) -> None:
        self.pixels, self.rows, self.labels = pixels, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: Tensor) -> Batch:
        chosen = indices.to(self.rows.device)
        return self.pixels.index_select(0, self.rows[chosen]), self.labels[chosen]

    def cut(self, indices: Tensor, corners: Tensor, window: tuple[int, int]) -> Batch:
        """Return a window of each image: `corners` `(n, 2)` has its first row and column, `window` height and width."""
        chosen, (height, width) = indices.to(self.rows.device), window
        places = zip(self.rows[chosen].tolist(), corners.tolist(), strict=True)
        pixels = [self.pixels[row, :, top : top + height, left : left + width] for row, (top, left) in places]
        return torch.stack(pixels), self.labels[chosen]

    def size_in_bytes(self) -> int:
        return len(self.rows) * self.pixels[:1].numel()

    def on(self, device: torch.device) -> "PixelDataset":
        """Return the same images in the memory of `device`."""
        pixels = self.pixels.index_select(0, self.rows).to(device)
        return PixelDataset(pixels, torch.arange(len(self.rows), device=device), self.labels.to(device))


class FileDataset(Dataset[Batch]):
    """Images that are decoded whenever they are asked for: where there is room for them nowhere.

    Raises:
        UserError: In a batch, if a file that was readable is so no more.
    """

    def __init__(self, files: Sequence[Path], labels: Tensor, preprocess: Preprocess, gate: ImageGate) -> None:
        self.files, self.labels, self.preprocess = list(files), labels, preprocess
        self.gate = gate.for_processes()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, indices: Tensor) -> Batch:
        pixels = []
        for index in indices.tolist():
            decoded = decode_file(self.files[index], self.preprocess, self.gate)
            if decoded.pixels is None:
                raise UserError(f"{decoded.path} was readable before and is so no more: {decoded.error}")
            pixels.append(decoded.pixels)
        return torch.stack(pixels), self.labels[indices]

    def cut(self, indices: Tensor, corners: Tensor, window: tuple[int, int]) -> Batch:
        """Return a window of each image, as `PixelDataset.cut`."""
        images, labels = self[indices]
        return PixelDataset(images, torch.arange(len(images)), labels).cut(torch.arange(len(images)), corners, window)


class MaskedDataset(Dataset[MaskedBatch]):
    """Images of `dataset` with their masks."""

    def __init__(self, dataset: PixelDataset | FileDataset, masks: DefectMasks) -> None:
        self.dataset, self.masks = dataset, masks

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: Tensor) -> MaskedBatch:
        pixels, labels = self.dataset[indices]
        return pixels, labels, self.masks.of(indices).to(pixels.device)


class InOrder(Sampler[Tensor]):
    """Batches of indices from the first to the last."""

    def __init__(self, size: int, batch_size: int) -> None:
        self.batches = torch.split(torch.arange(size), batch_size)

    def __iter__(self) -> Any:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def loader(dataset: Dataset[Any], batches: Sampler[Any], *, decodes: bool, pinned: bool = False) -> DataLoader[Any]:
    """Return a loader of the batches of `dataset`; it starts processes only where images must be decoded."""
    workers = os.cpu_count() or 1 if decodes else 0
    return DataLoader(
        dataset,
        batch_size=None,  # the sampler gives whole batches
        sampler=batches,
        collate_fn=_as_it_is,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        persistent_workers=workers > 0,
        pin_memory=pinned,
    )


def _as_it_is(batch: Any) -> Any:
    return batch
