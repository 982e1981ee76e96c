"""How well heat maps find defects: shares and hits with intervals, against guessing and an untrained network.

A heat map that looks right proves nothing: some methods draw the outline of the part whatever the network has learned
(Adebayo et al. 2018). So what a trained network's heat finds is held against what chance finds, and against the heat
of the same network with random weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fancnn.metrics.bootstrap import Sample, bootstrap_intervals
from fancnn.metrics.intervals import Interval, exact_interval
from fancnn.plurals import agreeing, plural

ENOUGH = 10  # images: the bootstrap of fewer says too little
Outcome = Literal["passes", "fails", "too few"]
NAMES = {
    "cells": "Cells",
    "grad_cam": "Grad-CAM",
    "occlusion": "Occlusion",
    "integrated_gradients": "Integrated gradients",
}


@dataclass(frozen=True)
class Place:
    """One image with a known defect: the heat of one method, and what guessing gives.

    Attributes:
        kind: Type of the defect.
        share: Of the heat, inside the defect's mask; `untrained_share` that of random weights.
        hit: Whether the hottest pixel is on the defect; `untrained_hit` likewise.
        blank: Whether there is no heat; `untrained_blank` likewise.
        area: Share of the image that the mask covers: what even heat would have.
        pointing: Chance that a pixel drawn at random hits.
        centre: Whether the middle of the image hits.
    """

    kind: str
    share: float
    hit: bool
    blank: bool
    untrained_share: float
    untrained_hit: bool
    untrained_blank: bool
    area: float
    pointing: float
    centre: bool


@dataclass(frozen=True)
class Rate:
    """A mean share or a rate of hits, with 95 % interval."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Localisation:
    """What one method finds on some images; `gain` is the mean share less that of random weights."""

    images: int
    share: Rate
    untrained_share: Rate
    gain: Rate
    hits: int
    pointing: Rate
    untrained_hits: int
    untrained_pointing: Rate
    blank: int
    untrained_blank: int
    chance_share: float
    chance_pointing: float
    centre_pointing: float

    @property
    def beats_chance(self) -> bool:
        """Return whether share and hits are above what guessing gives, beyond what their intervals leave open.

        With fewer than `ENOUGH` images they are not.
        """
        share, hits = self.share.interval, self.pointing.interval
        heat_is_inside = self.images >= ENOUGH and share is not None and share.low > self.chance_share
        return heat_is_inside and hits is not None and hits.low > max(self.chance_pointing, self.centre_pointing)

    @property
    def beats_untrained(self) -> bool:
        """Return whether training brought the heat onto the defect, beyond what the interval leaves open."""
        return self.images >= ENOUGH and self.gain.interval is not None and self.gain.interval.low > 0

    @property
    def outcome(self) -> Outcome:
        """Return whether the method is to be believed; `too few` where there are not `ENOUGH` images for that."""
        if self.images < ENOUGH:
            return "too few"
        return "passes" if self.beats_chance and self.beats_untrained else "fails"

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a JSON file takes them; intervals are [low, high] or null."""
        plain = asdict(self)
        for name, value in plain.items():
            if isinstance(value, dict):
                interval = value["interval"]
                plain[name] = {**value, "interval": None if interval is None else [interval["low"], interval["high"]]}
        judged = {"beats_chance": self.beats_chance, "beats_untrained": self.beats_untrained, "outcome": self.outcome}
        return {**plain, **judged}


def localisation(places: Sequence[Place]) -> Localisation:
    """Sum up one method over images.

    Shares have bootstrap intervals, hits exact ones.

    Raises:
        ValueError: If there is no image.

    Example:
        >>> one = Place("scratch", 0.5, True, False, 0.1, False, False, 0.1, 0.2, False)
        >>> result = localisation([one] * 20)
        >>> result.pointing.value, result.beats_chance, result.beats_untrained
        (1.0, True, True)
    """
    if not places:
        raise ValueError("no image has a mask of its defect: nothing can be checked")
    columns = {
        "share": np.array([place.share for place in places]),
        "untrained_share": np.array([place.untrained_share for place in places]),
    }
    columns["gain"] = columns["share"] - columns["untrained_share"]

    def means(sample: Sample) -> Mapping[str, float | None]:
        return {name: float(values[sample].mean()) for name, values in columns.items()}

    intervals = bootstrap_intervals(means, None, len(places))
    rates = {name: Rate(float(values.mean()), intervals[name]) for name, values in columns.items()}
    hits, untrained = sum(place.hit for place in places), sum(place.untrained_hit for place in places)
    return Localisation(
        images=len(places),
        **rates,
        hits=hits,
        pointing=Rate(hits / len(places), exact_interval(hits, len(places))),
        untrained_hits=untrained,
        untrained_pointing=Rate(untrained / len(places), exact_interval(untrained, len(places))),
        blank=sum(place.blank for place in places),
        untrained_blank=sum(place.untrained_blank for place in places),
        chance_share=float(np.mean([place.area for place in places])),
        chance_pointing=float(np.mean([place.pointing for place in places])),
        centre_pointing=float(np.mean([place.centre for place in places])),
    )


def verdict(method: str, result: Localisation) -> str:
    """Return whether the method can be believed on these images, in words."""
    name = NAMES.get(method, method)
    seen = (
        f"its hottest pixel is on the defect in {result.hits} of {result.images} images (by chance in "
        f"{_percent(result.chance_pointing)}, untrained in {_percent(result.untrained_pointing.value)}), and "
        f"{_percent(result.share.value)} of its heat is inside (even heat {_percent(result.chance_share)}, untrained "
        f"{_percent(result.untrained_share.value)})"
    )
    if result.outcome == "passes":
        return f"{name} passes: {seen}."
    if result.outcome == "too few":
        few = f"{plural(result.images, 'image')} {agreeing(result.images, 'is')}"
        return f"{name} is neither shown right nor wrong: {few} too few to tell ({ENOUGH} or more would do); {seen}."
    if not result.beats_untrained:
        why = "nothing shows that training brought its heat onto the defects: random weights do as well"
    else:
        why = "it does not find the defects better than guessing or always pointing at the middle"
    return f"{name} fails: {why}. Do not read its heat as the place of the defect here; {seen}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
