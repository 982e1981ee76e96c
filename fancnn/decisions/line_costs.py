"""The line that the inspector stands at, and what its mistakes cost there."""

from dataclasses import dataclass

from fancnn.settings.validation import (
    validate_cost,
    validate_parts_per_shift,
    validate_share,
    validate_shifts_per_month,
)


@dataclass(frozen=True)
class Line:
    """What a line makes.

    Args:
        ng_rate: Share of bad parts among those the line makes, in (0, 1). Hardly ever their share among the
            images of a test, for which bad parts were collected.
        parts_per_shift: Parts that are inspected in a shift, at least 1.
        shifts_per_month: Above 0, e.g. 63 for three shifts on 21 days.

    Raises:
        ValueError: If a value is outside its range.

    Example:
        >>> Line(ng_rate=2, parts_per_shift=4000, shifts_per_month=63)
        Traceback (most recent call last):
        fancnn.errors.UserError: ng_rate=2: expected a share above 0 and below 1, e.g. 0.01: one in a hundred
    """

    ng_rate: float
    parts_per_shift: int
    shifts_per_month: float

    def __post_init__(self) -> None:
        validate_share("ng_rate", self.ng_rate)
        validate_parts_per_shift(self.parts_per_shift)
        validate_shifts_per_month(self.shifts_per_month)


@dataclass(frozen=True)
class Costs:
    """What each mistake and each look costs, per part, all in one currency; at least 0.

    Args:
        escape: An NG part that is passed as GO.
        overkill: A GO part that is rejected.
        look: A part that a person looks at; None where nobody looks.

    Raises:
        ValueError: If a cost is negative or no finite number.

    Example:
        >>> Costs(escape=250, overkill=-1, look=0.5)
        Traceback (most recent call last):
        fancnn.errors.UserError: overkill=-1: expected the cost of a part, a number from 0, e.g. 2.5
    """

    escape: float
    overkill: float
    look: float | None = None

    def __post_init__(self) -> None:
        validate_cost("escape", self.escape)
        validate_cost("overkill", self.overkill)
        if self.look is not None:
            validate_cost("look", self.look)
