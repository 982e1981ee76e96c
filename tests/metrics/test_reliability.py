import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fancnn.metrics.reliability import expected_calibration_error, reliability

# a grid that has the edges of 10, 7 and 1 bins in it, and between them
chances = st.integers(0, 70).map(lambda i: i / 70) | st.integers(0, 20).map(lambda i: i / 20) | st.floats(0, 1)
tables = st.lists(st.tuples(st.integers(0, 1), chances), max_size=50)
Table = list[tuple[int, float]]


def columns(table: Table) -> tuple[list[int], list[float]]:
    return [label for label, _ in table], [chance for _, chance in table]


@given(tables, st.sampled_from([1, 7, 10]))
def test_bins_are_those_of_counting_image_by_image(table: Table, bins: int) -> None:
    expected = []
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [(y, p) for y, p in table if low <= p < high or (p == 1 and number == bins - 1)]
        if inside:
            mean, rate = sum(p for _, p in inside) / len(inside), sum(y for y, _ in inside) / len(inside)
            expected.append((low, high, len(inside), mean, rate))
    found = reliability(*columns(table), bins)
    assert [(b.low, b.high, b.count) for b in found] == [row[:3] for row in expected]
    for part, row in zip(found, expected, strict=True):
        assert (part.mean_probability, part.ng_rate) == pytest.approx(row[3:])
        exact = stats.binomtest(round(part.ng_rate * part.count), part.count).proportion_ci(method="exact")
        assert (part.interval.low, part.interval.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@given(tables, st.sampled_from([1, 7, 10]))
def test_the_calibration_error_is_the_weighted_distance_in_the_bins(table: Table, bins: int) -> None:
    found = expected_calibration_error(*columns(table), bins)
    if not table:
        assert found is None
        return
    distances = [b.count / len(table) * abs(b.mean_probability - b.ng_rate) for b in reliability(*columns(table), bins)]
    assert found == pytest.approx(sum(distances), abs=1e-12)


@given(tables)
def test_one_bin_compares_the_means(table: Table) -> None:
    labels, probabilities = columns(table)
    if table:
        expected = abs(np.mean(probabilities) - np.mean(labels))
        assert expected_calibration_error(labels, probabilities, bins=1) == pytest.approx(expected, abs=1e-12)


def test_sure_and_right_is_no_error_and_sure_and_wrong_the_greatest() -> None:
    assert expected_calibration_error([0, 1], [0.0, 1.0]) == 0
    assert expected_calibration_error([1, 0], [0.0, 1.0]) == 1


def test_no_bins_are_refused() -> None:
    for function in (reliability, expected_calibration_error):
        with pytest.raises(ValueError, match="bins=0: expected at least 1"):
            function([0], [0.5], bins=0)  # type: ignore[operator]


def test_copies_of_a_lot_do_not_make_a_bin_surer() -> None:
    labels, chances = [1, 0, 1, 1] * 5, [0.75] * 20
    (alone,) = reliability(labels, chances)
    (copied,) = reliability(
        np.repeat(labels, 10), np.repeat(chances, 10), groups=[f"lot {i // 10}" for i in range(200)]
    )
    assert (copied.count, copied.ng_rate) == (200, alone.ng_rate)
    assert (copied.interval.low, copied.interval.high) == pytest.approx((alone.interval.low, alone.interval.high))
    (one_lot,) = reliability(labels, chances, groups=["a"] * 20)
    assert (one_lot.interval.low, one_lot.interval.high) == (0, 1)
