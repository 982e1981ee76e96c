"""Pictures of a folder as batches: listed, decoded once, split, and served from memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from fancnn.console import track
from fancnn.errors import UserError
from fancnn.images import Preprocess, decode
from fancnn.learning.folders import Listing, check_for_training, list_pictures
from fancnn.learning.sampling import EpochSampler
from fancnn.pictures import Picture
from fancnn.splits import SplitPlan

OnBadFile = Literal["error", "skip"]
Batch = tuple[Tensor, Tensor]  # (batch, 3, h, w) uint8, and (batch,) float32: 0 GO, 1 NG


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    path: str
    reason: str


class PixelDataset(Dataset[Batch]):
    """Decoded pictures in memory; a batch is one gather."""

    def __init__(self, pixels: Tensor, labels: Tensor, rows: Tensor) -> None:
        self.pixels, self.labels, self.rows = pixels, labels, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = self.rows[list(indices)]
        return self.pixels[rows], self.labels[rows]


class PictureDataModule(pl.LightningDataModule):
    """A folder of class folders, each picture read once and kept as 8-bit pixels of the network's size.

    Args:
        root: Class folders, or `train/`, `val/`, `test/` with class folders inside.
        go_class: Name of the folder with good parts.
        preprocess: Gives the size and the background; the model has the same one.
        plan: Which picture is in which part.
        on_bad_file: `error` refuses unreadable files, naming all; `skip` leaves them out (see `skipped`).
        batch_size: Pictures a training step.
        eval_batch_size: Pictures at once where nothing is learnt.
        seed: Decides the order of training pictures.

    Raises:
        UserError: In `setup`, if the folder cannot be trained on (see `folders` and `partitioning`), or files
            are unreadable and `on_bad_file` is `error`.
    """

    def __init__(
        self,
        root: str | Path,
        go_class: str,
        preprocess: Preprocess,
        plan: SplitPlan,
        *,
        on_bad_file: OnBadFile = "error",
        batch_size: int = 32,
        eval_batch_size: int = 256,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if on_bad_file not in get_args(OnBadFile):
            raise UserError(f"data.on_bad_file={on_bad_file!r} is none of {', '.join(get_args(OnBadFile))}")
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value < 1:
                raise UserError(f"data.{name}={value} should be 1 or more")
        self.root, self.go_class, self.preprocess, self.plan = (
            Path(root).expanduser(),
            go_class,
            preprocess,
            plan,
        )
        self.on_bad_file, self.batch_size, self.eval_batch_size = on_bad_file, batch_size, eval_batch_size
        self.seed = seed
        self.classes: tuple[str, ...] = ()
        self.pictures: list[Picture] = []
        self.skipped: list[Skipped] = []
        self.ignored = 0  # visible files of other kinds among the pictures
        self.left_out = 0  # pictures that data.split_file does not name
        self._pixels = torch.empty(0, dtype=torch.uint8)
        self._labels = torch.empty(0)

    def setup(self, stage: str | None = None) -> None:
        if self.pictures:  # Lightning asks again for each stage; the pictures are read once
            return
        listing = list_pictures(self.root, self.go_class)
        check_for_training(listing, self.go_class)
        pixels, pictures = self._read(listing)
        if self.skipped:
            check_for_training(replace(listing, pictures=tuple(pictures)), self.go_class)
        assigned = self.plan.assign(pictures)
        kept = {picture.path for picture in assigned}
        rows = torch.tensor([row for row, picture in enumerate(pictures) if picture.path in kept])
        self._pixels = pixels[rows] if len(rows) < len(pixels) else pixels
        self._labels = torch.tensor([float(picture.label) for picture in assigned])
        self.classes, self.pictures = listing.classes, assigned
        self.ignored, self.left_out = listing.ignored.total(), len(pictures) - len(assigned)

    def train_dataloader(self) -> DataLoader[Batch]:
        dataset = self.dataset("train")
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochSampler(len(dataset), self.seed, rank, world_size)
        return DataLoader(dataset, self.batch_size, sampler=sampler, collate_fn=_as_it_is)

    def val_dataloader(self) -> DataLoader[Batch]:
        # every process scores the whole part: shared out, padding would count some pictures twice
        dataset = self.dataset("val")
        return DataLoader(dataset, self.eval_batch_size, sampler=SequentialSampler(dataset), collate_fn=_as_it_is)

    def part(self, name: str) -> list[Picture]:
        """The pictures of `train`, `val` or `test`."""
        return [picture for picture in self.pictures if picture.split == name]

    def dataset(self, part: str) -> PixelDataset:
        """Decoded pixels of `train`, `val` or `test`, in the order of `part`."""
        rows = [row for row, picture in enumerate(self.pictures) if picture.split == part]
        return PixelDataset(self._pixels, self._labels, torch.tensor(rows, dtype=torch.int64))

    def _read(self, listing: Listing) -> tuple[Tensor, list[Picture]]:
        pixels = torch.empty((len(listing.pictures), 3, *self.preprocess.image_size), dtype=torch.uint8)
        pictures: list[Picture] = []
        decoded = decode((listing.root / picture.path for picture in listing.pictures), self.preprocess)
        for picture, item in zip(listing.pictures, track(decoded, "reading pictures", len(pixels)), strict=True):
            if item.pixels is None:
                self.skipped.append(Skipped(picture.path, item.error))
            else:
                pixels[len(pictures)] = item.pixels
                pictures.append(replace(picture, sha256=item.sha256))
        if self.skipped and self.on_bad_file == "error":
            raise UserError(_bad_files(self.skipped, len(listing.pictures), listing.root))
        return pixels[: len(pictures)], pictures


def _bad_files(skipped: Sequence[Skipped], total: int, root: Path) -> str:
    lines = "\n".join(f"  {item.path}: {item.reason}" for item in skipped)
    return (
        f"{len(skipped)} of {total} files under {root} cannot be read:\n{lines}\nMend or remove them, or leave them "
        "out with data.on_bad_file=skip"
    )


def _as_it_is(batch: Any) -> Any:  # PixelDataset gathers a whole batch: nothing is left to collate
    return batch
