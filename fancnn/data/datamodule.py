"""Images of a folder as batches: listed, decoded once, split, and gathered."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fancnn.data.cache_index import IndexEntry
from fancnn.data.class_weights import ClassCounts
from fancnn.data.datasets import Batch, FileDataset, InOrder, MaskedDataset, PixelDataset, loader
from fancnn.data.decoded_cache import DecodedFiles, cache_name, decoded_afresh, decoded_files
from fancnn.data.defect_masks import DefectMasks, find_masks, read_mask
from fancnn.data.folders import Listing, list_images, list_unlabelled, validate_for_training
from fancnn.data.label_modes import FRESH, output_index, output_names
from fancnn.data.labeled_images import LabeledImage
from fancnn.data.path_names import names_in_paths
from fancnn.data.samplers import SAMPLERS, SeededBatchSampler
from fancnn.data.split_plan import SplitPlan
from fancnn.data.windows import WindowDataset, WindowPlan, WindowSampler
from fancnn.errors import UserError
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.plurals import plural
from fancnn.settings.choices import OnBadFile, Sampler
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import validate_batch_sizes
from fancnn.system.console import say, track
from fancnn.system.memory import images_at_once

MEMORY_SHARE = 0.25  # of the machine's memory that decoded images may take where they cannot be cached
MOST_NAMED = 100  # of the files that cannot be read


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    path: str
    reason: str


class ImageDataModule(pl.LightningDataModule):
    """A folder of class folders, each image read once and kept as 8-bit pixels of the network's size.

    Args:
        root: Class folders, or `train/`, `val/`, `test/` with class folders inside.
        go_class: Name of the folder with good parts.
        preprocess: Gives the size and the background; the model has the same one.
        plan: Which image is in which split.
        cache: Folder that keeps decoded images for the next run; None decodes them again.
        on_bad_file: `error` refuses unreadable files, naming them; `skip` leaves them out (see `skipped`), and with
            one of them the whole part where the plan names parts.
        sampler: Which training images an epoch has, a name of `fancnn.data.samplers.SAMPLERS`: by GO and NG,
            whatever the types.
        labels: What they distinguish, see `fancnn.data.label_modes`: `binary` and `softmax` GO (0) and NG (1),
            `defect_types` each type of NG, too (1, 2, ...).
        batch_size: Images a training step.
        eval_batch_size: Images at once where nothing is learnt, at most.
        seed: Decides the order of training images.
        labelled: Whether folders say what images are; otherwise all below `root` count, and each label is 0.
        image_limits: Of files and images, and of the memory that decoding takes; the usual ones where None.
        windows: Which windows training images are cut into; None takes them whole.
        masks: Folder with masks of defects, of some of the training images; see `fancnn.data.defect_masks`.

    Attributes:
        outputs: After `setup`, what outputs of a network that tells these apart are called.
        masks: After `setup`, those of training images by their number in the split; None if there are none.

    Raises:
        UserError: In `setup`, if the folder cannot be trained on (see `folders` and `split_rules`), or files
            are unreadable and `on_bad_file` is `error`.
    """

    def __init__(
        self,
        root: str | Path,
        go_class: str,
        preprocess: Preprocess,
        plan: SplitPlan,
        *,
        cache: Path | None = None,
        on_bad_file: str = "error",
        sampler: str = "shuffled",
        labels: str = "binary",
        batch_size: int = 32,
        eval_batch_size: int = 64,
        seed: int = 0,
        labelled: bool = True,
        image_limits: ImageLimits | None = None,
        windows: WindowPlan | None = None,
        masks: str | None = None,
    ) -> None:
        super().__init__()
        self.gate = ImageGate(image_limits or ImageLimits())
        validate_batch_sizes(batch_size, eval_batch_size)
        OnBadFile.of("on_bad_file", on_bad_file)
        Sampler.of("sampler", sampler)
        self.root, self.go_class, self.preprocess, self.plan = (
            Path(root).expanduser(),
            go_class,
            preprocess,
            plan,
        )
        self.on_bad_file, self.batch_size, self.eval_batch_size = on_bad_file, batch_size, eval_batch_size
        self.cache, self.seed, self.sampler, self.labels, self.labelled = cache, seed, sampler, labels, labelled
        self.windows, self.masks_folder = windows, masks
        self.masks: DefectMasks | None = None
        self.classes: tuple[str, ...] = ()
        self.outputs = FRESH[labels]
        self.images: list[LabeledImage] = []
        self.skipped: list[Skipped] = []
        self.ignored: Counter[str] = Counter()  # visible files of other kinds among the images, by suffix
        self.left_out = 0  # images that data.split_file does not name
        self._pixels: Tensor | None = None
        self._rows, self._labels = torch.empty(0, dtype=torch.int64), torch.empty(0)

    def setup(self, stage: str | None = None) -> None:
        if self.images:  # Lightning asks again for each stage; the images are read once
            return
        listing = list_images(self.root, self.go_class) if self.labelled else list_unlabelled(self.root)
        if self.labelled:
            validate_for_training(listing, self.go_class)
        images, rows = self._read(listing)
        row_of = {image.path: row for image, row in zip(images, rows, strict=True)}
        images = self._of_whole_parts(images)
        if self.labelled and self.skipped:
            validate_for_training(replace(listing, images=tuple(images)), self.go_class)
        assigned = self.plan.assign(images)
        self._rows = torch.tensor([row_of[image.path] for image in assigned])
        self.classes, self.images = listing.classes, assigned
        self.outputs = output_names(self.labels, self.images_of("train"), self.classes)
        self._labels = torch.tensor([float(output_index(item, self.classes, self.outputs)) for item in assigned])
        self.ignored, self.left_out = listing.ignored, len(images) - len(assigned)
        if self.masks_folder is not None:
            self.masks = self._read_masks(self.masks_folder)
            if self.windows is not None:
                self.windows.marked = self.masks.points

    def undecoded(self) -> "ImageDataModule":
        """Return the same images in the same splits, each decoded whenever it is asked for."""
        other = copy(self)
        other._pixels = None
        return other

    def train_dataloader(self) -> DataLoader[Batch]:
        dataset, device = self._near("train"), self._device()
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        draw = SAMPLERS[self.sampler](self._labels_of("train").clamp(max=1))
        decodes, pinned = isinstance(dataset, FileDataset), device.type == "cuda" and not _is_on(dataset, device)
        if self.windows is None:
            batches = SeededBatchSampler(draw, self.batch_size, self.seed, rank, world_size)
            given = dataset if self.masks is None else MaskedDataset(dataset, self.masks)
            return loader(given, batches, decodes=decodes, pinned=pinned)
        labels, size = self._labels_of("train").clamp(max=1), self.preprocess.image_size
        windows = WindowSampler(draw, labels, size, self.windows, self.batch_size, self.seed, rank, world_size)
        return loader(WindowDataset(dataset, windows.window, self.masks), windows, decodes=decodes, pinned=pinned)

    def val_dataloader(self) -> DataLoader[Batch]:
        # every process scores the whole split: shared out, padding would count some images twice
        return self.in_order("val")

    def in_order(self, split: str) -> DataLoader[Batch]:
        """Return the batches of `train`, `val` or `test` in the order of `split`: of large images fewer at once."""
        dataset = self._near(split)
        at_once = images_at_once(self.preprocess.image_size, self.eval_batch_size)
        return loader(dataset, InOrder(len(dataset), at_once), decodes=isinstance(dataset, FileDataset))

    def images_of(self, name: str) -> list[LabeledImage]:
        """Return the images of `train`, `val` or `test`."""
        return [image for image in self.images if image.split == name]

    def class_counts(self) -> ClassCounts:
        """Return how many training images are GO and NG, or of each type."""
        labels = self._labels_of("train").long()
        return tuple(torch.bincount(labels, minlength=max(2, len(self.outputs))).tolist())

    def dataset(self, split: str) -> PixelDataset | FileDataset:
        """Return the images of `train`, `val` or `test`, in the order of `split`."""
        chosen = self._rows_of(split)
        if self._pixels is None:
            files = [self.root / image.path for image in self.images_of(split)]
            return FileDataset(files, self._labels[chosen], self.preprocess, self.gate)
        return PixelDataset(self._pixels, self._rows[chosen], self._labels[chosen])

    def _read_masks(self, folder: str) -> DefectMasks:
        files, masks = find_masks(folder, self.images), DefectMasks(self.preprocess.image_size)
        for index, image in enumerate(self.images_of("train")):
            if (file := files.get(image.path)) is not None:
                masks.add(index, read_mask(file, self.root / image.path, self.gate), self.preprocess)
        if not masks.points:
            raise UserError(f"data.masks={folder} has {plural(len(files), 'mask')}, none of a training image")
        return masks

    def _rows_of(self, split: str) -> Tensor:
        return torch.tensor([image.split == split for image in self.images])

    def _labels_of(self, split: str) -> Tensor:
        return self._labels[self._rows_of(split)]

    def _near(self, split: str) -> PixelDataset | FileDataset:
        """Return the dataset, in GPU memory if training runs there and less than half of what is free is needed."""
        dataset, device = self.dataset(split), self._device()
        if device.type != "cuda" or isinstance(dataset, FileDataset):
            return dataset
        free, _ = torch.cuda.mem_get_info(device)
        return dataset.on(device) if dataset.size_in_bytes() < free / 2 else dataset

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _read(self, listing: Listing) -> tuple[list[LabeledImage], list[int]]:
        """Return the readable images and the row of each in `_pixels`."""
        decoded = self._decoded(listing)
        self._pixels = decoded.pixels
        images, rows = [], []
        for place, image in enumerate(listing.images):
            if (reason := decoded.errors.get(place)) is not None:
                self.skipped.append(Skipped(image.path, reason))
            else:
                sha256, pixel_sha256 = decoded.hashes_of(place)
                images.append(replace(image, sha256=sha256, pixel_sha256=pixel_sha256))
                rows.append(int(decoded.rows[place]))
        if self.skipped and self.on_bad_file == "error":
            raise UserError(_bad_files(self.skipped, len(listing.images), listing.root))
        return images, rows

    def _of_whole_parts(self, images: list[LabeledImage]) -> list[LabeledImage]:
        """Leave out the other images of parts of which one cannot be read: the worst of the part may be that one."""
        if self.plan.part is None or not self.skipped:
            return images
        unread = [item.path for item in self.skipped]
        file_of = dict(zip(names_in_paths(unread, self.plan.part, "data.part"), unread, strict=True))
        parts = names_in_paths([image.path for image in images], self.plan.part, "data.part")
        self.skipped += [
            Skipped(image.path, f"another image of its part cannot be read: {file_of[part]}")
            for image, part in zip(images, parts, strict=True)
            if part in file_of
        ]
        return [image for image, part in zip(images, parts, strict=True) if part not in file_of]

    def _decoded(self, listing: Listing) -> DecodedFiles:
        names = [image.path for image in listing.images]
        if self.cache is not None:
            folder = self.cache / cache_name(listing.root, self.preprocess)
            try:
                return decoded_files(
                    *(folder, listing.root, names, self.preprocess), gate=self.gate, track=_shown, waiting=_say_waiting
                )
            except OSError as error:
                reason = error.strerror or error
                say(f"warning: decoded images cannot be kept in {folder} ({reason}); going on without")
        keep = len(names) * 3 * math.prod(self.preprocess.image_size) < MEMORY_SHARE * _memory()
        if not keep:
            say("warning: too many images for the memory; each is decoded in every epoch. Give data.cache a place")
        return decoded_afresh(listing.root, names, self.preprocess, gate=self.gate, keep=keep, track=_shown)


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _is_on(dataset: PixelDataset | FileDataset, device: torch.device) -> bool:
    return isinstance(dataset, PixelDataset) and dataset.pixels.device == device


def _shown(entries: Iterable[IndexEntry], total: int) -> Iterator[IndexEntry]:
    return track(entries, "reading images", total)


def _say_waiting() -> None:
    say("waiting for another run that is decoding the same images")


def _bad_files(skipped: Sequence[Skipped], total: int, root: Path) -> str:
    lines = [f"  {item.path}: {item.reason}" for item in skipped[:MOST_NAMED]]
    if len(skipped) > MOST_NAMED:
        lines.append(f"  and {len(skipped) - MOST_NAMED:,} more; after data.on_bad_file=skip, skipped.csv lists all")
    return "\n".join(
        [
            f"{len(skipped):,} of {plural(total, 'file')} under {root} cannot be read:",
            *lines,
            "Mend or remove them, or leave them out with data.on_bad_file=skip",
        ]
    )
