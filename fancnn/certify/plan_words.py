"""What sampling plans say, in the same words for console, `plan.json` and page."""

from collections.abc import Sequence

from fancnn.decisions.sampling_plans import CONSUMER_RISKS, Plan, Planned, SequentialPlan, escapes_claimed, plan
from fancnn.decisions.sequential import parts_needed_sequential
from fancnn.metrics.intervals import parts_needed
from fancnn.metrics.rounding import percent, percent_exactly
from fancnn.pages import formatting as words
from fancnn.settings.validation import MOST_PLANNED


def claim(planned: Planned) -> str:
    """Say what is to be proven, and of what."""
    noun = nouns(planned)
    of = f"all NG {noun} to come" if planned.lot is None else f"the {planned.lot:,} NG {noun} of the lot"
    return f"escape rate <= {percent(planned.rate)} at {percent_exactly(planned.confidence)} confidence, of {of}"


def columns(planned: Planned) -> list[str]:
    """Name the columns of `plan_rows`."""
    return [
        "allowed to pass",
        f"NG {nouns(planned)}",
        f"granted if the rate is {percent(planned.good)}",
        f"granted with {percent(1 - planned.producer)} at",
        *(f"with {percent(risk)} at" for risk in CONSUMER_RISKS),
    ]


def plan_rows(planned: Planned) -> list[list[str]]:
    """Return a row for each plan, smallest first, and one for looking at any time."""
    rows = [_row(planned, item) for item in planned.all_plans]
    if (sequential := planned.sequential) is not None:
        rows.append(["sequential=true", _sequence(sequential), words.percent(sequential.granted), *[""] * 3])
    return rows


def sentences(planned: Planned) -> list[str]:
    """Say how a plan is used, which to take, what looking at any time takes, and what ISO 2859-1 calls it."""
    return [
        _use(planned),
        *_looks(planned),
        *_best(planned),
        *_looking(planned),
        *_unit(planned),
        *iso_terms(planned),
    ]


def _looks(planned: Planned) -> list[str]:
    """Say that the confidence is spent over looks, as `certify` spends it."""
    if planned.over_all_looks is None:
        return []
    alone = plan(0, planned.rate, planned.over_all_looks, planned.lot)
    assert alone is not None  # none may pass: any lot has such a plan
    return [
        f"The first look at these images is held to {percent_exactly(planned.confidence)}, so that "
        f"{percent_exactly(planned.over_all_looks)} holds over all looks at them, at this model or another. Where one "
        f"look is all there will ever be, looks=1 keeps all of it: {alone.parts:,} NG {nouns(planned)} without an "
        "escape."
    ]


def iso_terms(planned: Planned) -> list[str]:
    """Say what the numbers correspond to in acceptance sampling, and where the likeness ends."""
    risk, producer = percent(1 - planned.confidence), percent(planned.producer)
    granted = percent(1 - planned.producer)
    return [
        f"In the terms of ISO 2859-1, if an NG part is taken for the item that is inspected and its escape for the "
        f"nonconformity: {_false_rate(planned)}, is the consumer's risk quality (limiting quality, "
        f"LQ) at a consumer's risk of {risk}; the standard's own tables have it at 10 %, as the column \"with 10 % "
        f"at\" has. The rate that is granted with {granted} is the producer's risk quality at a producer's risk of "
        f"{producer}, and the nearest counterpart of an AQL, which is the worst average that is tolerated over a "
        "series of lots: plans of the standard accept most lots of that quality, not always just so many.",
        "There the likeness ends: the standard decides on lots, by the bad parts in them; a certificate speaks of the "
        "model, by the NG parts that it passes. How many bad parts reach the customer also depends on how many are "
        "made, and switching between normal, tightened and reduced inspection has no counterpart here.",
    ]


def _false_rate(planned: Planned) -> str:
    """Name the rate that a plan guards against."""
    if planned.lot is None:
        return f"the claimed rate, {percent(planned.rate)}"
    escapes = escapes_claimed(planned.rate, planned.lot) + 1
    return f"the smallest rate that makes the claim false, {escapes:,} of {planned.lot:,}"


def nouns(planned: Planned) -> str:
    """Name what is counted."""
    return "groups" if planned.unit == "group" else "parts"


def plan_name(item: Plan) -> str:
    """Name a plan in a legend."""
    return f"{item.accept} of {item.parts:,}"


def _row(planned: Planned, item: Plan) -> list[str]:
    best = " (cheapest)" if item == planned.best else ""
    return [
        f"{item.accept}{best}",
        f"{item.parts:,}",
        words.percent(item.granted_to(planned.good)),
        percent(item.rate_granted(1 - planned.producer)),
        *(percent(item.rate_granted(risk)) for risk in CONSUMER_RISKS),
    ]


def _sequence(sequential: SequentialPlan) -> str:
    if sequential.granted > 0.9999:
        return f"{sequential.mean:,.0f} on average"
    return "more" if sequential.median is None else f"{sequential.median:,} in half of all cases"


def _use(planned: Planned) -> str:
    noun, rate = nouns(planned), percent(planned.rate)
    text = (
        f"Take one plan, show the model so many NG {noun} that it has never seen, at a threshold that was fixed "
        f"before, and look once: the claim is granted if no more of them pass than allowed. A model whose true rate is "
        f"above {rate} is then granted it in at most {percent(1 - planned.confidence)} of all cases."
    )
    if planned.lot is None:
        return f"{text} The NG {noun} must come as they do on the line: none chosen, none left out."
    return (
        f"{text} They must be drawn from the lot at random. python -m fancnn.certify states claims on all NG {noun} to "
        "come, which take more of them: a claim on the lot alone is for you to count."
    )


def _best(planned: Planned) -> Sequence[str]:
    good, sure = percent(planned.good), percent(1 - planned.producer)
    if planned.best is None:
        return [
            f"No plan of up to {MOST_PLANNED:,} NG {nouns(planned)} is granted with {sure} to a model that lets "
            f"through {good}: that is too near to the claim. A better model or a larger claim takes fewer."
        ]
    return [
        f"If the model lets through {good}, the cheapest plan that is granted with at least {sure} takes "
        f"{planned.best.parts:,} NG {nouns(planned)} and allows {planned.best.accept} to pass: it is granted with "
        f"{words.percent(planned.best.granted_to(planned.good))}."
    ]


def _looking(planned: Planned) -> Sequence[str]:
    sequential, noun = planned.sequential, nouns(planned)
    if sequential is None:
        return []
    once, ever = (needed(planned.rate, planned.confidence) for needed in (parts_needed, parts_needed_sequential))
    if sequential.likely is not None:
        ends = (
            f"{sequential.mean:,.0f} on average, and within {sequential.likely:,} in {percent(1 - planned.producer)} "
            "of all cases"
        )
    else:
        ends = f"at most {sequential.parts_at_most:,} in only {words.percent(sequential.granted)} of all cases"
    return [
        f"A plan holds for one look. Who wants to look while images come in says sequential=true, where {ever:,} NG "
        f"{noun} prove the claim without an escape instead of {once:,}; for a model that lets through "
        f"{percent(planned.good)} it takes {ends} (computed for a look after each)."
    ]


def _unit(planned: Planned) -> Sequence[str]:
    if planned.unit != "group":
        return []
    return [
        "Groups are counted: a lot, panel or patient passes if any of its NG parts passes, and the claim is on the "
        "share of groups, not of parts."
    ]
