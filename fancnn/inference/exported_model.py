"""An exported file in use: images in, P(NG) and decisions out, with ONNX Runtime and without torch."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import NOT_FINITE, NotFiniteError, UserError
from fancnn.files.regular_files import read_regular
from fancnn.files.seals import Content, NotAsWrittenError, is_sealed
from fancnn.images.image_gate import ImageGate
from fancnn.images.image_headers import validate_size
from fancnn.images.parallel_map import parallel_map
from fancnn.images.reading import FORMATS, UnreadableImage, decoded, pixel_hash, read_image
from fancnn.inference.export_metadata import INPUT, INPUT_BEFORE, KEY, ExportMetadata
from fancnn.metrics.predictions import FileScore, TypeGuess
from fancnn.metrics.thresholds import Decision, Thresholds
from fancnn.settings.groups import ImageLimits

BATCH_SIZE = 8
MOST_BYTES = 2 * 2**30  # of a file: an ONNX file cannot be larger
MOST_PIXELS = 4_000_000  # of images scored at once: the resize holds them as floats, 12 bytes a pixel
MOST_KEPT = 3_000_000  # bytes: the memory that larger batches take is given back after each
COPIES = 8  # of the weights of a resize, while they are computed
AHEAD = 4  # batches under way for each worker
CHECKED_SIZE = (97, 61)  # of the images of the self-check: their sides are neither alike nor multiples of anything


@dataclass(frozen=True)
class Found:
    """What an exported model says of some images, in their order.

    Attributes:
        probabilities: `(n,)`, float64: P(NG), calibrated.
        decisions: `GO`, `RECHECK` or `NG` at the file's thresholds.
        type_shares: `(n, types)`, float64: the share of P(NG) that each type has; `(n, 0)` where there are no types.
        guesses: The likeliest type of each image, were it NG, and its share; without a name where there are no types.
    """

    probabilities: NDArray[np.float64]
    decisions: list[Decision]
    type_shares: NDArray[np.float64]
    guesses: list[TypeGuess]


class ExportedModel:
    """A file that `python -m fancnn.export` wrote, ready to decide; may be used by several threads at once.

    Args:
        path: The ONNX file.
        threads: How many processors one image's arithmetic is spread over. 1 is best where `score_files` or a
            server's threads score many images at once; 0 takes all, for the shortest answer to a single image.
        image_limits: Of files and images, and of the memory that reading and resizing them takes; the usual ones where
            None. A file does not say its own.

    Attributes:
        path: As given.
        gate: Lets images in that are within the limits, and no more at once than there is room for.
        sha256: Of the file's bytes.
        facts: All that the file says of itself, as `fancnn.inference.export_metadata` describes it.
        thresholds: Of P(NG): GO up to the lower, NG above the upper, RECHECK between.
        seen_images: Which images the model has seen, in which role.

    Raises:
        UserError: If the file is missing, damaged, not exported by fancnn or of a newer format, or ONNX Runtime is not
            installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], threads: int = 1, *, image_limits: ImageLimits | None = None
    ) -> None:
        self.gate = ImageGate(image_limits or ImageLimits())
        self.path = Path(path).expanduser()
        content = content_of(self.path)
        sealed = checked_seal(self.path, content)
        self._session = session_of(content, self.path, threads)
        self.sha256 = hashlib.sha256(content).hexdigest()
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.facts = ExportMetadata.from_text(text, str(self.path), sealed=sealed)
        self._input = _validated_input(self._session, self.facts, self.path)
        self.thresholds = Thresholds(*self.facts.thresholds)
        self.seen_images = self.facts.seen_images
        self._giving_back = onnx_runtime().RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._wanted = ["probability", "logit", *(["type_shares"] if self.facts.types else [])]

    @property
    def classes(self) -> list[str]:
        return self.facts.classes

    @property
    def go_class(self) -> str:
        return self.facts.go_class

    @property
    def weights_sha256(self) -> str:
        """Return an empty text: runs hash weights as torch has them, and those are not in this file."""
        return ""

    @property
    def calibration_ng_rate(self) -> float | None:
        """Return the share of NG in the mix of parts that P(NG) is for; None where it is not known."""
        return self.facts.calibration_ng_rate

    @property
    def line_ng_rate(self) -> float | None:
        """Return the share of NG on the line that it was trained or decided for; None where none was given."""
        return self.facts.line_ng_rate

    @property
    def has_types(self) -> bool:
        """Return whether it tells kinds of NG apart."""
        return bool(self.facts.types)

    def score(self, images: Sequence[NDArray[np.uint8]]) -> Found:
        """Return P(NG) and decisions for decoded images.

        Args:
            images: Each `(height, width, 3)`, uint8, RGB; sizes may differ. A single array
                `(n, height, width, 3)` is many images.

        Raises:
            UserError: If one is not of that form, or larger than the limits allow.
            NotFiniteError: If what the file gives for one is NaN or infinite: then there is no decision on any.
        """
        probabilities, shares, finite = self._outputs(images)
        if not finite.all():
            raise NotFiniteError(np.flatnonzero(~finite).tolist(), len(finite))
        return Found(
            probabilities,
            [self.thresholds.decide(probability) for probability in probabilities],
            shares,
            self._guessed(shares),
        )

    def validate_finite(self) -> None:
        """Score a grey and a random image: a file with damaged weights shows that here, before a part comes.

        Raises:
            NotFiniteError: If what the file gives for one is NaN or infinite.
        """
        grey = np.full((*CHECKED_SIZE, 3), 128, dtype=np.uint8)
        noise = np.random.default_rng(0).integers(0, 256, grey.shape, dtype=np.uint8)
        try:
            self.score([grey, noise])
        except NotFiniteError as error:
            raise NotFiniteError([("grey", "random")[int(place)] for place in error.images], 2) from error

    def read(self, source: str | os.PathLike[str] | bytes) -> NDArray[np.uint8]:
        """Return an image file, or its content, as `score` takes it: upright, and opaque on the background of training.

        Raises:
            UnreadableImage: If it is no whole image or too large a one, with the reason in short words.
        """
        return read_image(source, self.facts.preprocess["background"], self.gate)

    @contextmanager
    def reading(self, content: bytes, formats: Sequence[str] = FORMATS) -> Iterator[NDArray[np.uint8]]:
        """Yield the image in a file's content as `score` takes it; meanwhile memory is reserved for scoring it.

        Raises:
            UnreadableImage: As `read`.
        """
        background = self.facts.preprocess["background"]
        with decoded(content, background, self.gate, formats=formats, work=self.scoring_bytes) as image:
            yield image

    def scoring_bytes(self, height: int, width: int) -> int:
        """Return the memory that one image takes in the graph: by planes, as floats, and the weights of its resize."""
        out_height, out_width = map(int, self.facts.preprocess["image_size"])
        return 15 * height * width + 12 * height * out_width + COPIES * 4 * (out_height * height + out_width * width)

    def seen(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image as the network sees it: `(*image_size, 3)`, resized, with the border that `pad` makes."""
        validate_image(image)
        (pixels,) = self._session.run(["pixels"], {self._input: image[None]})
        return np.ascontiguousarray(pixels[0].transpose(1, 2, 0).astype(np.uint8))

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return how strongly images of one size, `(n, height, width, 3)`, speak for NG: `(n,)`, not calibrated.

        Raises:
            NotFiniteError: If one is NaN or infinite.
        """
        parts = [self._session.run(["logit"], {self._input: batch})[0] for batch in batches(list(images))]
        logits = np.concatenate([np.zeros(0), *parts])
        if not (finite := np.isfinite(logits)).all():
            raise NotFiniteError(np.flatnonzero(~finite).tolist(), len(logits))
        return logits

    def score_files(self, paths: Iterable[Path], workers: int | None = None) -> Iterator[FileScore]:
        """Score files in order; each of `workers` threads (one for each processor) decodes and scores for itself.

        Memory does not grow with their number. A file that cannot be read is a result with its reason, and so is one
        for which what the exported file gives is NaN or infinite.
        """
        remaining = iter(paths)
        jobs = iter(lambda: list(islice(remaining, BATCH_SIZE)), [])
        for scores in parallel_map(jobs, self._score_files, workers, AHEAD):
            yield from scores

    def _score_files(self, paths: Sequence[Path]) -> list[FileScore]:
        scores: list[FileScore] = []
        waiting: list[tuple[Path, str, NDArray[np.uint8]]] = []
        for path in paths:
            sha256 = ""
            try:
                with self.gate.content(path) as content:
                    sha256 = hashlib.sha256(content).hexdigest()
                    with self.reading(content) as image:
                        waiting.append((path, sha256, image))
                        if sum(image.size for _, _, image in waiting) > 3 * MOST_PIXELS:  # memory stays flat
                            scores += self._scored(waiting)
                            waiting = []
                        del image  # or it would be there still while the next one is decoded
            except UnreadableImage as error:
                scores += [*self._scored(waiting), FileScore(path, sha256, None, str(error))]
                waiting = []
        return [*scores, *self._scored(waiting)]

    def _scored(self, files: Sequence[tuple[Path, str, NDArray[np.uint8]]]) -> list[FileScore]:
        probabilities, shares, finite = self._outputs([image for _, _, image in files])
        guesses = self._guessed(shares)
        return [
            FileScore(path, sha256, float(probability), "", guess, pixel_hash(image))
            if is_finite
            else FileScore(path, sha256, None, NOT_FINITE, pixel_sha256=pixel_hash(image))
            for (path, sha256, image), probability, guess, is_finite in zip(
                files, probabilities, guesses, finite, strict=True
            )
        ]

    def _outputs(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return P(NG) `(n,)`, shares of types `(n, types)`, and for which images all that the file gives is finite."""
        for image in images:
            validate_image(image)
            validate_size(image.shape[1], image.shape[0], self.gate.limits)
        parts = [self._of_one_size(batch) for batch in batches(images)]
        probabilities = np.concatenate([np.zeros(0), *(part[0] for part in parts)])
        logits = np.concatenate([np.zeros(0), *(part[1] for part in parts)])
        shares = np.zeros((len(probabilities), 0))
        if count := len(self.facts.types):
            shares = np.concatenate([np.zeros((0, count)), *(part[2] for part in parts)])
        finite = np.isfinite(probabilities) & np.isfinite(logits) & np.isfinite(shares).all(axis=1)
        return probabilities, shares, finite

    def _of_one_size(self, batch: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        options = self._giving_back if batch.size > MOST_KEPT else None
        tensors = self._session.run(self._wanted, {self._input: batch}, options)
        return [values.astype(np.float64) for values in tensors]

    def _guessed(self, shares: NDArray[np.float64]) -> list[TypeGuess]:
        if not self.facts.types:
            return [TypeGuess()] * len(shares)
        best = shares.argmax(axis=1)
        return [TypeGuess(self.facts.types[place], float(row[place])) for place, row in zip(best, shares, strict=True)]


def validate_image(image: object) -> None:
    """Refuse what is no decoded image.

    Raises:
        UserError: Unless it is `(height, width, 3)` uint8 with some pixels.
    """
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or image.size == 0
    ):
        got = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"an image should be a uint8 array (height, width, 3), RGB, with some pixels; got {got}")


def batches(images: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the neighbours of one size together, `(n, height, width, 3)`, as many as are best scored at once.

    Example:
        >>> small, large = np.zeros((2, 3, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
        >>> [batch.shape for batch in batches([small, small, large])]
        [(2, 2, 3, 3), (1, 4, 4, 3)]
    """
    for (height, width, _), group in groupby(images, key=lambda image: image.shape):
        alike = list(group)
        step = min(BATCH_SIZE, max(MOST_PIXELS // (height * width), 1))
        for start in range(0, len(alike), step):
            together = alike[start : start + step]
            yield np.stack(together) if len(together) > 1 else together[0][None]  # no copy of a large one


def checked_seal(path: Path, *contents: Content) -> bool:
    """Return whether the file `path` with these contents has a seal; files of before have none.

    Raises:
        UserError: If what it seals has changed.
    """
    try:
        return is_sealed(*contents)
    except NotAsWrittenError as error:
        raise UserError(f"{path} is damaged: {error}. Take another copy of it, or export it again") from error


def _validated_input(session: Any, facts: ExportMetadata, path: Path) -> str:
    """Return the name of the input tensor; refuse a graph whose inputs and outputs are not those of its facts."""
    taken, given = session.get_inputs(), {item.name: item for item in session.get_outputs()}
    known = [item for item in taken if item.name in (INPUT, INPUT_BEFORE)]
    if len(taken) != 1 or [(item.type, len(item.shape)) for item in known] != [("tensor(uint8)", 4)]:
        raise UserError(f"{path} is damaged: expected a graph that takes {INPUT} alone, (n, height, width, 3) uint8")
    if missing := [name for name in facts.tensors if name not in given]:
        raise UserError(f"{path} is damaged: expected a graph that gives {', '.join(missing)}")
    if facts.types and given["type_shares"].shape[-1:] != [len(facts.types)]:
        raise UserError(f"{path} is damaged: expected a share for each of the types {', '.join(facts.types)}")
    name: str = taken[0].name
    return name


def session_of(content: bytes, path: Path, threads: int) -> Any:
    """Return an `onnxruntime.InferenceSession` on the CPU, in float32, that says nothing on the console.

    Raises:
        UserError: If it is no ONNX file, or ONNX Runtime is not installed.
    """
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave others theirs
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class but this
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is damaged or no ONNX file: {reason}") from error


def onnx_runtime() -> Any:
    """Return the module `onnxruntime`.

    Raises:
        UserError: If it is not installed, with what to install.
    """
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise UserError(
            "an exported file runs on ONNX Runtime, which is not installed: pip install onnxruntime, or, where files "
            'are exported, too, "fancnn[export]"'
        ) from error


def content_of(path: Path) -> bytes:
    """Read an exported file.

    Raises:
        UserError: If it is missing, cannot be read, is no regular file or larger than any such file.
    """
    try:
        return read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Expected a file that `python -m fancnn.export` wrote") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
