"""What `python -m fancnn.certify` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.validation import (
    MOST_PLANNED,
    TABLE_EXPECTED,
    is_number,
    validate_earlier,
    validate_file,
    validate_looks,
    validate_share,
    validate_split_name,
    validate_unit,
    validate_written,
)


@dataclass
class CertifySettings:
    """Everything `python -m fancnn.certify` can be told."""

    run: str | None
    table: str | None
    split: str | None
    escape: float
    confidence: float
    threshold: Any  # a number, `run`, or None
    unit: str | None
    largest_group: int | None
    exclude_seen: bool
    store: bool
    looks: int | None
    output: str
    output_dir: str
    sequential: bool = False  # a pruning certifies too, and asks for none of these
    plan: bool = False
    accept: list[int] = field(default_factory=list)
    lot: int | None = None
    good: float | None = None
    producer: float = 0.05


MOST_PLANS = 8  # that a figure can tell apart
OF_IMAGES = ("run", "table", "split", "threshold", "sequential", "store", "largest_group", "exclude_seen")


def validate_certifying(settings: CertifySettings) -> None:
    """A claim on images that are there, or with plan=true a plan before there are any."""
    with collected() as check:
        check(lambda: validate_share("escape", settings.escape))
        check(lambda: validate_share("confidence", settings.confidence))
        check(lambda: validate_looks(settings.looks))
        check(lambda: validate_share("producer", settings.producer))
        if settings.plan:
            check(lambda: _validate_accepted(settings.accept))
        check(lambda: validate_written("output", settings.output))
        check(lambda: _validate_plan(settings) if settings.plan else _validate_claim(settings))


def _validate_claim(settings: CertifySettings) -> None:
    with collected() as check:
        check(lambda: validate_unit("", settings.unit, settings.largest_group))
        check(lambda: validate_split_name("split", settings.split))
        check(lambda: _validate_claimed(settings.threshold))
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_file("table", settings.table, TABLE_EXPECTED))
        check(lambda: _validate_for_plans(settings))
        if settings.run is None and settings.table is None:
            raise UserError("say run=outputs/train/<stamp>, or table=predictions.csv of any model")
        if settings.store and settings.run is None:
            raise UserError("store=true keeps the threshold in a run's model: say run=... too")


def _validate_for_plans(settings: CertifySettings) -> None:
    if settings.lot is not None or settings.good is not None:
        raise UserError("lot= and good= are for a plan before images are collected: say plan=true, or leave them out")


def _validate_claimed(threshold: object) -> None:
    if not (threshold is None or threshold == "run" or (is_number(threshold) and 0 <= threshold <= 1)):
        raise UserError(f"threshold={threshold!r} should be a number in [0, 1], run, or null to search for it")


def _validate_plan(settings: CertifySettings) -> None:
    with collected() as check:
        check(lambda: validate_unit("", settings.unit, None))
        check(lambda: _validate_good(settings.good, settings.escape))
        check(lambda: _validate_lot(settings.lot))
        if named := [name for name in OF_IMAGES if getattr(settings, name) not in (None, False)]:
            raise UserError(
                f"plan=true is made before there are images, and {named[0]}={getattr(settings, named[0])} is for a "
                "claim on some: leave one of them out"
            )


def _validate_accepted(accept: list[int]) -> None:
    most = MOST_PLANNED // 10
    if not 1 <= len(accept) <= MOST_PLANS or not all(0 <= number <= most for number in accept):
        raise UserError(
            f"accept={accept}: expected one to {MOST_PLANS} whole numbers from 0 to {most:,}, how many NG parts may "
            "pass, e.g. accept=[0,1,2]"
        )


def _validate_good(good: float | None, escape: float) -> None:
    if good is not None and (not is_number(good) or not 0 <= good < escape):
        raise UserError(
            f"good={good}: expected the escape rate that the model is thought to have, from 0 to below "
            f"escape={escape:g}. A model that is not better than its claim is not to be granted it"
        )


def _validate_lot(lot: int | None) -> None:
    if lot is not None and not 1 <= lot <= 10 * MOST_PLANNED:
        raise UserError(
            f"lot={lot}: expected how many NG parts the lot has, from 1 to {10 * MOST_PLANNED:,}; of more, leave it out"
        )
