"""Which images an explanation is about: representative_images ones of a run's split, or those that were named."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fancnn.data.defect_masks import read_mask
from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import NotFiniteError, UserError
from fancnn.explain.feature_maps import MapLayer, feature_maps, peaks
from fancnn.explain.heat_panels import ExplainedImage
from fancnn.files.tables import read_table
from fancnn.images.decoding import decode
from fancnn.images.image_gate import ImageGate
from fancnn.images.reading import UnreadableImage, read_image
from fancnn.model import Model
from fancnn.networks.full_float32 import full_float32
from fancnn.pages.gallery import kind_of
from fancnn.pages.panels import Pixels
from fancnn.rendering.rendered_set import SETS
from fancnn.settings.groups import SPLIT_NAMES

LARGEST = 1200  # pixels: the longer side that an image is shown with at most


@dataclass(frozen=True)
class ActivationStats:
    """What the model makes of a split: for each image logit, P(NG), decision, and its filters' greatest answers.

    Attributes:
        images: Those that could be read and are what was split.
        logits: `(n,)`, not calibrated; `probabilities` calibrated.
        values: `(n, channels)`, of the explained layer; `places` `(n, channels, 2)` as `peaks` gives them.
        left_out: How many could not be read, or have changed.
    """

    images: list[LabeledImage]
    logits: Tensor
    probabilities: Tensor
    values: Tensor
    places: Tensor
    left_out: int


def own_split(known: Sequence[LabeledImage], split: str | None) -> tuple[str, list[LabeledImage]]:
    """Return the split that an explanation is about, and its images.

    Raises:
        UserError: If the run has no such split.
    """
    present = [split for split in SPLIT_NAMES if any(image.split == split for image in known)]
    wanted = split or ("test" if "test" in present else "val")
    if wanted not in present:
        raise UserError(f"split={wanted}: the run has no such split. It has: {', '.join(present) or 'no split.csv'}")
    return wanted, [image for image in known if image.split == wanted]


def activation_stats(model: Model, layer: MapLayer, root: Path, images: Sequence[LabeledImage]) -> ActivationStats:
    """Send a split through the model once.

    Raises:
        NotFiniteError: If the network's output for one is NaN or infinite, naming it.
    """
    kept: list[LabeledImage] = []
    pixels: list[Tensor] = []
    batches: list[tuple[Tensor, Tensor, Tensor]] = []
    for image, decoded in zip(
        images, decode((root / image.path for image in images), model.preprocess, gate=model.gate), strict=True
    ):
        if decoded.pixels is not None and decoded.sha256 == image.sha256:
            kept.append(image)
            pixels.append(decoded.pixels)
        if len(pixels) == model.at_once:
            batches.append(_answers(model, layer, torch.stack(pixels)))
            pixels = []
    if pixels:
        batches.append(_answers(model, layer, torch.stack(pixels)))
    if not kept:
        empty = torch.zeros(0)
        return ActivationStats([], empty, empty, empty, empty, len(images))
    logits, values, places = (torch.cat(column) for column in zip(*batches, strict=True))
    if not (finite := torch.isfinite(logits)).all():
        raise NotFiniteError([kept[row].path for row in (~finite).nonzero().flatten().tolist()], len(kept))
    probabilities = torch.from_numpy(model.calibration.probabilities(logits.double().numpy()))
    return ActivationStats(kept, logits, probabilities, values, places, len(images) - len(kept))


def representative_images(stats: ActivationStats, model: Model, each: int) -> list[tuple[int, str]]:
    """Return rows of a activation_stats worth a look, with the reason: `each` of every kind, the surest first."""
    labels = torch.tensor([image.label for image in stats.images])
    decisions = np.array([model.thresholds.decide(float(probability)) for probability in stats.probabilities])
    rising = stats.probabilities.argsort(stable=True).tolist()
    kinds: list[tuple[str, Callable[[int], bool], Sequence[int]]] = [
        ("Escape", lambda row: bool(labels[row] == 1) and decisions[row] == "GO", rising),
        ("Overkill", lambda row: bool(labels[row] == 0) and decisions[row] == "NG", rising[::-1]),
        ("Surest NG, found", lambda row: bool(labels[row] == 1) and decisions[row] == "NG", rising[::-1]),
        ("Surest GO, passed", lambda row: bool(labels[row] == 0) and decisions[row] == "GO", rising),
    ]
    return [(row, why) for why, fits, order in kinds for row in list(filter(fits, order))[:each]]


def subjects(
    model: Model, root: Path, chosen: Iterable[tuple[LabeledImage, str]], masks: dict[str, Path]
) -> tuple[list[ExplainedImage], Tensor]:
    """Return images as they are shown, and as the network gets them: `(n, 3, *image_size)` in [0, 1].

    Raises:
        UserError: If none can be read.
        NotFiniteError: If the network's output for one is NaN or infinite, naming it.
    """
    shown, inputs, unread = [], [], ""
    for image, why in chosen:
        try:
            original = read_image(root / image.path, model.preprocess.background, model.gate)
        except UnreadableImage as error:
            unread = f"{root / image.path}: {error}"
            continue
        fitted = model.preprocess.fit(torch.from_numpy(original).permute(2, 0, 1)[None])
        scaled = model.preprocess.scaled(fitted.to(model.device))
        try:
            logit, (guess,) = model.logits_and_types(fitted)
        except NotFiniteError as error:
            raise NotFiniteError([image.path], 1) from error
        probability = float(model.calibration.probabilities(logit)[0])
        known = bool(image.class_name)
        shown.append(
            ExplainedImage(
                name=image.path,
                why=why,
                truth=kind_of(image.class_name, image.defect_type),
                label=image.label if known else None,
                logit=float(logit[0]),
                probability=probability,
                decision=model.thresholds.decide(probability),
                pixels=_reduced(original),
                seen=_seen(fitted, _reduced(original).shape[0]),
                mask=_mask(masks.get(image.path), root / image.path, _reduced(original).shape[:2], model.gate),
                guess=guess,
            )
        )
        inputs.append(scaled)
    if not shown:
        raise UserError(f"no image can be explained. {unread}")
    return shown, torch.cat(inputs)


def masks_of(root: Path) -> dict[str, Path]:
    """Return the mask of each image's defect by its path, where a rendered set names them in its table."""
    tables = [table for name in SETS if (table := root / f"{name}.csv").is_file()]
    rows = [row for table in tables for row in read_table(table, ("file", "mask"), 1)]
    return {row["file"]: root / row["mask"] for row in rows if row["mask"] and (root / row["mask"]).is_file()}


def _mask(mask: Path | None, file: Path, size: tuple[int, ...], gate: ImageGate) -> NDArray[np.bool_] | None:
    """Return the mask of an image as large as it is shown."""
    if mask is None:
        return None
    image = Image.fromarray(read_mask(mask, file, gate).numpy())
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.NEAREST))


def _seen(fitted: Tensor, height: int) -> Pixels:
    """Return the network's input `(1, 3, h, w)`, its pixels as squares, as high as the image."""
    image = Image.fromarray(fitted[0].permute(1, 2, 0).numpy())
    width = max(1, round(image.width * height / image.height))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


def _reduced(pixels: Pixels) -> Pixels:
    if max(pixels.shape) <= LARGEST:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((LARGEST, LARGEST))
    return np.asarray(image)


def _answers(model: Model, layer: MapLayer, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits: list[Tensor] = []
    with torch.no_grad(), full_float32(model.device.type):
        maps = feature_maps(model.network, [layer.name], lambda: logits.append(model(images.to(model.device))))
    values, places = peaks(maps[layer.name].float())
    return logits[0].cpu(), values.cpu(), places.cpu()
