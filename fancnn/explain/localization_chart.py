"""The chart of a check: what heat maps find, beside guessing and random weights."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from fancnn.metrics.intervals import Interval
from fancnn.metrics.localization import NAMES, Localisation, Rate
from fancnn.pages.figure_style import FAINT, GO, NG, TEXT, Drawing, legend_above, one_axes


def localisation_chart(checks: Mapping[str, Localisation]) -> Drawing:
    """Return the hits by method with intervals, trained and untrained, and the lines that guessing draws."""

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "share of images whose hottest pixel is on the defect", "")
        some = next(iter(checks.values()))
        rows = range(len(checks))
        for kind, colour, marker, shift in (("trained", GO, "o", -0.14), ("untrained", NG, "s", 0.14)):
            rates = [check.pointing if kind == "trained" else check.untrained_pointing for check in checks.values()]
            values = [rate.value for rate in rates]
            around = list(zip(*map(_whiskers, rates), strict=True))
            places = [row + shift for row in rows]
            axes.errorbar(values, places, xerr=around, fmt=marker, color=colour, capsize=3, markersize=6, label=kind)
        axes.axvline(some.chance_pointing, color=FAINT, linestyle="--", label="a random pixel")
        axes.axvline(some.centre_pointing, color=TEXT, linestyle=":", label="always the middle")
        axes.set_yticks(list(rows), [NAMES.get(name, name).replace(" ", "\n") for name in checks])
        axes.set_ylim(len(checks) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(visible=False, axis="y")
        legend_above(axes)

    says = "The pointing game, with 95 % intervals. A method to be believed has its circle right of all others."
    return Drawing("pointing", "Does the hottest pixel lie on the defect?", says, draw, height=2.6)


def _whiskers(rate: Rate) -> tuple[float, float]:
    interval = rate.interval or Interval(rate.value, rate.value)
    return rate.value - interval.low, interval.high - rate.value
