"""From the bytes of some files to decisions: the work of one request, done in one thread."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import NotFiniteError
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.parts import worst_places
from fancnn.metrics.prior_shift import at_prior
from fancnn.plurals import plural
from fancnn.serve.occlusion import heat_png, occlusion_heat
from fancnn.serve.request_validation import Refused, admitted, size_of
from fancnn.serve.schemas import Heatmap, ImageAnswer, PartAnswer, Region


class File(NamedTuple):
    """An image file as a client sent it; its name is sent back and never opened."""

    name: str
    content: bytes


class Inspector:
    """An exported model behind the limits of a request.

    Args:
        model: May be used by several threads.
        formats: Kinds of files that are decoded, by Pillow's names.
        request_megapixels: How large all images of a request may be together; each as the model's limits have it.
    """

    def __init__(self, model: ExportedModel, formats: Sequence[str], request_megapixels: float) -> None:
        self.model, self.formats = model, tuple(formats)
        self.most_of_request = request_megapixels * 1e6

    def answer(self, files: Sequence[File], heatmap: bool, until: float = float("inf")) -> list[ImageAnswer]:
        """Decide on each file.

        Args:
            files: At least one.
            heatmap: Whether to look where each image speaks for NG.
            until: Of `time.monotonic`: nobody waits for what begins later.

        Raises:
            Refused: If one cannot be decided, naming it where there are several: then none is.
            NotFiniteError: If the network's output for one is NaN or infinite, naming it: then there is no decision on
                any of them.
        """
        several = len(files) > 1
        if several:
            self._validate_together(files)
        answers = []
        for file in files:
            if time.monotonic() > until:
                raise Refused(503, "it took too long; try again later")
            try:
                with _named(file, several), admitted(self.model, file.content, self.formats) as image:
                    answers.append(self._decided(file.name, image, heatmap))
            except NotFiniteError as error:
                raise NotFiniteError([file.name or "the image"], len(files)) from error
        return answers

    def _validate_together(self, files: Sequence[File]) -> None:
        """Refuse too many pixels before any are decoded: small files can hold more than there is memory or time for."""
        pixels = 0
        for file in files:
            with _named(file):
                width, height = size_of(self.model, file.content, self.formats)
            pixels += width * height
        if pixels > self.most_of_request:
            most = f"{int(self.most_of_request):,}"
            raise Refused(
                413, f"{plural(len(files), 'image')} of {pixels:,} pixels together; at most {most} are taken at once"
            )

    def _decided(self, name: str, image: NDArray[np.uint8], heatmap: bool) -> ImageAnswer:
        predicted = self.model.score([image])
        decision, guess = predicted.decisions[0], predicted.guesses[0]
        own, line = self.model.calibration_ng_rate, self.model.line_ng_rate
        probability = float(predicted.probabilities[0])
        on_line = None if own is None or line is None else float(at_prior(probability, own, line))
        suspect = decision != "GO" and bool(guess.name)
        return {
            "name": name,
            "decision": decision,
            "probability": probability,
            "line_probability": on_line,
            "type": guess.name if suspect else None,
            "type_share": guess.share if suspect else None,
            "width": image.shape[1],
            "height": image.shape[0],
            "regions": None if predicted.regions is None else list(map(self._region, predicted.regions[0])),
            "heatmap": self._heatmap(image) if heatmap else None,
        }

    def _region(self, found: DefectRegion) -> Region:
        scale = self.model.mm_per_pixel
        return {
            "left": found.left,
            "top": found.top,
            "right": found.right,
            "bottom": found.bottom,
            "x": found.x,
            "y": found.y,
            "width": found.width,
            "height": found.height,
            "probability": found.probability,
            "millimetres": None
            if scale is None
            else {
                "x": found.x * scale,
                "y": found.y * scale,
                "width": found.width * scale,
                "height": found.height * scale,
            },
        }

    def _heatmap(self, image: NDArray[np.uint8]) -> Heatmap:
        heat = occlusion_heat(self.model, image)
        return {"png": heat_png(heat), "greatest_fall": float(heat.max())}


def decided_part(name: str, images: Sequence[ImageAnswer], expected: int | None) -> PartAnswer:
    """Return the decision on a part, which is that on the worst of its images.

    Args:
        name: Of the part.
        images: At least one, all that there are of it.
        expected: How many images a part has; None where that is not known.

    Raises:
        Refused: 422 for fewer images than that: the defect may be on another.
    """
    if expected is not None and len(images) < expected:
        raise Refused(422, f"{plural(len(images), 'image')} of the part: expected {expected}, as in training")
    (worst,) = worst_places([name] * len(images), [image["probability"] for image in images])
    image = images[worst]
    return {
        "name": name,
        "decision": image["decision"],
        "probability": image["probability"],
        "line_probability": image["line_probability"],
        "worst": worst,
    }


@contextmanager
def _named(file: File, several: bool = True) -> Iterator[None]:
    """Say in a refusal which of several files it is about."""
    try:
        yield
    except Refused as refusal:
        raise Refused(refusal.status, f"{file.name}: {refusal}" if several else str(refusal)) from None
