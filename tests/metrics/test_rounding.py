"""What is printed keeps the promise: thresholds and lower bounds are rounded down, upper bounds up."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from fancnn.metrics.rounding import percent, percent_at_least, percent_at_most, percent_exactly, printed_threshold
from fancnn.metrics.thresholds import Thresholds
from fancnn.pages.formatting import hundredths

shares = st.floats(0, 1) | st.sampled_from([0.0, 5e-324, 1e-300, 0.3, 0.9995, 0.9996, 1 - 2**-53, 1.0])


def share_of(text: str) -> Fraction:
    return Fraction(text.removesuffix(" %")) / 100


@given(shares)
def test_a_printed_threshold_typed_again_passes_no_part_more(threshold: float) -> None:
    printed = float(printed_threshold(threshold))
    assert printed <= threshold
    assert threshold - printed <= 1e-3 * threshold + 1e-300
    assert f"NG above {printed_threshold(threshold)}" == Thresholds.single(threshold).in_words()


@given(shares)
def test_a_printed_bound_is_on_the_safe_side_of_the_bound(bound: float) -> None:
    exact = Fraction(repr(bound))
    assert share_of(percent_at_most(bound)) >= exact >= share_of(percent_at_least(bound))
    assert share_of(percent_exactly(bound)) == exact
    assert share_of(percent_at_most(bound)) <= exact * Fraction(101, 100)


@given(shares)
def test_only_one_is_a_hundred_percent_and_only_zero_is_none(share: float) -> None:
    assert (percent(share) == "100 %") == (percent_at_most(share) == "100 %") == (share == 1)
    assert (percent(share) == "0 %") == (percent_at_most(share) == "0 %") == (share == 0)
    assert (hundredths(share) == "100") == (share == 1)
    assert (hundredths(share) == "0") == (share == 0)
