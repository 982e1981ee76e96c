"""The line as settings say it, here and when the run was trained; no torch, so that reports need not wait for it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fancnn.decisions.line_costs import Costs, Line
from fancnn.settings.groups import CostSettings, LineSettings

SHIFTS_PER_MONTH = 60  # two a day


def known_line(settings: LineSettings, earlier: Mapping[str, Any] | None) -> LineSettings:
    """Return the line as it is set now, and for the rest as it was set when the run was trained."""
    if not earlier:
        return settings
    costs = {name: value for name, value in asdict(settings.costs).items() if value is not None}
    own = {name: value for name, value in asdict(settings).items() if value is not None and name != "costs"}
    return LineSettings(**{**earlier, **own, "costs": CostSettings(**{**earlier["costs"], **costs})})


def line_of(line: LineSettings) -> tuple[Line | None, Costs | None]:
    """Return the line and its costs, as far as they are known."""
    if line.ng_rate is None or line.parts_per_shift is None:
        return None, None
    return Line(line.ng_rate, line.parts_per_shift, line.shifts_per_month or SHIFTS_PER_MONTH), costs_of(line)


def costs_of(line: LineSettings) -> Costs | None:
    costs = line.costs
    return None if costs.escape is None or costs.overkill is None else Costs(costs.escape, costs.overkill, costs.look)
