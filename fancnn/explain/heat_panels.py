"""The panels of an explanation with heat, and the text on each image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fancnn.metrics.localization import NAMES
from fancnn.metrics.predictions import TypeGuess
from fancnn.pages.formatting import percent
from fancnn.pages.panels import ImageCell, Panel, Pixels, beside, heat_as_colours, outlined, overlay

MOST = 99.5  # percentile of heat that has the brightest colour: single pixels should not darken all others
STEPS = {
    "cells": "forward pass alone",
    "grad_cam": "back-propagation down to one layer",
    "occlusion": "forward pass alone",
    "integrated_gradients": "back-propagation down to the pixels",
}
READS = {
    "cells": "P(NG) of each cell, which the image's own is made of: no explanation afterwards, the decision itself",
    "grad_cam": "one layer's maps, each with one weight for all its places: what the score would gain from more of it",
    "occlusion": "by how much the score falls where a square is covered",
    "integrated_gradients": "what each pixel adds to the score, from an empty image to this one",
}


@dataclass(frozen=True)
class ExplainedImage:
    """An image that is explained.

    Attributes:
        name: As the page calls it.
        why: It is shown, in a word or two.
        truth: Class and defect type; empty where not known.
        label: 0 GO, 1 NG, None where not known.
        logit: Of the network, not calibrated; `probability` is P(NG), calibrated, with its `decision`.
        pixels: `(height, width, 3)`, upright.
        seen: As the network gets it, enlarged to the height of `pixels`.
        mask: Of the defect, `(height, width)`; None where not known.
        guess: The likeliest type, were it NG; without a name where the network has no types.
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
    guess: TypeGuess = TypeGuess()  # noqa: RUF009  # a tuple


def heat_panel(number: int, subject: ExplainedImage, heats: Mapping[tuple[str, str], NDArray[np.float32]]) -> Panel:
    """Return the heat of an image: by method and target (`NG` or `GO`), `(height, width)` each, 0 and above.

    The image, below it a row of all methods for NG, and one for GO.
    """
    tiles = [_image_tile(subject)]
    for target in ("NG", "GO"):
        for (method, of), heat in heats.items():
            if of == target:
                most = 1.0 if method == "cells" else float(np.percentile(heat, MOST)) or float(heat.max())
                tiles.append(_heat_tile(subject, heat, most, f"{NAMES[method]}, for {target}"))
    title = f"{subject.why}: {subject.name}"
    columns = len({method for method, _ in heats})
    says, step = decision_words(subject), "dense layer and loss"
    return Panel(f"heat-{number}", title, says, step, tuple(tiles), "large", columns=columns)


def _image_tile(subject: ExplainedImage) -> ImageCell:
    known = subject.mask is not None
    image = subject.pixels if subject.mask is None else outlined(subject.pixels, subject.mask)
    caption = f"the image{' with its defect outlined' if known else ''}, and as the network gets it"
    return ImageCell(beside([image, subject.seen]), caption, sharp=False)


def _heat_tile(subject: ExplainedImage, heat: NDArray[np.float32], most: float, caption: str) -> ImageCell:
    shown = overlay(subject.pixels, heat, most)
    shown = shown if subject.mask is None else outlined(shown, subject.mask)
    blank = "" if heat.max() > 0 else ": none"
    return ImageCell(beside([shown, heat_as_colours(heat, most)]), caption + blank, sharp=False)


def decision_words(subject: ExplainedImage) -> str:
    """Describe how the logit leads to the decision and the type, and what the loss makes of it if the truth is known.

    The p of the gradient is that of the logit itself: a calibration comes after training.

    Example:
        >>> nothing = np.zeros((1, 1, 3), np.uint8)
        >>> decision_words(ExplainedImage("a", "", "NG", 1, 0.0, 0.6, "NG", nothing, nothing)).partition(". Loss")[0]
        'It is NG. Logit +0.00: P(NG) 0.500, calibrated 0.600, so NG'
    """
    probability = float(expit(subject.logit))
    calibrated = f"P(NG) {probability:.3f}, calibrated {subject.probability:.3f}"
    decided = f"Logit {subject.logit:+.2f}: {calibrated}, so {subject.decision}{_type_words(subject)}."
    if subject.label is None:
        return f"What it is, is not known. {decided}"
    loss = float(np.logaddexp(0, -subject.logit if subject.label else subject.logit))
    named = "Loss of GO against NG" if subject.guess.name else "Loss"  # with types, training asks for these, too
    pull = f"p - y = {probability:.3f} - {subject.label} = {probability - subject.label:+.3f}"
    also = ", with p before calibration" if abs(probability - subject.probability) > 5e-4 else ""
    return f"It is {subject.truth}. {decided} {named} {loss:.3f}: its gradient at the logit is {pull}{also}."


def _type_words(subject: ExplainedImage) -> str:
    name, share = subject.guess
    if not name or share is None:
        return ""
    what_if = "; were it NG" if subject.decision == "GO" else ""
    return f"{what_if}, most likely of the type {name} ({percent(share)} of P(NG))"
