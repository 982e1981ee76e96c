"""The plates of an explanation: filters, feature maps, what excites a filter, heat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fancnn.inspection.localisation import NAMES
from fancnn.reporting.plates import (
    Pixels,
    Plate,
    Tile,
    beside,
    heat_as_colours,
    map_as_colours,
    outlined,
    overlay,
    ringed,
    weights_as_colours,
)

FILTERS_SHOWN = 64
MOST = 99.5  # percentile of heat that has the brightest colour: single pixels should not darken all others
STEPS = {
    "grad_cam": "back-propagation down to one layer",
    "occlusion": "forward pass alone",
    "integrated_gradients": "back-propagation down to the pixels",
}
READS = {
    "grad_cam": "one layer's maps, each with one weight for all its places: what the score would gain from more of it",
    "occlusion": "by how much the score falls where a square is covered",
    "integrated_gradients": "what each pixel adds to the score, from an empty picture to this one",
}


@dataclass(frozen=True)
class Subject:
    """A picture that is explained.

    Attributes:
        name: As the page calls it.
        why: It is shown, in a word or two.
        truth: Class and defect type; empty where not known.
        label: 0 GO, 1 NG, None where not known.
        logit: Of the network, not calibrated; `probability` is P(NG), calibrated, with its `decision`.
        pixels: `(height, width, 3)`, upright.
        seen: As the network gets it, enlarged to the height of `pixels`.
        mask: Of the defect, `(height, width)`; None where not known.
    """

    name: str
    why: str
    truth: str
    label: int | None
    logit: float
    probability: float
    decision: str
    pixels: Pixels
    seen: Pixels
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Excited:
    """A filter with the picture made for it, and the pictures of the part that it answers to most.

    Attributes:
        index: Of the filter.
        made: `(height, width, 3)`; `answers` are the map's mean on its first and its last picture.
        pictures: Each with its place of the greatest answer (shares of height and width), that answer and its truth.
    """

    index: int
    made: Pixels
    answers: tuple[float, float]
    pictures: tuple[tuple[Pixels, tuple[float, float], float, str], ...]


def filter_plates(
    layer: str, after: NDArray[np.float32], before: NDArray[np.float32] | None, missing: str = ""
) -> list[Plate]:
    """The first layer's bank before and after training, and the difference.

    Args:
        layer: Its name.
        after: `(filters, 3, height, width)`.
        before: The same of the first weights; None where they are not known, for the reason `missing`.
        missing: Why they are not known.
    """
    count, (height, width) = len(after), after.shape[2:]
    left = count - FILTERS_SHOWN
    note = f"{left} of {count} filters are left out." if left > 0 else ""
    banks = [bank for bank in (before, after) if bank is not None]
    scale = max(float(np.abs(bank).max()) for bank in banks) or 1.0
    reads = f"Mid-grey is 0; -{scale:.2g} is black and +{scale:.2g} full in each colour, the same for all."
    first = (
        f"The {count} filters of {height}x{width} pixels that slide over the picture: each answers where the picture "
        f"looks like it. {reads} Numbers count the filters from 0."
    )
    step = "convolution"
    plates = []
    if before is not None:
        says = f"The filters as they were drawn at random, before the first step. {reads}"
        plates.append(
            Plate(
                "filters-before",
                "First filters before training",
                says,
                step,
                _bank(before, scale),
                note=note,
            )
        )
    plates.append(Plate("filters-after", "First filters after training", first, step, _bank(after, scale), note=note))
    if before is None:
        return [Plate(**{**vars(plates[0]), "note": f"{note} Before training: {missing}.".strip()})]
    changes = relative_changes(before, after)
    difference = after - before
    largest = float(np.abs(difference).max())
    captions = [f"{index}: {100 * change:.0f} %" for index, change in enumerate(changes)]
    says = (
        "After less before: what loss and back-propagation added. The percentage is the length of the change, 100 % "
        "as long as the filter was."
    )
    says += f" Mid-grey is 0, the ends are ±{largest:.2g}." if largest else " Nothing changed: the layer was frozen."
    tiles = _bank(difference, largest or 1.0, captions)
    return [
        *plates,
        Plate("filters-change", "What training changed", says, "loss and back-propagation", tiles, note=note),
    ]


def relative_changes(before: NDArray[np.float32], after: NDArray[np.float32]) -> list[float]:
    """Length of each filter's change, in lengths of the filter before; of one that was zero, in its own length now."""
    lengths = np.linalg.norm(before.reshape(len(before), -1), axis=1)
    now = np.linalg.norm(after.reshape(len(after), -1), axis=1)
    moved = np.linalg.norm((after - before).reshape(len(after), -1), axis=1)
    unit = np.where(lengths > 0, lengths, np.where(now > 0, now, 1))
    return [float(value) for value in moved / unit]


