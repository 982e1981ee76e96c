"""The page of an explanation: what the network learned, where it looks, and whether that can be believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fancnn.explain.heat_panels import READS, STEPS
from fancnn.explain.localization_chart import localisation_chart
from fancnn.metrics.localization import NAMES, Localisation, Outcome, verdict
from fancnn.pages import formatting as words
from fancnn.pages.figure_style import Drawing
from fancnn.pages.page_template import rendered
from fancnn.pages.panels import Panel

ENOUGH_OF_TYPE = 5  # images: of fewer, the hits say nothing about a defect type

WORDS = {
    "convolution": "small filters slide over the image; each writes a map of where the image looks like it",
    "activation": "of a filter's answers those below zero are dropped (ReLU): else all layers could do what one can",
    "pooling": "of each 2x2 places the greatest is kept: maps become smaller, and exact places matter less",
    "dense layer": "every remaining value is weighed and added up, to one number at the end: the logit",
    "loss": "how wrong that number is for an image of known truth: small for a right and sure answer",
    "back-propagation": "from the loss back to each weight: in which direction would it have made the loss smaller?",
}


@dataclass(frozen=True)
class Checked:
    """What the heat maps of each method are worth: on all images and by defect type.

    Attributes:
        split: That the images are of.
        by_method: The results on all of them, by method.
        by_type: By method and defect type.
    """

    split: str
    by_method: Mapping[str, Localisation]
    by_type: Mapping[str, Mapping[str, Localisation]]

    def conclusions(self) -> list[tuple[Outcome, str]]:
        """Return for each method whether it passes and why, and which defect types it mostly misses."""
        return [(one.outcome, verdict(method, one) + self._missed(method)) for method, one in self.by_method.items()]

    def _missed(self, method: str) -> str:
        if self.by_method[method].outcome == "too few":
            return ""
        of = self.by_type[method]
        missed = [
            f"{kind} ({one.hits} of {one.images})"
            for kind, one in of.items()
            if one.images >= ENOUGH_OF_TYPE and 2 * one.hits < one.images
        ]
        return f" It mostly points beside the defect on: {', '.join(missed)}." if missed and len(of) > 1 else ""


@dataclass(frozen=True)
class Explanation:
    """What the page shows; empty lists are sections with nothing to show, for the reasons in `warnings`.

    `dense_note` says why there is no drawing of what the logit is added up from.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    heat: Sequence[Panel]
    filters: Sequence[Panel]
    maximized_filters: Sequence[Panel]
    maps: Sequence[Panel]
    maps_of: str
    maps_note: str
    dense: Sequence[Drawing]
    dense_note: str
    methods: Sequence[str]
    checked: Checked | None

    def panels(self) -> list[Panel]:
        return [*self.heat, *self.filters, *self.maximized_filters, *self.maps]

    def drawings(self) -> list[Drawing]:
        chart = [localisation_chart(self.checked.by_method)] if self.checked else []
        return [*chart, *self.dense]


def explanation_page(explanation: Explanation) -> str:
    """Return the whole page; it needs no script, no network and no other file."""
    checked = explanation.checked
    return rendered(
        Path(__file__).with_name("explanation.html.j2"),
        explanation=explanation,
        words=WORDS,
        methods=[(NAMES[name], READS[name], STEPS[name]) for name in explanation.methods],
        conclusions=checked.conclusions() if checked else [],
        chart=localisation_chart(checked.by_method) if checked else None,
        rows=check_rows(checked) if checked else [],
        types=type_rows(checked) if checked else ([], []),
    )


def check_rows(checked: Checked) -> list[tuple[str, list[str]]]:
    """Return a row for each method: its heat's share inside, its hits, and blank heat maps.

    The share inside stands beside those of even heat and of an untrained network; hits stand beside those of chance,
    of the middle and of an untrained network; blank maps beside those of an untrained network.
    """
    return [
        (
            NAMES[method],
            [
                f"{words.percent(one.share.value)} ({words.between(one.share.interval, 2)})",
                words.percent(one.chance_share),
                words.percent(one.untrained_share.value),
                f"{one.hits} of {one.images} ({words.between(one.pointing.interval, 2)})",
                words.percent(one.chance_pointing),
                words.percent(one.centre_pointing),
                f"{one.untrained_hits} of {one.images}",
                f"{one.blank}",
                f"{one.untrained_blank}",
            ],
        )
        for method, one in checked.by_method.items()
    ]


def type_rows(checked: Checked) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the methods, and for each defect type their hits with interval, and those of chance."""
    methods = list(checked.by_type)
    kinds = sorted({kind for of in checked.by_type.values() for kind in of})
    rows = []
    for kind in kinds:
        of = [checked.by_type[method][kind] for method in methods]
        cells = [f"{one.hits} of {one.images} ({words.between(one.pointing.interval, 2)})" for one in of]
        rows.append((kind or "no type", [words.percent(of[0].chance_pointing), *cells]))
    return [NAMES[method] for method in methods], rows
