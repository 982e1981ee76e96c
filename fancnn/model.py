"""The trained inspector that every stage after training loads: pixels in, probability and decision out."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fancnn.data.label_modes import ONE, known_type
from fancnn.data.labeled_images import LabeledImage as ListedImage
from fancnn.data.seen_images import NOTHING_SEEN, SeenImages
from fancnn.decisions.calibration import UNCALIBRATED, Calibration
from fancnn.decisions.defect_boxes import CELL_THRESHOLD, located
from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.errors import NOT_FINITE, NotFiniteError, UserError
from fancnn.images.decoding import Decoded, decode, decode_file, torch_parallel_map
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import as_rgb
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.defect_types import guessed
from fancnn.metrics.predictions import FileScore, TypeGuess
from fancnn.metrics.thresholds import Decision, Thresholds
from fancnn.networks.cell_network import cell_network, judged
from fancnn.networks.full_float32 import full_float32
from fancnn.networks.outputs import logit_of_ng
from fancnn.networks.weights import weights_hash
from fancnn.plurals import plural
from fancnn.settings.groups import ImageLimits
from fancnn.system.memory import images_at_once

FORMS = (
    "An image should be a path, a PIL image, a uint8 array (height, width) or (height, width, 3), or a uint8 tensor "
    "(3, height, width)"
)
BATCH_SIZE = 32  # images scored at once: more are no faster, and slower where memory is mapped again (memory.py)

T = TypeVar("T")
LabeledImage = str | os.PathLike[str] | Image.Image | NDArray[np.uint8] | Tensor


@dataclass(frozen=True)
class Predictions:
    """What a model says of some images, in their order: P(NG), `(n,)` float64, and `GO`, `RECHECK` or `NG`.

    `types` has the likeliest type of each that is not GO; empty for GO, and throughout where a model has no types.
    `cells` has P(NG) of each cell, `(n, rows, columns)`, and `regions` where the defect is, in pixels of each image as
    it was given (a file as it is stored, upright): the hottest first, none where it is GO. Both are None where the
    network has no cells.
    """

    probabilities: NDArray[np.float64]
    decisions: list[Decision]
    types: list[str]
    cells: NDArray[np.float32] | None = None
    regions: list[tuple[DefectRegion, ...]] | None = None


class _Outputs(NamedTuple):
    """What the network says of a batch; where it is not finite, numbers that say nothing.

    Attributes:
        logits: `(n,)`, of NG.
        guesses: The likeliest type of each, were it NG.
        finite: Which images have finite outputs.
        cells: `(n, rows, columns)`, P(NG) of each cell; None where the network has none.
    """

    logits: NDArray[np.float64]
    guesses: list[TypeGuess]
    finite: NDArray[np.bool_]
    cells: NDArray[np.float32] | None


class _Score(NamedTuple):
    """What the model says of one image; P(NG) is None, and nothing else known, where an output is not finite."""

    probability: float | None
    guess: TypeGuess = TypeGuess()
    cells: NDArray[np.float32] | None = None
    regions: tuple[DefectRegion, ...] | None = None


class _Fitted(NamedTuple):
    """An image `(3, *image_size)`, uint8, and the height and width that it had before."""

    pixels: Tensor
    size: tuple[int, int]


class Model(nn.Module):
    """Preprocessing, network, calibration, classes and thresholds in one: all that a decision needs.

    Args:
        network: Takes `(batch, 3, height, width)` float images, gives `(batch,)` logits of NG, or `(batch, k)`
            logits of GO and of k - 1 kinds of NG.
        preprocess: Takes uint8 images of any size to what the network wants.
        classes: Names of the class folders it was trained on.
        go_class: The one of them that holds good parts.
        outputs: What the network's outputs are called: `NG` alone, or `GO` and `NG`, or `GO` and each type.
        thresholds: Of P(NG): GO up to the lower, NG above the upper, RECHECK between.
        calibration: From the network's logit to the logit of P(NG).
        metadata: Where it comes from: epoch, configuration, versions, as its checkpoint says.
        seen_images: Which images it has seen, in which role.
        image_limits: Of files and images, and of the memory that decoding takes; the usual ones where None.
        cell_threshold: Above it a cell is part of a region of the defect, where the network judges by cells.
        mm_per_pixel: Millimetres of the part that a pixel of the stored images shows; None where not known.
        part: Regular expression that finds in a relative path which part the image is of, where there are several of
            one and the worst decides; None where each image is a part.
        part_images: How many images each part had in training; None where their numbers differed, or each is a part.

    Attributes:
        gate: Lets images in that are within the limits, and no more at once than there is room for.

    Shape:
        - Input: `(batch, 3, any height, any width)`, uint8, RGB.
        - Output: `(batch,)`, float32 logits of NG, not calibrated, whatever number of outputs the network has.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        *,
        classes: Sequence[str],
        go_class: str,
        outputs: Sequence[str] = ONE,
        thresholds: Thresholds = Thresholds.single(0.5),  # noqa: B008  # frozen
        calibration: Calibration = UNCALIBRATED,
        metadata: CheckpointMetadata = CheckpointMetadata(),  # noqa: B008  # frozen
        seen_images: SeenImages = NOTHING_SEEN,
        image_limits: ImageLimits | None = None,
        cell_threshold: float = CELL_THRESHOLD,
        mm_per_pixel: float | None = None,
        part: str | None = None,
        part_images: int | None = None,
    ) -> None:
        super().__init__()
        self.cell_threshold, self.mm_per_pixel = cell_threshold, mm_per_pixel
        self.part, self.part_images = part, part_images
        self.network = network.to(memory_format=torch.channels_last)  # as `preprocess` gives the images
        self.preprocess = preprocess
        self.classes = tuple(classes)
        self.go_class = go_class
        self.outputs = tuple(outputs)
        self.thresholds, self.calibration = thresholds, calibration
        self.metadata = metadata
        self.seen_images = seen_images
        self.gate = ImageGate(image_limits or ImageLimits())

    @property
    def device(self) -> torch.device:
        return self.preprocess.mean.device

    @property
    def at_once(self) -> int:
        """Return how many images are scored at once: fewer where they are large."""
        return images_at_once(self.preprocess.image_size, BATCH_SIZE)

    @property
    def weights_sha256(self) -> str:
        """Return what tells its weights from those of another, as the files of a run name them."""
        return weights_hash(self.state_dict())

    @property
    def has_types(self) -> bool:
        """Return whether it tells kinds of NG apart."""
        return len(self.outputs) > 2

    @property
    def has_cells(self) -> bool:
        """Return whether its network judges by cells, so that it says where the defect is."""
        return cell_network(self.network) is not None

    @property
    def calibration_ng_rate(self) -> float | None:
        """Return the share of NG in the mix of parts that P(NG) is for; None where it is not known."""
        return self.calibration.ng_rate

    @property
    def line_ng_rate(self) -> float | None:
        """Return the share of NG on the line that it was trained or decided for; None where none was given."""
        rate: float | None = (self.metadata.known_line or {}).get("ng_rate")
        return rate

    def true_type(self, image: ListedImage) -> str:
        """Return what the model calls the true type of an image; empty for GO, and for types that it does not know."""
        return known_type(image, self.classes, self.outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.of_pixels(self.preprocess.scaled(images))

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Return the same logits of NG from pixels `(batch, 3, *image_size)` scaled to [0, 1], and their gradients."""
        return logit_of_ng(self.network(self.preprocess.normalised(pixels)))

    def logits(self, images: Tensor) -> NDArray[np.float64]:
        """Return the network's own logits of NG, `(batch,)` and not calibrated, of uint8 images `(batch, 3, h, w)`.

        Raises:
            NotFiniteError: If one is NaN or infinite.
        """
        return self.logits_and_types(images)[0]

    def logits_and_types(self, images: Tensor) -> tuple[NDArray[np.float64], list[TypeGuess]]:
        """Return the same, and the likeliest type of each image, were it NG; a calibration changes nothing about these.

        Raises:
            NotFiniteError: If an output of the network is NaN or infinite.
        """
        outputs = self._outputs(images)
        if not (finite := outputs.finite).all():
            raise NotFiniteError(np.flatnonzero(~finite).tolist(), len(finite))
        return outputs.logits, outputs.guesses

    @torch.inference_mode()
    def _outputs(self, images: Tensor) -> _Outputs:
        """Return what the network says of uint8 images `(batch, 3, h, w)`; logits that are not finite as 0.

        Always in float32, whatever training used, so that a decision does not depend on the processor.
        """
        was_training = self.training
        self.eval()
        with torch.autocast(self.device.type, enabled=False), full_float32(self.device.type):
            outputs, cells = judged(self.network, self.preprocess(images.to(self.device)))
            finite = torch.isfinite(outputs).flatten(1).all(1) if outputs.ndim > 1 else torch.isfinite(outputs)
            if cells is not None:
                finite = finite & torch.isfinite(cells).flatten(1).all(1)
            outputs = torch.where(finite[:, None] if outputs.ndim > 1 else finite, outputs, 0.0)
            logits = logit_of_ng(outputs).double().cpu().numpy()
        self.train(was_training)
        guesses = guessed(outputs.cpu().numpy(), self.outputs) if self.has_types else [TypeGuess()] * len(logits)
        heat = None if cells is None else cells.sigmoid().cpu().numpy()
        return _Outputs(logits, guesses, finite.cpu().numpy(), heat)

    def probabilities(self, images: Tensor) -> NDArray[np.float64]:
        """Return P(NG) of uint8 images `(batch, 3, h, w)`: `(batch,)`, calibrated, computed in float64.

        Raises:
            NotFiniteError: If an output of the network is NaN or infinite.
        """
        return self.calibration.probabilities(self.logits(images))

    def predict(self, images: LabeledImage | Iterable[LabeledImage]) -> Predictions:
        """Score images, a batch at a time.

        Args:
            images: One image or many: paths, PIL images, uint8 RGB or grey arrays `(h, w[, 3])`, or
                uint8 tensors `(3, h, w)`; sizes may differ.

        Raises:
            UserError: If a file cannot be read (naming each) or an array is not of that form.
            NotFiniteError: If the network's output for one is NaN or infinite, naming it.

        Example:
            >>> import numpy as np, fancnn
            >>> model = fancnn.load(run)  # run = "outputs/train/<stamp>"
            >>> predictions = model.predict(np.zeros((2, 120, 90, 3), dtype=np.uint8))
            >>> predictions.probabilities.shape, predictions.decisions[0] in ("GO", "NG")
            ((2,), True)
        """
        items = _as_list(images)
        files = [Path(item) for item in items if isinstance(item, str | os.PathLike)]
        scores = list(self.score_files(files))
        if unread := [f"{score.path}: {score.error}" for score in scores if score.error and not score.not_finite]:
            raise UserError(f"{len(unread)} of {plural(len(files), 'file')} cannot be read:\n  " + "\n  ".join(unread))
        from_files = iter(scores)
        others = (item for item in items if not isinstance(item, str | os.PathLike))
        from_pixels = iter(self._score_pixels(self._pixels(item) for item in others))
        scored: list[_Score | FileScore] = [
            next(from_files) if isinstance(item, str | os.PathLike) else next(from_pixels) for item in items
        ]
        if undecided := [
            str(item) if isinstance(item, str | os.PathLike) else place
            for place, (item, score) in enumerate(zip(items, scored, strict=True))
            if score.probability is None
        ]:
            raise NotFiniteError(undecided, len(items))
        probabilities = np.array([score.probability for score in scored], dtype=np.float64)
        decisions = [self.thresholds.decide(probability) for probability in probabilities]
        types = ["" if name == "GO" else score.guess.name for name, score in zip(decisions, scored, strict=True)]
        cells = [score.cells for score in scored if score.cells is not None]
        regions = [score.regions or () for score in scored] if self.has_cells else None
        return Predictions(probabilities, decisions, types, np.stack(cells) if cells else None, regions)

    def score_files(self, paths: Iterable[Path], workers: int | None = None) -> Iterator[FileScore]:
        """Score files in order, on all processors; memory does not grow with their number.

        A file that cannot be read is a result with its reason, and so is one for which the network's output is NaN or
        infinite.
        """
        self.eval()
        if self.device.type == "cpu":  # each thread decodes and scores batches of its own: none waits for another
            for scores in torch_parallel_map(
                _in_batches(paths, self.at_once), lambda batch: self._score(map(self._decoded, batch)), workers, 4
            ):
                yield from scores
        else:
            decoded = decode(paths, self.preprocess, workers, self.gate)
            for batch in _in_batches(decoded, self.at_once):
                yield from self._score(batch)

    def _decoded(self, path: Path) -> Decoded:
        return decode_file(path, self.preprocess, self.gate)

    def _score(self, files: Iterable[Decoded]) -> list[FileScore]:
        batch = list(files)
        scores = self._score_pixels(_Fitted(item.pixels, item.size) for item in batch if item.pixels is not None)
        scored = [_Score(None) if item.pixels is None else next(scores) for item in batch]
        errors = [
            NOT_FINITE if item.pixels is not None and score.probability is None else item.error
            for item, score in zip(batch, scored, strict=True)
        ]
        return [
            FileScore(
                *(item.path, item.sha256, score.probability, error, score.guess, item.pixel_sha256),
                cells=score.cells,
                regions=score.regions,
            )
            for item, score, error in zip(batch, scored, errors, strict=True)
        ]

    def _score_pixels(self, images: Iterable[_Fitted]) -> Iterator[_Score]:
        fit = self.preprocess.to_dict()
        for batch in _in_batches(images, self.at_once):
            outputs = self._outputs(torch.stack([item.pixels for item in batch]))
            probabilities = self.calibration.probabilities(outputs.logits).tolist()
            for row, (item, probability) in enumerate(zip(batch, probabilities, strict=True)):
                if not outputs.finite[row]:
                    yield _Score(None)
                    continue
                cells = None if outputs.cells is None else outputs.cells[row]
                decision = self.thresholds.decide(probability)
                regions = located(cells, decision, item.size, fit, self.cell_threshold)
                yield _Score(probability, outputs.guesses[row], cells, regions)

    def _pixels(self, image: Image.Image | NDArray[np.uint8] | Tensor) -> _Fitted:
        """Return one image as the network gets it, before it is scaled."""
        if isinstance(image, Image.Image):
            image = as_rgb(image, self.preprocess.background, self.gate.limits)
        if isinstance(image, np.ndarray):
            rgb = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
            tensor = torch.from_numpy(np.array(rgb)).permute(2, 0, 1) if rgb.ndim == 3 else torch.empty(0)
        else:
            tensor = image
        if not isinstance(tensor, Tensor):
            raise UserError(f"{FORMS}; got {type(image).__name__}")
        if tensor.ndim != 3 or tensor.shape[0] != 3 or tensor.dtype != torch.uint8 or tensor.numel() == 0:
            raise UserError(f"{FORMS}; got {type(image).__name__} {tuple(image.shape)} {image.dtype}")
        size = (int(tensor.shape[1]), int(tensor.shape[2]))
        return _Fitted(self.preprocess.fit(tensor[None].cpu())[0], size)


def _in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _as_list(images: LabeledImage | Iterable[LabeledImage]) -> list[LabeledImage]:
    single = isinstance(images, str | os.PathLike | Image.Image) or (
        isinstance(images, np.ndarray | Tensor) and images.ndim <= 3
    )
    if not single and (isinstance(images, bytes) or not isinstance(images, Iterable)):
        raise UserError(f"expected an image or many, got {type(images).__name__}. {FORMS}")
    return [images] if single else list(images)  # type: ignore[list-item, arg-type]  # narrowed by `single`