def maps_plate(number: int, name: str, kind: str, step: str, maps: NDArray[np.float32], shown: int) -> Plate:
    """The maps of one layer on one picture, the `shown` with the greatest values; `(channels, height, width)`."""
    channels, height, width = maps.shape
    strength = np.abs(maps).max(axis=(1, 2))
    chosen = sorted(np.argsort(-strength, kind="stable")[:shown].tolist())
    scale = float(strength.max())
    dead = int((strength == 0).sum())
    meaning = {
        "convolution": "Each map is one filter's answer at each place of the picture",
        "pooling": "The maps made smaller, so that the next layer sees more of the picture at once",
        "activation": "What is passed on: below zero nothing or little is",
        "norm": "The answers brought to one common scale",
    }[step]
    says = (
        f"{meaning}: {channels} maps of {height}x{width}. Grey is 0, red above, blue below; the ends are ±{scale:.2g}."
    )
    left = channels - len(chosen)
    notes = [f"{left} of {channels} maps, with smaller values, are left out."] if left else []
    notes += [f"{dead} are 0 everywhere on this picture."] if dead else []
    tiles = tuple(Tile(map_as_colours(maps[index], scale), str(index)) for index in chosen)
    return Plate(f"maps-{number}", f"{name}: {kind}", says, step, tiles, note=" ".join(notes))


def exciting_plate(layer: str, excited: Excited) -> Plate:
    """What one filter likes: a picture made for it, and those of the part that it answers to most."""
    first, last = excited.answers
    made = Tile(excited.made, "made for it", sharp=False)
    tiles = [
        Tile(ringed(pixels, at), f"{value:.2g} {truth}", sharp=False) for pixels, at, value, truth in excited.pictures
    ]
    says = (
        f"First a picture that gradient ascent made for filter {excited.index}: its mean answer, before any ReLU, rose "
        f"from {first:.2g} to {last:.2g}. Then the pictures that it answers to most, with its greatest answer and a "
        "ring in the middle of what it sees there."
    )
    name = f"filter-{excited.index}"
    return Plate(name, f"Filter {excited.index} of {layer}", says, "convolution", (made, *tiles), "medium")


def heat_plate(number: int, subject: Subject, heats: Mapping[tuple[str, str], NDArray[np.float32]]) -> Plate:
    """The heat of a picture: by method and target (`NG` or `GO`), `(height, width)` each, 0 and above."""
    tiles = [_picture_tile(subject)]
    for target in ("NG", "GO"):
        for (method, of), heat in heats.items():
            if of == target:
                tiles.append(_heat_tile(subject, heat, f"{NAMES[method]}, for {target}"))
    title = f"{subject.why}: {subject.name}"
    return Plate(f"heat-{number}", title, decision_words(subject), "dense layer and loss", tuple(tiles), "large")


def _picture_tile(subject: Subject) -> Tile:
    known = subject.mask is not None
    picture = subject.pixels if subject.mask is None else outlined(subject.pixels, subject.mask)
    caption = f"the picture{' with its defect outlined' if known else ''}, and as the network gets it"
    return Tile(beside([picture, subject.seen]), caption, sharp=False)


def _heat_tile(subject: Subject, heat: NDArray[np.float32], caption: str) -> Tile:
    most = float(np.percentile(heat, MOST)) or float(heat.max())
    shown = overlay(subject.pixels, heat, most)
    shown = shown if subject.mask is None else outlined(shown, subject.mask)
    blank = "" if heat.max() > 0 else ": none"
    return Tile(beside([shown, heat_as_colours(heat, most)]), caption + blank, sharp=False)


def decision_words(subject: Subject) -> str:
    """From the logit to the decision, and what the loss makes of it where the truth is known.

    Example:
        >>> nothing = np.zeros((1, 1, 3), np.uint8)
        >>> decision_words(Subject("a", "", "NG", 1, 0.0, 0.5, "GO", nothing, nothing))
        'It is NG. Logit +0.00, calibrated P(NG) 0.500, so GO. Loss 0.693: its gradient at the logit is p - y = -0.500.'
    """
    said = f"Logit {subject.logit:+.2f}, calibrated P(NG) {subject.probability:.3f}, so {subject.decision}."
    if subject.label is None:
        return f"What it is, is not known. {said}"
    loss = float(np.logaddexp(0, -subject.logit if subject.label else subject.logit))
    pull = 1 / (1 + float(np.exp(-subject.logit))) - subject.label
    return f"It is {subject.truth}. {said} Loss {loss:.3f}: its gradient at the logit is p - y = {pull:+.3f}."


def _bank(kept: NDArray[np.float32], scale: float, captions: Sequence[str] = ()) -> tuple[Tile, ...]:
    shown = kept[:FILTERS_SHOWN]
    names = captions or [str(index) for index in range(len(shown))]
    return tuple(Tile(weights_as_colours(kernel, scale), name) for kernel, name in zip(shown, names, strict=False))
