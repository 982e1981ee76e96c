"""Figures over P(NG): where the parts lie, what each threshold does, and whether probabilities come true."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter
from numpy.typing import NDArray
from scipy.special import expit, logit

from fancnn.metrics.curves import Band, ThresholdCurves, Values
from fancnn.metrics.reliability import ReliabilityBin
from fancnn.metrics.thresholds import Thresholds
from fancnn.pages.figure_style import FAINT, GO, NG, RECHECK, TEXT, Drawing, legend_above, one_axes
from fancnn.pages.formatting import percent

BINS = 25
MANY = 200  # images in a bin, beside which a single one would not be seen
NEAR = 0.03  # thresholds nearer to 0 or 1 are drawn on a scale that spreads the ends


def histogram(labels: NDArray[np.int64], probabilities: Values, thresholds: Thresholds) -> Drawing:
    """Return images by probability, GO above and NG below the axis, with the thresholds."""
    says = (
        "How many images got which probability of being bad: good parts above the line, bad ones (hatched) below it. "
        f"{_zones(thresholds)} The farther apart the two heaps, the better."
    )

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "P(NG)", "images")
        edges = _edges(thresholds)
        inside = np.clip(probabilities, edges[0], edges[-1])
        go, ng = (np.histogram(inside[labels == label], edges)[0] for label in (0, 1))
        axes.stairs(go, edges, fill=True, color=GO, alpha=0.75, label="GO parts")
        axes.stairs(-ng, edges, fill=True, color=NG, alpha=0.75, label="NG parts", hatch="////", edgecolor=TEXT)
        axes.axhline(0, color=TEXT, linewidth=0.8)
        most = max(go.max(), ng.max(), 1)
        if most > MANY:
            axes.set_ylabel("images (logarithmic)")
            axes.set_yscale("symlog", linthresh=1)
            ticks = [tick for tick in (1, 10, 100, 1000, 10_000, 100_000) if tick <= most]
            axes.set_yticks([-tick for tick in ticks] + [0] + ticks)
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
        _place(axes, thresholds)
        legend_above(axes)

    return Drawing("histogram", "Probabilities of the images", says, draw)


def threshold_rates(curves: ThresholdCurves, thresholds: Thresholds) -> Drawing:
    """Return the escape, overkill and RECHECK rates by threshold, with exact bands."""
    recheck = (
        " RECHECK (dash-dotted): the share of all parts that a person would see if the lower threshold stays."
        if thresholds.has_recheck
        else ""
    )
    says = (
        "What another threshold would do: a higher one lets more bad parts escape, a lower one rejects more good "
        f"parts. Shaded: pointwise 95 %, for one threshold at a time.{recheck}"
    )

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "threshold on P(NG)", "share of parts")
        ends = _limits(thresholds) if _spread(thresholds) else (0.0, 1.0)
        places = np.clip(curves.thresholds, *ends)
        for known, colour, style, name in (
            (curves.escape, NG, "-", "escapes, of NG parts"),
            (curves.overkill, GO, "--", "overkills, of GO parts"),
        ):
            if known is not None:
                rates, band = known
                inside = Band(np.clip(band.x, *ends), band.low, band.high)
                _with_band(axes, places, (rates, inside), colour, style, name)
        if thresholds.has_recheck:
            first = max(int(np.searchsorted(curves.thresholds, thresholds.lower, side="right")) - 1, 0)
            seen, style = curves.up_to[first:] - curves.up_to[first], "-."
            axes.plot(places[first:], seen, style, color=RECHECK, drawstyle="steps-post", label="RECHECK, of all")
        _place(axes, thresholds)
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        legend_above(axes)

    return Drawing("thresholds", "What other thresholds would do", says, draw, height=3.3)


def reliability_diagram(bins: Sequence[ReliabilityBin], ng_rate: float) -> Drawing:
    """Return the promised against observed share of NG, with exact intervals and the images of each bin.

    Args:
        bins: As `fancnn.metrics.reliability` gives them.
        ng_rate: Share of NG among these images.
    """
    says = (
        "Of the images that were given a probability, how many were really bad (number: images in the bin; bars: "
        "95 %, exact). On the diagonal probabilities come true; above it they are too low, below it too high. This "
        f"is for parts mixed as these images are, {percent(ng_rate)} NG: where bad parts are rarer, they are rarer "
        "among parts of any probability, too."
    )

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "mean P(NG) of the bin", "share that is NG")
        axes.plot([0, 1], [0, 1], linestyle=":", color=FAINT, linewidth=1.2)
        for item in bins:
            x, y = item.mean_probability, item.ng_rate
            axes.plot([x, x], [item.interval.low, item.interval.high], color=GO, linewidth=1.2)
            axes.plot([x], [y], "o", color=GO, markersize=5)
            axes.annotate(
                _short(item.count),
                (x, item.interval.high),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7.5,
            )
        axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.12))
        axes.set_yticks(np.linspace(0, 1, 6))

    return Drawing("reliability", "Do the probabilities come true?", says, draw, height=3.3)


def _short(count: int) -> str:
    return f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"


def _with_band(axes: Axes, places: Values, known: tuple[Values, Band], colour: str, style: str, name: str) -> None:
    values, band = known
    axes.fill_between(band.x, band.low, band.high, step="post", color=colour, alpha=0.15, linewidth=0)
    axes.plot(places, values, color=colour, linestyle=style, drawstyle="steps-post", label=name)


def _zones(thresholds: Thresholds) -> str:
    if thresholds.has_recheck:
        return "Left of the first threshold parts pass, right of the second they are rejected, a person looks between."
    return "Right of the threshold parts are rejected."


def _edges(thresholds: Thresholds) -> Values:
    if not _spread(thresholds):
        return np.linspace(0, 1, BINS + 1)
    low, high = _limits(thresholds)
    return np.asarray(expit(np.linspace(logit(low), logit(high), BINS + 1)))


def _spread(thresholds: Thresholds) -> bool:
    return 0 < thresholds.lower < NEAR or 1 - NEAR < thresholds.upper < 1


def _limits(thresholds: Thresholds) -> tuple[float, float]:
    """Return the ends of the spread scale: beyond both thresholds, and never 0 or 1."""
    lower, upper = (min(max(value, 1e-6), 1 - 1e-6) for value in (thresholds.lower, thresholds.upper))
    return min(1e-3, lower / 10), max(1 - 1e-3, 1 - (1 - upper) / 10)


def _place(axes: Axes, thresholds: Thresholds) -> None:
    """Scale of the probabilities, and a line for each threshold."""
    if _spread(thresholds):
        axes.set_xscale("logit")
        axes.set_xlim(*_limits(thresholds))
        ticks = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
        low, high = _limits(thresholds)
        shown = [tick for tick in ticks if low <= tick <= high]
        axes.set_xticks(shown, [f"{tick:.6f}".rstrip("0") for tick in shown])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(-0.01, 1.01)
    if thresholds.has_recheck:
        axes.axvspan(thresholds.lower, thresholds.upper, color=RECHECK, alpha=0.15, linewidth=0)
    for value in dict.fromkeys((thresholds.lower, thresholds.upper)):
        axes.axvline(value, color=TEXT, linewidth=1.2, linestyle=(0, (4, 2)))
