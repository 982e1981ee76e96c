"""Print numbers that carry a promise: rounded to the side on which the promise still holds when the text is read."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

DIGITS = 3  # of a share in percent
THRESHOLD_DIGITS = 4


def printed_threshold(threshold: float) -> str:
    """Return a threshold with four digits that count, rounded down.

    Typed again it passes no part that the threshold itself does not pass: `float(printed) <= threshold`.

    Example:
        >>> printed_threshold(0.3), printed_threshold(0.123456), printed_threshold(0.99996), printed_threshold(1.0)
        ('0.3', '0.1234', '0.9999', '1')
    """
    return _text(_rounded(Decimal(repr(float(threshold))), THRESHOLD_DIGITS, ROUND_FLOOR))


def percent(share: float) -> str:
    """Return a share as people say it, rounded to the nearest; only 1 is 100 %, and only 0 is 0 %.

    Example:
        >>> percent(0.95), percent(0.009976), percent(0.00001), percent(0.9996), percent(0.9999996)
        ('95 %', '0.998 %', '0.001 %', '99.96 %', '99.99996 %')
    """
    return _percent(share, ROUND_HALF_EVEN)


def percent_at_most(bound: float) -> str:
    """Return an upper bound in percent, rounded up: what is printed holds wherever the bound does.

    Example:
        >>> percent_at_most(0.0151103), percent_at_most(0.01), percent_at_most(0.9996)
        ('1.52 %', '1 %', '99.96 %')
    """
    return _percent(bound, ROUND_CEILING)


def percent_at_least(bound: float) -> str:
    """Return a lower bound in percent, rounded down.

    Example:
        >>> percent_at_least(0.0159), percent_at_least(0.99999)
        ('1.59 %', '99.9 %')
    """
    return _text(_rounded(100 * Decimal(repr(float(bound))), DIGITS, ROUND_FLOOR)) + " %"


def percent_exactly(share: float) -> str:
    """Return a share in percent with all its digits: a confidence is a number that was asked for.

    Example:
        >>> percent_exactly(0.95), percent_exactly(0.98765), percent_exactly(0.9999)
        ('95 %', '98.765 %', '99.99 %')
    """
    return _text(100 * Decimal(repr(float(share)))) + " %"


def _percent(share: float, rounding: str) -> str:
    exact = 100 * Decimal(repr(float(share)))
    digits = DIGITS
    while (printed := _rounded(exact, digits, rounding)) == 100 and exact < 100:
        digits += 1
    return f"{_text(printed)} %"


def _rounded(value: Decimal, digits: int, rounding: str) -> Decimal:
    if not value:
        return Decimal(0)
    return value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1), rounding)


def _text(value: Decimal) -> str:
    """Return a number without trailing zeros, and without an exponent as long as people read it so."""
    plain = value.normalize()
    return f"{plain:f}" if plain.adjusted() >= -6 else f"{plain:e}"
