"""The story of `python -m fancnn.certify plan=true`: how many NG parts to collect, before any is.

Format of `plan.json`, version 1:

| key | meaning |
| --- | --- |
| format, version | `fancnn-plan`, 1 |
| claim | what is to be proven, in words |
| escape_rate, confidence, unit | of the claim; `unit` is `part` or `group` |
| over_all_looks | the confidence asked for, where `confidence` is that of the first of many looks; else null |
| lot | NG parts (or groups) that the claim is about; null: all to come |
| good, producer_risk | the escape rate that the model is thought to have, and how often such a one may be refused |
| plans | the smallest first: `accept` (how many may pass), `parts` (how many to show), `granted_if_good` (a
probability), `rates`: [{`probability`, `rate`}, ...], the largest true rate that is granted with that probability |
| cheapest | the `accept` of the plan with the fewest parts that a good model passes; null where there is none |
| sequential | with a look after each part, for a good model: the fields of `SequentialPlan`; null for a lot |
| oc | `rates`, and by each plan's `accept` the probability of being granted there |
| words | how to use it, and what ISO 2859-1 calls the numbers, in sentences |
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fancnn.certify.plan_page import oc_drawing, plan_page
from fancnn.certify.plan_words import claim, columns, plan_rows, sentences
from fancnn.certify.settings import CertifySettings
from fancnn.decisions.look_spending import held_to
from fancnn.decisions.sampling_plans import CONSUMER_RISKS, Planned, oc_rates, planned
from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_text, write_atomically
from fancnn.files.json_files import write_json
from fancnn.system.console import print_table, say

FORMAT, VERSION = "fancnn-plan", 1


def make_plan(settings: CertifySettings) -> Planned:
    """Plan the claim, print the plan, and write `plan.json`, `plan.html` and `plan.png`.

    Returns:
        The plans.

    Raises:
        UserError: If a value makes no sense, or is of a claim on images that are there.
    """
    settings.validate_paths()
    claim_plan = planned(
        settings.escape,
        held_to(settings.confidence, 1, settings.looks),
        settings.accept,
        settings.escape / 10 if settings.good is None else settings.good,
        settings.producer,
        settings.lot,
        "group" if settings.unit == "group" else "part",
    )
    claim_plan = replace(claim_plan, over_all_looks=None if settings.looks == 1 else settings.confidence)
    if not claim_plan.plans:
        raise UserError(
            f"accept={list(settings.accept)}: among {settings.lot:,} NG parts so many escapes are more than "
            f"escape={settings.escape:g} allows, whatever the rest shows. Allow fewer, e.g. accept=[0]"
        )
    place = _place(settings)
    write_json(place.with_suffix(".json"), _content(claim_plan))
    with atomic_text(place.with_suffix(".html")) as file:
        file.write(plan_page(claim_plan))
    write_atomically(place.with_suffix(".png"), oc_drawing(claim_plan, alone=True).png())
    print_table(f"to be proven: {claim(claim_plan)}", columns(claim_plan), plan_rows(claim_plan))
    for sentence in sentences(claim_plan):
        say(f"\n{sentence}")
    say(f"\nplan: {place}.html, {place.name}.png and {place.name}.json")
    return claim_plan


def _place(settings: CertifySettings) -> Path:
    """Return files without their ending: beside where a certificate would be, by another name unless one is given."""
    output = Path(settings.output).expanduser()
    return output.with_name("plan") if output.name == "certificate.json" else output.with_suffix("")


def _content(claim_plan: Planned) -> Mapping[str, Any]:
    rates = oc_rates(claim_plan)
    plans = [
        {
            "accept": item.accept,
            "parts": item.parts,
            "granted_if_good": item.granted_to(claim_plan.good),
            "rates": [
                {"probability": probability, "rate": item.rate_granted(probability)}
                for probability in (1 - claim_plan.producer, *CONSUMER_RISKS)
            ],
        }
        for item in claim_plan.all_plans
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "claim": claim(claim_plan),
        "escape_rate": claim_plan.rate,
        "confidence": claim_plan.confidence,
        "over_all_looks": claim_plan.over_all_looks,
        "unit": claim_plan.unit,
        "lot": claim_plan.lot,
        "good": claim_plan.good,
        "producer_risk": claim_plan.producer,
        "plans": plans,
        "cheapest": None if claim_plan.best is None else claim_plan.best.accept,
        "sequential": None if claim_plan.sequential is None else asdict(claim_plan.sequential),
        "oc": {
            "rates": rates.tolist(),
            "granted": {str(item.accept): item.granted(rates).tolist() for item in claim_plan.all_plans},
        },
        "words": sentences(claim_plan),
    }
