from typing import Any

import pytest

from fancnn.decisions.line_costs import Costs, Line
from fancnn.errors import UserError

LINE = {"ng_rate": 0.01, "parts_per_shift": 4000, "shifts_per_month": 63}
COSTS = {"escape": 250.0, "overkill": 2, "look": 0.0}


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, float("nan"), "0.1", None, True])
def test_the_ng_rate_is_a_share(value: Any) -> None:
    with pytest.raises(UserError, match=f"^ng_rate={value!r}: expected a share above 0 and below 1"):
        Line(**{**LINE, "ng_rate": value})


@pytest.mark.parametrize("value", [0, -5, 10.5, "4000", None, True])
def test_a_shift_makes_a_whole_number_of_parts(value: Any) -> None:
    with pytest.raises(UserError, match=f"^parts_per_shift={value!r}: expected a whole number of parts"):
        Line(**{**LINE, "parts_per_shift": value})


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), "63", None, True])
def test_a_month_has_shifts(value: Any) -> None:
    with pytest.raises(UserError, match=f"^shifts_per_month={value!r}: expected a number above 0"):
        Line(**{**LINE, "shifts_per_month": value})


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "2", True])
@pytest.mark.parametrize("name", ["escape", "overkill", "look"])
def test_a_cost_is_a_number_from_zero(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^{name}={value!r}: expected the cost of a part"):
        Costs(**{**COSTS, name: value})


def test_only_a_look_may_be_left_out() -> None:
    assert Costs(escape=250, overkill=2).look is None
    with pytest.raises(UserError, match="^escape=None"):
        Costs(escape=None, overkill=2)  # type: ignore[arg-type]


def test_values_at_the_border_are_taken() -> None:
    assert Line(ng_rate=1e-9, parts_per_shift=1, shifts_per_month=0.5).parts_per_shift == 1
    assert Costs(escape=0, overkill=0, look=0).look == 0
