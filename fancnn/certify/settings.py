"""Settings of `python -m fancnn.certify`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.choices import ClaimUnit, SplitName, validate_choices
from fancnn.settings.validation import (
    MOST_PLANNED,
    TABLE_EXPECTED,
    is_number,
    validate_earlier,
    validate_file,
    validate_largest_group,
    validate_looks,
    validate_share,
    validate_written,
)

MOST_PLANS = 8  # that can be distinguished in a figure
OF_IMAGES = ("run", "table", "split", "threshold", "sequential", "store", "largest_group", "exclude_seen")


@dataclass
class CertifySettings:
    """All settings of `python -m fancnn.certify`: a claim on images that are there, or a plan before any are."""

    run: str | None
    table: str | None
    split: SplitName | None
    escape: float
    confidence: float
    threshold: Any  # a number, `run`, or None
    unit: ClaimUnit | None
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

    def __post_init__(self) -> None:
        with collected() as check:
            check(lambda: validate_choices(self))
            check(lambda: validate_share("escape", self.escape))
            check(lambda: validate_share("confidence", self.confidence))
            check(lambda: validate_looks(self.looks))
            check(lambda: validate_share("producer", self.producer))
            check(self._validate_plan if self.plan else self._validate_claim)

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_written("output", self.output))
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_file("table", self.table, TABLE_EXPECTED))

    def _validate_claim(self) -> None:
        with collected() as check:
            check(lambda: validate_largest_group(self.largest_group))
            check(self._validate_threshold)
            check(self._refuse_keys_of_plans)
            if self.run is None and self.table is None:
                raise UserError("say run=outputs/train/<stamp>, or table=predictions.csv of any model")
            if self.store and self.run is None:
                raise UserError("store=true keeps the threshold in a run's model: say run=... too")

    def _validate_threshold(self) -> None:
        threshold = self.threshold
        if not (threshold is None or threshold == "run" or (is_number(threshold) and 0 <= threshold <= 1)):
            raise UserError(f"threshold={threshold!r} should be a number in [0, 1], run, or null to search for it")

    def _refuse_keys_of_plans(self) -> None:
        if self.lot is not None or self.good is not None:
            raise UserError(
                "lot= and good= are for a plan before images are collected: say plan=true, or leave them out"
            )

    def _validate_plan(self) -> None:
        with collected() as check:
            check(self._validate_accept)
            check(self._validate_good)
            check(self._validate_lot)
            if named := [name for name in OF_IMAGES if getattr(self, name) not in (None, False)]:
                raise UserError(
                    f"plan=true is made before there are images, and {named[0]}={getattr(self, named[0])} is for a "
                    "claim on some: leave one of them out"
                )

    def _validate_accept(self) -> None:
        most = MOST_PLANNED // 10
        if not 1 <= len(self.accept) <= MOST_PLANS or not all(0 <= number <= most for number in self.accept):
            raise UserError(
                f"accept={self.accept}: expected one to {MOST_PLANS} whole numbers from 0 to {most:,}, how many NG "
                "parts may pass, e.g. accept=[0,1,2]"
            )

    def _validate_good(self) -> None:
        if self.good is not None and (not is_number(self.good) or not 0 <= self.good < self.escape):
            raise UserError(
                f"good={self.good}: expected the escape rate that the model is thought to have, from 0 to below "
                f"escape={self.escape:g}. A model that is not better than its claim is not to be granted it"
            )

    def _validate_lot(self) -> None:
        most = 10 * MOST_PLANNED
        if self.lot is not None and not 1 <= self.lot <= most:
            raise UserError(
                f"lot={self.lot}: expected how many NG parts the lot has, from 1 to {most:,}; of more, leave it out"
            )
