"""Whether runtimes decide as the run does, image by image, and how far apart they are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from fancnn.errors import NotFiniteError
from fancnn.inference.exported_model import batches
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.parity.runtimes import Runtime, Tensors, reference, reference_of_pixels

TOLERANCE = 1e-4  # of probabilities: the last bits of float32 sums, and grey levels halfway between two


@dataclass
class Agreement:
    """How one runtime compares with the run over all images so far.

    Attributes:
        name: Of the runtime.
        counts: Whether it must agree.
        images: How many.
        flips: Images that it decides otherwise.
        not_finite: Images for which it gives NaN or infinity: it has no decision on them, and they are in no gap.
        probability_gap: The largest, of P(NG) and of shares of types.
        map_gap: The largest, of P(NG) of cells; None where the network, or a file of before, has no cells. Of the
            runtime's own pixels: a grey level that was halfway between two weighs much in a local contrast, and is
            counted below.
        logit_gap: The largest, of logits before calibration.
        level_gap: The largest, in grey levels after the resize.
        values_apart: How many of the values after the resize differ.
        values: Of how many.
        worst: The image with the largest gap of P(NG), its own or of a cell, `(h, w, 3)`.
        worst_name: What it is called.
    """

    name: str
    counts: bool
    images: int = 0
    flips: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)
    probability_gap: float = 0.0
    map_gap: float | None = None
    logit_gap: float = 0.0
    level_gap: float = 0.0
    values_apart: int = 0
    values: int = 0
    worst: NDArray[np.uint8] | None = None
    worst_name: str = ""

    @property
    def within(self) -> bool:
        """Return whether no decision differs or is missing, and no probability by more than arithmetic explains."""
        gap = max(self.probability_gap, self.map_gap or 0.0)
        return not self.flips and not self.not_finite and gap <= TOLERANCE


def agreements(
    model: Model,
    runtimes: Sequence[Runtime],
    thresholds: Thresholds,
    images: Iterable[tuple[str, NDArray[np.uint8]]],
) -> list[Agreement]:
    """Score images with the run and with every runtime.

    Args:
        model: The run, which decides at its own thresholds.
        runtimes: Which decide at `thresholds`.
        thresholds: Of the exported file.
        images: Names and pixels `(h, w, 3)` uint8; taken a batch at a time.

    Raises:
        NotFiniteError: If the run itself gives NaN or infinity for one, naming it: there is nothing to compare with.
    """
    results = [Agreement(runtime.name, runtime.counts) for runtime in runtimes]
    for names, batch in _named_batches(images):
        expected = reference(model, batch)
        if undecided := [name for name, is_finite in zip(names, finite(expected), strict=True) if not is_finite]:
            raise NotFiniteError(undecided, len(batch))
        for agreement, runtime in zip(results, runtimes, strict=True):
            got = runtime.score(batch)
            whole = finite(got)
            agreement.images += len(batch)
            kept, missing = np.flatnonzero(whole), np.flatnonzero(~whole)
            if missing.size and not agreement.not_finite:  # a missing number is worse than any gap
                agreement.worst, agreement.worst_name = batch[missing[0]], names[missing[0]]
            agreement.not_finite += [names[row] for row in missing]
            if kept.size:
                ours, theirs = ({name: values[kept] for name, values in of.items()} for of in (expected, got))
                if "cells" in ours and "cells" in theirs and (ours["pixels"] != theirs["pixels"]).any():
                    same = torch.from_numpy(theirs["pixels"].clip(0, 255).astype(np.uint8))
                    ours["cells"] = reference_of_pixels(model, same)["cells"]
                _add(agreement, model.thresholds, thresholds, ours, theirs, [names[row] for row in kept], batch[kept])
    return results


def finite(tensors: Tensors) -> NDArray[np.bool_]:
    """Return which images have no NaN and no infinity in any tensor: `(n,)`."""
    whole = [np.isfinite(values).reshape(len(values), -1).all(axis=1) for values in tensors.values()]
    return np.asarray(np.all(whole, axis=0))


def _add(
    agreement: Agreement,
    own: Thresholds,
    thresholds: Thresholds,
    expected: Tensors,
    got: Tensors,
    names: Sequence[str],
    batch: NDArray[np.uint8],
) -> None:
    decisions = zip(names, own.ranks(expected["probability"]), thresholds.ranks(got["probability"]), strict=True)
    agreement.flips += [name for name, a, b in decisions if a != b]
    probability_gaps = np.abs(got["probability"].astype(np.float64) - expected["probability"])
    gaps, before = probability_gaps, max(agreement.probability_gap, agreement.map_gap or 0.0)
    if "cells" in expected and "cells" in got:
        map_gaps = np.abs(got["cells"] - expected["cells"]).max(axis=(1, 2))
        agreement.map_gap = max(agreement.map_gap or 0.0, float(map_gaps.max()))
        gaps = np.maximum(gaps, map_gaps)
    if not agreement.not_finite and (agreement.worst is None or gaps.max() > before):
        place = int(gaps.argmax())
        agreement.worst, agreement.worst_name = batch[place], names[place]
    shares = gap(expected, got, "type_shares") if "type_shares" in expected else 0.0
    agreement.probability_gap = max(agreement.probability_gap, float(probability_gaps.max()), shares)
    agreement.logit_gap = max(agreement.logit_gap, gap(expected, got, "logit"))
    agreement.level_gap = max(agreement.level_gap, gap(expected, got, "pixels"))
    agreement.values_apart += int((np.abs(expected["pixels"] - got["pixels"]) > 0.5).sum())
    agreement.values += expected["pixels"].size


def gap(expected: Tensors, got: Tensors, name: str) -> float:
    """Return the largest difference of one tensor; NaN where it is not finite."""
    return float(np.abs(expected[name].astype(np.float64) - got[name]).max())


def _named_batches(
    images: Iterable[tuple[str, NDArray[np.uint8]]],
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Yield the neighbours of one size together, taking no more images at a time than it takes to make a batch."""
    held: list[tuple[str, NDArray[np.uint8]]] = []
    for name, image in images:
        if held and (image.shape != held[0][1].shape or len(held) == 16):
            yield from _parts(held)
            held = []
        held.append((name, image))
    yield from _parts(held)


def _parts(held: Sequence[tuple[str, NDArray[np.uint8]]]) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    names = [name for name, _ in held]
    start = 0
    for batch in batches([image for _, image in held]):
        yield names[start : start + len(batch)], batch
        start += len(batch)
