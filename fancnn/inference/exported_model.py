"""An exported file in use: images in, P(NG) and decisions out, with ONNX Runtime and without torch."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fancnn.decisions.defect_boxes import located
from fancnn.errors import NOT_FINITE, NotFiniteError, UserError
from fancnn.files.regular_files import read_regular
from fancnn.files.seals import Content, NotAsWrittenError, is_sealed
from fancnn.images.image_gate import ImageGate
from fancnn.images.image_headers import validate_size
from fancnn.images.parallel_map import parallel_map
from fancnn.images.reading import FORMATS, UnreadableImage, decoded, pixel_hash, read_image
from fancnn.inference.export_metadata import INPUT, INPUT_BEFORE, KEY, ExportMetadata
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.predictions import FileScore, TypeGuess
from fancnn.metrics.thresholds import Decision, Thresholds
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import MOST_SIDE, is_count

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
        cells: `(n, rows, columns)`, float32: P(NG) of each cell; None where the network has none.
        regions: Where the defect is, in pixels of each image: the hottest first, none where it is GO; None as `cells`.
    """

    probabilities: NDArray[np.float64]
    decisions: list[Decision]
    type_shares: NDArray[np.float64]
    guesses: list[TypeGuess]
    cells: NDArray[np.float32] | None = None
    regions: list[tuple[DefectRegion, ...]] | None = None


class _Outputs(NamedTuple):
    """What the file gives for images: `(n,)`, `(n, types)`, `(n, rows, columns)`, and for which all of it is finite."""

    probabilities: NDArray[np.float64]
    shares: NDArray[np.float64]
    cells: NDArray[np.float32] | None
    finite: NDArray[np.bool_]


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
        text = metadata_text(self._session, self.path)
        self.facts = ExportMetadata.from_text(text, str(self.path), sealed=sealed)
        self._input = _validated_input(self._session, self.facts, self.path)
        self._grid = _validated_grid(self._session, self.facts, self.path)
        self.thresholds = Thresholds(*self.facts.thresholds)
        self.seen_images = self.facts.seen_images
        self._giving_back = onnx_runtime().RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._wanted = [name for name in self.facts.tensors if name != "pixels"]

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

    @property
    def has_cells(self) -> bool:
        """Return whether its network judges by cells, so that it says where the defect is."""
        return self.facts.has_cells

    @property
    def mm_per_pixel(self) -> float | None:
        """Return the millimetres of the part that a pixel of the stored images shows; None where not known."""
        return self.facts.mm_per_pixel

    @property
    def part(self) -> str | None:
        """Return the regular expression that names the part of an image; None where each image is a part."""
        return self.facts.part

    @property
    def part_images(self) -> int | None:
        """Return how many images each part had in training; None where their numbers differed, or each is a part."""
        return self.facts.part_images

    def score(self, images: Sequence[NDArray[np.uint8]]) -> Found:
        """Return P(NG) and decisions for decoded images.

        Args:
            images: Each `(height, width, 3)`, uint8, RGB; sizes may differ. A single array
                `(n, height, width, 3)` is many images.

        Raises:
            UserError: If one is not of that form, or larger than the limits allow.
            NotFiniteError: If what the file gives for one is NaN or infinite: then there is no decision on any.
        """
        outputs = self._outputs(images)
        if not (finite := outputs.finite).all():
            raise NotFiniteError(np.flatnonzero(~finite).tolist(), len(finite))
        regions = [self._regions(outputs, row, image) for row, image in enumerate(images)]
        return Found(
            outputs.probabilities,
            [self.thresholds.decide(probability) for probability in outputs.probabilities],
            outputs.shares,
            self._guessed(outputs.shares),
            outputs.cells,
            [of_image or () for of_image in regions] if self.has_cells else None,
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
        outputs = self._outputs([image for _, _, image in files])
        guesses = self._guessed(outputs.shares)
        return [
            FileScore(
                *(path, sha256, float(outputs.probabilities[row]), "", guesses[row], pixel_hash(image)),
                cells=None if outputs.cells is None else outputs.cells[row],
                regions=self._regions(outputs, row, image),
            )
            if outputs.finite[row]
            else FileScore(path, sha256, None, NOT_FINITE, pixel_sha256=pixel_hash(image))
            for row, (path, sha256, image) in enumerate(files)
        ]

    def _regions(self, outputs: _Outputs, row: int, image: NDArray[np.uint8]) -> tuple[DefectRegion, ...] | None:
        """Return where the defect of one image is, as the file's thresholds decide it."""
        cells = None if outputs.cells is None else outputs.cells[row]
        decision = self.thresholds.decide(float(outputs.probabilities[row]))
        size = (image.shape[0], image.shape[1])
        return located(cells, decision, size, self.facts.preprocess, self.facts.cell_threshold)

    def _outputs(self, images: Sequence[NDArray[np.uint8]]) -> _Outputs:
        for image in images:
            validate_image(image)
            validate_size(image.shape[1], image.shape[0], self.gate.limits)
        parts = [self._of_one_size(batch) for batch in batches(images)]
        none = {"type_shares": np.zeros((0, len(self.facts.types))), "cells": np.zeros((0, *self._grid), np.float32)}
        probabilities, logits, shares, cells = (
            np.concatenate([none.get(name, np.zeros(0)), *(part[name] for part in parts if name in part)])
            for name in ("probability", "logit", "type_shares", "cells")
        )
        if not self.facts.types:
            shares = np.zeros((len(probabilities), 0))
        finite = np.isfinite(probabilities) & np.isfinite(logits) & np.isfinite(shares).all(axis=1)
        if self.has_cells:
            finite &= np.isfinite(cells).all(axis=(1, 2))
        return _Outputs(probabilities, shares, cells if self.has_cells else None, finite)

    def _of_one_size(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        options = self._giving_back if batch.size > MOST_KEPT else None
        tensors = self._session.run(self._wanted, {self._input: batch}, options)
        return {
            name: values if name == "cells" else values.astype(np.float64)
            for name, values in zip(self._wanted, tensors, strict=True)
        }

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


def metadata_text(session: Any, path: Path) -> str | None:
    """Return what an ONNX file states of itself; None where it states nothing.

    Raises:
        UserError: If that is no text: ONNX Runtime reads all of it at once, and fails at a damaged byte.
    """
    try:
        text: str | None = session.get_modelmeta().custom_metadata_map.get(KEY)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: what it states of itself is no text ({error})") from error
    return text


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


def _validated_grid(session: Any, facts: ExportMetadata, path: Path) -> tuple[int, int]:
    """Return how many rows and columns of cells the file gives; none where its network has none."""
    if not facts.has_cells:
        return 0, 0
    (shape,) = [output.shape for output in session.get_outputs() if output.name == "cells"]
    if len(shape) != 3 or not all(is_count(side) and side <= MOST_SIDE for side in shape[1:]):
        raise UserError(f"{path} is damaged: expected P(NG) of rows and columns of cells, got the shape {shape}")
    return shape[1], shape[2]


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
