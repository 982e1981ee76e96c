"""The trained inspector that every stage after training loads: pixels in, probability and decision out."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fancnn.data.label_modes import ONE, known_type
from fancnn.data.labeled_images import LabeledImage as ListedImage
from fancnn.data.seen_images import NOTHING_SEEN, SeenImages
from fancnn.decisions.calibration import UNCALIBRATED, Calibration
from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.errors import NOT_FINITE, NotFiniteError, UserError
from fancnn.images.decoding import Decoded, decode, decode_file, torch_parallel_map
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import as_rgb
from fancnn.metrics.defect_types import guessed
from fancnn.metrics.predictions import FileScore, TypeGuess
from fancnn.metrics.thresholds import Decision, Thresholds
from fancnn.networks.full_float32 import full_float32
from fancnn.networks.outputs import logit_of_ng
from fancnn.networks.weights import weights_hash
from fancnn.plurals import plural
from fancnn.settings.groups import ImageLimits

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
    """

    probabilities: NDArray[np.float64]
    decisions: list[Decision]
    types: list[str]


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
    ) -> None:
        super().__init__()
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
    def weights_sha256(self) -> str:
        """Return what tells its weights from those of another, as the files of a run name them."""
        return weights_hash(self.state_dict())

    @property
    def has_types(self) -> bool:
        """Return whether it tells kinds of NG apart."""
        return len(self.outputs) > 2

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
        logits, guesses, finite = self._outputs(images)
        if not finite.all():
            raise NotFiniteError(np.flatnonzero(~finite).tolist(), len(finite))
        return logits, guesses

    @torch.inference_mode()
    def _outputs(self, images: Tensor) -> tuple[NDArray[np.float64], list[TypeGuess], NDArray[np.bool_]]:
        """Return logits, likeliest types, and which images have finite outputs; the others have a logit of 0.

        Always in float32, whatever training used, so that a decision does not depend on the processor.
        """
        was_training = self.training
        self.eval()
        with torch.autocast(self.device.type, enabled=False), full_float32(self.device.type):
            outputs: Tensor = self.network(self.preprocess(images.to(self.device)))
            finite = torch.isfinite(outputs).flatten(1).all(1) if outputs.ndim > 1 else torch.isfinite(outputs)
            outputs = torch.where(finite[:, None] if outputs.ndim > 1 else finite, outputs, 0.0)
            logits = logit_of_ng(outputs).double().cpu().numpy()
        self.train(was_training)
        guesses = guessed(outputs.cpu().numpy(), self.outputs) if self.has_types else [TypeGuess()] * len(logits)
        return logits, guesses, finite.cpu().numpy()

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
        scored = [
            (score.probability, score.guess)
            if isinstance(item, str | os.PathLike) and (score := next(from_files))
            else next(from_pixels)
            for item in items
        ]
        if undecided := [
            str(item) if isinstance(item, str | os.PathLike) else place
            for place, (item, (probability, _)) in enumerate(zip(items, scored, strict=True))
            if probability is None
        ]:
            raise NotFiniteError(undecided, len(items))
        probabilities = np.array([probability for probability, _ in scored], dtype=np.float64)
        decisions = [self.thresholds.decide(probability) for probability in probabilities]
        types = ["" if name == "GO" else guess.name for name, (_, guess) in zip(decisions, scored, strict=True)]
        return Predictions(probabilities, decisions, types)

    def score_files(self, paths: Iterable[Path], workers: int | None = None) -> Iterator[FileScore]:
        """Score files in order, on all processors; memory does not grow with their number.

        A file that cannot be read is a result with its reason, and so is one for which the network's output is NaN or
        infinite.
        """
        self.eval()
        if self.device.type == "cpu":  # each thread decodes and scores batches of its own: none waits for another
            for scores in torch_parallel_map(
                _in_batches(paths), lambda batch: self._score(map(self._decoded, batch)), workers, 4
            ):
                yield from scores
        else:
            decoded = decode(paths, self.preprocess, workers, self.gate)
            for batch in _in_batches(decoded):
                yield from self._score(batch)

    def _decoded(self, path: Path) -> Decoded:
        return decode_file(path, self.preprocess, self.gate)

    def _score(self, files: Iterable[Decoded]) -> list[FileScore]:
        batch = list(files)
        scores = self._score_pixels(item.pixels for item in batch if item.pixels is not None)
        scored = [(None, TypeGuess()) if item.pixels is None else next(scores) for item in batch]
        errors = [
            NOT_FINITE if item.pixels is not None and probability is None else item.error
            for item, (probability, _) in zip(batch, scored, strict=True)
        ]
        return [
            FileScore(item.path, item.sha256, probability, error, guess, item.pixel_sha256)
            for item, (probability, guess), error in zip(batch, scored, errors, strict=True)
        ]

    def _score_pixels(self, images: Iterable[Tensor]) -> Iterator[tuple[float | None, TypeGuess]]:
        """Yield P(NG) and the likeliest type of each; None and no type where the network's output is not finite."""
        for batch in _in_batches(images):
            logits, guesses, finite = self._outputs(torch.stack(batch))
            probabilities = self.calibration.probabilities(logits).tolist()
            for probability, guess, is_finite in zip(probabilities, guesses, finite, strict=True):
                yield (probability, guess) if is_finite else (None, TypeGuess())

    def _pixels(self, image: Image.Image | NDArray[np.uint8] | Tensor) -> Tensor:
        """Return one image as `(3, *image_size)` uint8."""
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
        return self.preprocess.fit(tensor[None].cpu())[0]


def _in_batches(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH_SIZE)):
        yield batch


def _as_list(images: LabeledImage | Iterable[LabeledImage]) -> list[LabeledImage]:
    single = isinstance(images, str | os.PathLike | Image.Image) or (
        isinstance(images, np.ndarray | Tensor) and images.ndim <= 3
    )
    if not single and (isinstance(images, bytes) or not isinstance(images, Iterable)):
        raise UserError(f"expected an image or many, got {type(images).__name__}. {FORMS}")
    return [images] if single else list(images)  # type: ignore[list-item, arg-type]  # narrowed by `single`
