"""The panels of an explanation: filters, feature maps, what excites a filter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fancnn.pages.panels import ImageCell, Panel, Pixels, map_as_colours, ringed, weights_as_colours

FILTERS_SHOWN = 64


@dataclass(frozen=True)
class MaximizedFilter:
    """A filter with the image made for it, and the images of the split that it answers to most.

    Attributes:
        index: Of the filter.
        made: `(height, width, 3)`; `answers` are the map's mean on its first and its last image.
        images: Each with its place of the greatest answer (shares of height and width), that answer and its truth.
    """

    index: int
    made: Pixels
    answers: tuple[float, float]
    images: tuple[tuple[Pixels, tuple[float, float], float, str], ...]


def first_filter_panels(
    layer: str, after: NDArray[np.float32], before: NDArray[np.float32] | None, missing: str = ""
) -> list[Panel]:
    """Return the first layer's bank before and after training, and the difference.

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
        f"The {count} filters of {height}x{width} pixels that slide over the image: each answers where the image "
        f"looks like it. {reads} Numbers count the filters from 0."
    )
    step = "convolution"
    panels = []
    if before is not None:
        says = f"The filters as they were drawn at random, before the first step. {reads}"
        panels.append(
            Panel(
                "filters-before",
                "First filters before training",
                says,
                step,
                _bank(before, scale),
                note=note,
            )
        )
    panels.append(Panel("filters-after", "First filters after training", first, step, _bank(after, scale), note=note))
    if before is None:
        return [Panel(**{**vars(panels[0]), "note": f"{note} Before training: {missing}.".strip()})]
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
        *panels,
        Panel("filters-change", "What training changed", says, "loss and back-propagation", tiles, note=note),
    ]


def relative_changes(before: NDArray[np.float32], after: NDArray[np.float32]) -> list[float]:
    """Return the norm of each filter's change over the filter's norm before; over its norm now where that was zero."""
    lengths = np.linalg.norm(before.reshape(len(before), -1), axis=1)
    now = np.linalg.norm(after.reshape(len(after), -1), axis=1)
    moved = np.linalg.norm((after - before).reshape(len(after), -1), axis=1)
    unit = np.where(lengths > 0, lengths, np.where(now > 0, now, 1))
    return [float(value) for value in moved / unit]


def feature_map_panel(number: int, name: str, kind: str, step: str, maps: NDArray[np.float32], shown: int) -> Panel:
    """Return the maps of one layer on one image, the `shown` with the greatest values; `(channels, height, width)`."""
    channels, height, width = maps.shape
    strength = np.abs(maps).max(axis=(1, 2))
    chosen = sorted(np.argsort(-strength, kind="stable")[:shown].tolist())
    scale = float(strength.max())
    dead = int((strength == 0).sum())
    meaning = {
        "convolution": "Each map is one filter's answer at each place of the image",
        "pooling": "The maps made smaller, so that the next layer sees more of the image at once",
        "activation": "What is passed on: below zero nothing or little is",
        "norm": "The answers brought to one common scale",
    }[step]
    says = (
        f"{meaning}: {channels} maps of {height}x{width}. Grey is 0, red above, blue below; the ends are ±{scale:.2g}."
    )
    left = channels - len(chosen)
    notes = [f"{left} of {channels} maps, with smaller values, are left out."] if left else []
    notes += [f"{dead} are 0 everywhere on this image."] if dead else []
    tiles = tuple(ImageCell(map_as_colours(maps[index], scale), str(index)) for index in chosen)
    return Panel(f"maps-{number}", f"{name}: {kind}", says, step, tiles, note=" ".join(notes))


def maximization_panel(layer: str, maximized: MaximizedFilter) -> Panel:
    """Return what one filter likes: an image made for it, and those of the split that it answers to most."""
    first, last = maximized.answers
    made = ImageCell(maximized.made, "made for it", sharp=False)
    tiles = [
        ImageCell(ringed(pixels, at), f"{value:.2g} {truth}", sharp=False)
        for pixels, at, value, truth in maximized.images
    ]
    says = (
        f"First an image that gradient ascent made for filter {maximized.index}: its mean answer, before any ReLU, "
        f"rose from {first:.2g} to {last:.2g}. Then the images that it answers to most, with its greatest answer and a "
        "ring in the middle of what it sees there."
    )
    name = f"filter-{maximized.index}"
    return Panel(name, f"Filter {maximized.index} of {layer}", says, "convolution", (made, *tiles), "medium")


def _bank(kept: NDArray[np.float32], scale: float, captions: Sequence[str] = ()) -> tuple[ImageCell, ...]:
    shown = kept[:FILTERS_SHOWN]
    names = captions or [str(index) for index in range(len(shown))]
    return tuple(ImageCell(weights_as_colours(kernel, scale), name) for kernel, name in zip(shown, names, strict=False))
