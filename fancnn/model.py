"""The trained inspector that every stage after training loads: pixels in, probability and decision out."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.images.decoding import Decoded, decode, decode_file, spread
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import as_rgb
from fancnn.inspection.calibration import UNCALIBRATED, Calibration
from fancnn.inspection.decisions import Decision, Thresholds

FORMS = (
    "A picture should be a path, a PIL image, a uint8 array (height, width) or (height, width, 3), or a uint8 tensor "
    "(3, height, width)"
)
BATCH_SIZE = 32  # pictures scored at once: more are no faster, and slower where memory is mapped anew (memory.py)

T = TypeVar("T")
Picture = str | os.PathLike[str] | Image.Image | NDArray[np.uint8] | Tensor


@dataclass(frozen=True)
class Predictions:
    """What a model says of some pictures, in their order: P(NG), `(n,)` float64, and `GO`, `RECHECK` or `NG`."""

    probabilities: NDArray[np.float64]
    decisions: list[Decision]


@dataclass(frozen=True)
class FileScore:
    """What a model says of one file: P(NG), or None and the reason why it could not be read."""

    path: Path
    sha256: str
    probability: float | None
    error: str


class Model(nn.Module):
    """Preprocessing, network, calibration, classes and thresholds in one: all that a decision needs.

    Args:
        network: Takes `(batch, 3, height, width)` float pictures, gives `(batch,)` logits of NG.
        preprocess: Takes uint8 pictures of any size to what the network wants.
        classes: Names of the class folders it was trained on.
        go_class: The one of them that holds good parts.
        thresholds: Of P(NG): GO up to the lower, NG above the upper, RECHECK between.
        calibration: From the network's logit to the logit of P(NG).
        about: Plain data on where it comes from: epoch, configuration, versions.

    Shape:
        - Input: `(batch, 3, any height, any width)`, uint8, RGB.
        - Output: `(batch,)`, float32 logits of the network, not calibrated.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        *,
        classes: Sequence[str],
        go_class: str,
        thresholds: Thresholds = Thresholds.single(0.5),  # noqa: B008  # frozen
        calibration: Calibration = UNCALIBRATED,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # as `preprocess` gives the pictures
        self.preprocess = preprocess
        self.classes = tuple(classes)
        self.go_class = go_class
        self.thresholds, self.calibration = thresholds, calibration
        self.about = dict(about)

    @property
    def device(self) -> torch.device:
        return self.preprocess.mean.device

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.preprocess(images))
        return logits

    @torch.inference_mode()
    def logits(self, images: Tensor) -> NDArray[np.float64]:
        """Logits of uint8 pictures `(batch, 3, h, w)` as the network gives them: `(batch,)`, not calibrated.

        Always in float32, whatever training used, so that a decision does not depend on the processor.
        """
        was_training = self.training
        self.eval()
        with torch.autocast(self.device.type, enabled=False):
            found: Tensor = self(images.to(self.device)).double().cpu()
        self.train(was_training)
        return found.numpy()

    def probabilities(self, images: Tensor) -> NDArray[np.float64]:
        """P(NG) of uint8 pictures `(batch, 3, h, w)`: `(batch,)`, calibrated, computed in float64."""
        return self.calibration.probabilities(self.logits(images))

    def predict(self, pictures: Picture | Iterable[Picture]) -> Predictions:
        """Score pictures, a batch at a time.

        Args:
            pictures: One picture or many: paths, PIL images, uint8 RGB or grey arrays `(h, w[, 3])`, or
                uint8 tensors `(3, h, w)`; sizes may differ.

        Raises:
            UserError: If a file cannot be read (naming each) or an array is not of that form.

        Example:
            >>> import numpy as np, fancnn
            >>> model = fancnn.load(run)  # run = "outputs/train/<stamp>"
            >>> found = model.predict(np.zeros((2, 120, 90, 3), dtype=np.uint8))
            >>> found.probabilities.shape, found.decisions[0] in ("GO", "NG")
            ((2,), True)
        """
        items = _as_list(pictures)
        files = [Path(item) for item in items if isinstance(item, str | os.PathLike)]
        scores = list(self.score_files(files))
        if unread := [f"{score.path}: {score.error}" for score in scores if score.probability is None]:
            raise UserError(f"{len(unread)} of {len(files)} files cannot be read:\n  " + "\n  ".join(unread))
        from_files = iter(scores)
        others = (item for item in items if not isinstance(item, str | os.PathLike))
        from_pixels = iter(self._score_pixels(self._pixels(item) for item in others))
        chances = [
            next(from_files).probability if isinstance(item, str | os.PathLike) else next(from_pixels) for item in items
        ]
        probabilities = np.array(chances, dtype=np.float64)
        return Predictions(probabilities, [self.thresholds.decide(chance) for chance in probabilities])

    def score_files(self, paths: Iterable[Path], workers: int | None = None) -> Iterator[FileScore]:
        """Score files in order, on all processors; memory does not grow with their number."""
        self.eval()
        if self.device.type == "cpu":  # each thread decodes and scores batches of its own: none waits for another
            for scores in spread(_in_batches(paths), lambda batch: self._score(map(self._decoded, batch)), workers, 4):
                yield from scores
        else:
            decoded = decode(paths, self.preprocess, workers)
            for batch in _in_batches(decoded):
                yield from self._score(batch)

    def _decoded(self, path: Path) -> Decoded:
        return decode_file(path, self.preprocess)

    def _score(self, files: Iterable[Decoded]) -> list[FileScore]:
        batch = list(files)
        chances = iter(self._score_pixels(item.pixels for item in batch if item.pixels is not None))
        return [
            FileScore(item.path, item.sha256, None if item.pixels is None else next(chances), item.error)
            for item in batch
        ]

    def _score_pixels(self, pictures: Iterable[Tensor]) -> Iterator[float]:
        for batch in _in_batches(pictures):
            yield from self.probabilities(torch.stack(batch)).tolist()

    def _pixels(self, picture: Image.Image | NDArray[np.uint8] | Tensor) -> Tensor:
        """One picture as `(3, *image_size)` uint8."""
        if isinstance(picture, Image.Image):
            picture = as_rgb(picture, self.preprocess.background)
        if isinstance(picture, np.ndarray):
            rgb = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
            tensor = torch.from_numpy(np.array(rgb)).permute(2, 0, 1) if rgb.ndim == 3 else torch.empty(0)
        else:
            tensor = picture
        if not isinstance(tensor, Tensor):
            raise UserError(f"{FORMS}; got {type(picture).__name__}")
        if tensor.ndim != 3 or tensor.shape[0] != 3 or tensor.dtype != torch.uint8 or tensor.numel() == 0:
            raise UserError(f"{FORMS}; got {type(picture).__name__} {tuple(picture.shape)} {picture.dtype}")
        return self.preprocess.fit(tensor[None].cpu())[0]


def _in_batches(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH_SIZE)):
        yield batch


def _as_list(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    single = isinstance(pictures, str | os.PathLike | Image.Image) or (
        isinstance(pictures, np.ndarray | Tensor) and pictures.ndim <= 3
    )
    if not single and (isinstance(pictures, bytes) or not isinstance(pictures, Iterable)):
        raise UserError(f"expected a picture or many, got {type(pictures).__name__}. {FORMS}")
    return [pictures] if single else list(pictures)  # type: ignore[list-item, arg-type]  # narrowed by `single`
