"""The figures and the page of sampling plans."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fancnn.certify.plan_words import claim, columns, nouns, plan_name, plan_rows, sentences
from fancnn.decisions.sampling_plans import Plan, Planned, cheapest, most_sequential, oc_rates, sequential_plan
from fancnn.metrics.rounding import percent
from fancnn.pages.figure_style import FAINT, GO, NG, RECHECK, TEXT, Drawing, headline, legend_above, one_axes
from fancnn.pages.page_template import rendered

STYLES = [*zip((GO, NG, RECHECK, TEXT) * 3, ("-", "--", "-.", ":", "--", "-", ":", "-.", "-."), strict=False)]
PLACES = 25  # rates at which the effort is computed


def plan_page(planned: Planned) -> str:
    """Return the whole page; the same plans give the same bytes."""
    drawings = [oc_drawing(planned), *([effort_drawing(planned)] if planned.lot is None else [])]
    return rendered(
        Path(__file__).with_name("plan.html.j2"),
        claim=claim(planned),
        columns=columns(planned),
        rows=plan_rows(planned),
        sentences=sentences(planned),
        drawings=drawings,
    )


def oc_drawing(planned: Planned, *, alone: bool = False) -> Drawing:
    """Draw the operating characteristic of each plan; `alone` writes over it what it shows."""
    noun, risk = nouns(planned), 1 - planned.confidence
    says = (
        f"How often a model is granted the claim, by its true escape rate. Where the rate is above "
        f"{percent(planned.rate)} (upright line) the claim is false, and all plans stay below {percent(risk)}. Dots: a "
        f"model that lets through {percent(planned.good)}. The more {noun}, the steeper, and the surer is a good model."
    )
    rates = oc_rates(planned)

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "true escape rate, %", "granted, %")
        axes.axvline(100 * planned.rate, color=FAINT, linewidth=0.9, linestyle=":")
        axes.axhline(100 * risk, color=FAINT, linewidth=0.9, linestyle=":")
        for item, (color, dash) in zip(planned.all_plans, STYLES, strict=False):
            axes.plot(100 * planned.good, 100 * item.granted_to(planned.good), "o", color=color, markersize=4)
            few = planned.lot is not None and len(rates) < 60  # a lot has only so many rates: each gets its mark
            axes.plot(
                100 * rates,
                100 * item.granted(rates),
                dash,
                color=color,
                label=_label(planned, item),
                marker="." if few else "",
                linewidth=0.8 if few else 1.6,
            )
        axes.set_xlim(0, 100 * float(rates[-1]))
        axes.set_ylim(0, 102)
        legend_above(axes)
        if alone:
            headline(figure, f"{claim(planned)}. {says}")

    return Drawing(
        "oc", "How often the claim is granted", says, draw, height=4.6 if alone else 3.6, width=6.4 if alone else 4.6
    )


def effort_drawing(planned: Planned) -> Drawing:
    """Draw how many parts it takes, by how good the model is: the cheapest plan against looking at any time."""
    noun, sure = nouns(planned), percent(1 - planned.producer)
    says = (
        f"How many NG {noun} a granted claim takes, by the true escape rate of the model: the cheapest plan that is "
        f"granted with {sure}, and sequential=true, which ends by itself: half of all cases at the lower line, {sure} "
        "at the upper. Near the claimed rate no number is enough."
    )
    rates = planned.rate * np.linspace(0, 0.6, PLACES)
    most = most_sequential(planned.rate, planned.confidence)

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "true escape rate, %", f"NG {noun}")
        sequential_plans = [
            sequential_plan(planned.rate, planned.confidence, float(rate), 1 - planned.producer, most) for rate in rates
        ]
        plans = [cheapest(planned.rate, planned.confidence, float(rate), planned.producer, most=most) for rate in rates]
        fixed = [item.parts if item else np.nan for item in plans]
        axes.plot(100 * rates, fixed, color=GO, drawstyle="steps-post", label="one look, cheapest plan")
        for values, dash, label in (
            ([item.median or np.nan for item in sequential_plans], ":", "sequential, half"),
            ([item.likely or np.nan for item in sequential_plans], "--", f"sequential, {sure}"),
        ):
            axes.plot(100 * rates, values, dash, color=NG, label=label)
        axes.axvline(100 * planned.good, color=FAINT, linewidth=0.9, linestyle=":")
        if np.isfinite(
            [*fixed, *(item.median or np.nan for item in sequential_plans)]
        ).any():  # else there is nothing to scale
            axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:,.0f}" if f"{value:.0e}"[0] in "25" else "")
        axes.set_xlim(0, 100 * float(rates[-1]))
        legend_above(axes)

    return Drawing("effort", "How many it takes", says, draw, height=3.4)


def _label(planned: Planned, item: Plan) -> str:
    best = ", cheapest" if item == planned.best else ""
    return f"may pass: {plan_name(item)}{best}"
