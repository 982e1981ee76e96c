"""What the network is and what it gets to see: its graph, and sheets of labelled samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from fancnn.augmentation import Augment, Plant
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.labeled_images import LabeledImage
from fancnn.images.contact_sheet import contact_sheet

LARGEST = 320  # pixels: the longer side of an image on a sheet


class LogSampleImages(pl.Callback):
    """Once, at the start: the graph, and for train and val a sheet of the images as the network gets them.

    Args:
        count: Images on a sheet, half of them GO.
    """

    def __init__(self, count: int = 32) -> None:
        self.count = count

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        board = next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        if board is None or not trainer.is_global_zero or not isinstance(data, ImageDataModule):
            return
        for split in ("train", "val"):
            board.experiment.add_image(f"samples/{split}", self._sheet(data, split), 0, dataformats="HWC")
        images, _ = data.dataset("val")[torch.tensor([0])]
        board.experiment.add_graph(pl_module, images.to(pl_module.device))

    def _sheet(self, data: ImageDataModule, split: str) -> NDArray[np.uint8]:
        images, dataset = data.images_of(split), data.dataset(split)
        rows = _first_of_each(images, self.count)
        cells = [_small(dataset[torch.tensor([row])][0][0]) for row in rows]
        return contact_sheet(cells, [_caption(images[row]) for row in rows])


def augmented_sheet(
    data: ImageDataModule,
    augment: Augment | None,
    plant: Plant | None = None,
    rows: int = 8,
    columns: int = 8,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Return rows of training images, each as it is and then as training shows it; global random state is left alone.

    Args:
        data: After `setup`.
        augment: In training, or None.
        plant: Likewise.
        rows: Images, half of them GO.
        columns: The image itself and one less augmented ones.
        seed: Decides what is drawn.

    Returns:
        `(height, width, 3)` uint8; a caption has the image's class, or its share of NG where images were mixed.
    """
    images = data.images_of("train")
    taken = _first_of_each(images, rows)
    pixels, labels = data.dataset("train")[torch.tensor(taken)]
    scaled = data.preprocess.scaled(pixels)
    shown = [_cells(scaled, [_caption(images[row]) for row in taken])]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(columns - 1):
            changed, shares = scaled, labels.clamp(max=1)
            if augment is not None:
                changed, shares = augment(changed, shares)
            if plant is not None:
                changed, shares, _ = plant(changed, shares)
            shown.append(_cells(changed, [_share(*pair) for pair in zip(labels.clamp(max=1), shares, strict=True)]))
    cells = [column[row] for row in range(len(taken)) for column in shown]
    return contact_sheet([image for image, _ in cells], [caption for _, caption in cells], columns)


def _cells(scaled: Tensor, captions: Sequence[str]) -> list[tuple[NDArray[np.uint8], str]]:
    images = scaled.mul(255).round().to(torch.uint8)
    return list(zip(map(_small, images), captions, strict=True))


def _small(image: Tensor) -> NDArray[np.uint8]:
    """Return an image `(3, height, width)` as a sheet has it, `(height, width, 3)`: a large one smaller than it is."""
    small = Image.fromarray(image.permute(1, 2, 0).numpy())
    small.thumbnail((LARGEST, LARGEST))
    return np.asarray(small)


def _share(label: Tensor, share: Tensor) -> str:
    return "" if torch.equal(label, share) else f"{float(share):.0%} NG"


def _first_of_each(images: Sequence[LabeledImage], count: int) -> list[int]:
    """Return half of `count` spread over the GO images, half over the NG images."""
    rows: list[int] = []
    for label in (0, 1):
        of_label = [row for row, image in enumerate(images) if image.label == label]
        wanted = min(count // 2, len(of_label))
        rows += [of_label[int(i)] for i in torch.linspace(0, len(of_label) - 1, wanted)] if wanted else []
    return rows


def _caption(image: LabeledImage) -> str:
    return "/".join(filter(None, (image.class_name, image.defect_type)))
