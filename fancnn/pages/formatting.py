"""Numbers as people say them; what is not defined is called so, never shown as 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from fancnn.metrics.intervals import Interval

UNDEFINED = "undefined"


@dataclass(frozen=True)
class Claim:
    """One statement of the headline: text around a number, where it may lie, and what was counted."""

    before: str
    number: str
    after: str
    interval: str
    seen: str


def share_claim(count: int, total: int, of_what: str, what: str, seen: str, interval: Interval | None = None) -> Claim:
    """Say how many of a hundred, with where that may lie.

    Args:
        count: Of `total`.
        total: Parts of this kind.
        of_what: The kind, in the plural.
        what: Happens to them.
        seen: What was counted.
        interval: Of the rate; None where parts say nothing of it, as where all are of one group.

    Example:
        >>> from fancnn.metrics.intervals import exact_interval
        >>> claim = share_claim(2, 60, "bad parts", "would pass", "NG parts", exact_interval(2, 60))
        >>> claim.before, claim.number, claim.after, claim.interval
        ('Of 100 bad parts', '3.3', 'would pass', '(95 %: 0.4 to 12)')
        >>> share_claim(0, 0, "bad parts", "would pass", "NG parts").number
        'undefined'
    """
    if total == 0:
        return Claim(f"Of 100 {of_what}, the number that {what}:", UNDEFINED, "", "", f"there are no {seen} to tell by")
    where = "(where it may lie is not known)"
    if interval is not None:
        low, high = hundredths(interval.low, ROUND_FLOOR), hundredths(interval.high, ROUND_CEILING)
        where = f"(95 %: {low} to {high})"
    return Claim(
        f"Of 100 {of_what}",
        hundredths(count / total),
        what,
        where,
        f"{count:,} of {total:,} {seen}",
    )


def hundredths(rate: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """Return a rate in hundred, two digits that count; only 1 is 100.

    Args:
        rate: In [0, 1].
        rounding: `ROUND_CEILING` for an upper bound and `ROUND_FLOOR` for a lower one, so that what is printed holds.

    Example:
        >>> hundredths(0.0), hundredths(0.00041), hundredths(0.023), hundredths(0.999), hundredths(1.0)
        ('0', '0.041', '2.3', '99.9', '100')
        >>> hundredths(0.1521, ROUND_CEILING), hundredths(0.1599, ROUND_FLOOR)
        ('16', '15')
    """
    value = 100 * Decimal(repr(float(rate)))
    if value == 0 or value == 100:
        return f"{value:.0f}"
    if value >= 99:
        rounded = value.quantize(Decimal("0.01"), rounding)
        return f"{rounded.normalize():f}" if rounded < 100 else "above 99.99"
    if value < Decimal("0.001"):
        return "below 0.001"
    digits = Decimal(1) if value >= 10 else Decimal(1).scaleb(value.adjusted() - 1)
    return f"{value.quantize(digits, rounding).normalize():f}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a value, or that it is undefined.

    Example:
        >>> number(0.5), number(None)
        ('0.5000', 'undefined')
    """
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def between(interval: Sequence[float] | Interval | None, digits: int = 3) -> str:
    """Return where a value may lie; empty where that is not known.

    Example:
        >>> between([0.1, 0.25]), between(None)
        ('0.100 to 0.250', '')
    """
    if interval is None:
        return ""
    low, high = (interval.low, interval.high) if isinstance(interval, Interval) else interval
    return f"{low:.{digits}f} to {high:.{digits}f}"


def percent(rate: float | None) -> str:
    """Return a rate in percent.

    Example:
        >>> percent(0.0312), percent(0.0), percent(None)
        ('3.1 %', '0 %', 'undefined')
    """
    return UNDEFINED if rate is None else f"{hundredths(rate)} %"


def quantity(value: float) -> str:
    """Return an amount with about three digits that count.

    Example:
        >>> quantity(28917.3), quantity(0.8), quantity(12.345), quantity(0.0)
        ('28,917', '0.8', '12.3', '0')
    """
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def probability(value: float) -> str:
    """Return a p-value, after a `p`.

    Example:
        >>> probability(0.0312), probability(0.00001)
        ('= 0.0312', '< 0.0001')
    """
    return "< 0.0001" if value < 0.0001 else f"= {value:.4f}"
