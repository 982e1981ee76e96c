import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fancnn.metrics.clusters import clustered_interval
from fancnn.metrics.curves import ranking_curves, threshold_curves
from fancnn.metrics.intervals import exact_interval

tables = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(np.linspace(0, 1, 9).tolist())), min_size=2, max_size=40)
Table = list[tuple[int, float]]


def arrays(table: Table) -> tuple[list[int], list[float]]:
    return [label for label, _ in table], [chance for _, chance in table]


@given(tables.filter(lambda table: 0 < sum(label for label, _ in table) < len(table)))
def test_roc_is_scikit_learns(table: Table) -> None:
    labels, chances = arrays(table)
    found = ranking_curves(labels, chances, draws=2)
    assert found is not None
    false, true, _ = metrics.roc_curve(labels, chances, drop_intermediate=False)
    np.testing.assert_allclose(found.overkill_rate, false)
    np.testing.assert_allclose(found.recall, true)
    precision, recall, _ = metrics.precision_recall_curve(labels, chances)
    np.testing.assert_allclose(found.precision[1:], precision[::-1][1:])
    np.testing.assert_allclose(found.recall, recall[::-1])


@given(tables)
def test_rates_by_threshold_are_counts_with_exact_bands(table: Table) -> None:
    labels, chances = map(np.array, arrays(table))
    found = threshold_curves(labels, chances)
    for known, of, wrong in ((found.escape, 1, np.less_equal), (found.overkill, 0, np.greater)):
        members = chances[labels == of]
        assert (known is None) == (members.size == 0)
        if known is None:
            continue
        values, band = known
        for place, value, low, high in zip(found.thresholds, values, band.low, band.high, strict=True):
            interval = exact_interval(int(wrong(members, place).sum()), members.size)
            assert interval is not None
            assert value == pytest.approx(wrong(members, place).mean())
            assert (low, high) == pytest.approx((interval.low, interval.high))


@given(tables, st.floats(0, 1))
def test_the_steps_say_the_exact_rates_of_every_threshold(table: Table, threshold: float) -> None:
    labels, chances = map(np.array, arrays(table))
    found = threshold_curves(labels, chances, points=3)
    place = np.searchsorted(found.thresholds, threshold, side="right") - 1
    for known, of, wrong in ((found.escape, 1, np.less_equal), (found.overkill, 0, np.greater)):
        if known is not None:
            assert known[0][place] == pytest.approx(wrong(chances[labels == of], threshold).mean())


def test_nothing_is_rejected_right_above_the_highest_score_however_far_from_1_it_is() -> None:
    found = threshold_curves([0, 0, 1], [0.1, 0.3, 0.2])
    assert found.overkill is not None
    assert found.overkill[0][found.thresholds >= 0.3].tolist() == [0, 0]


def test_of_many_images_the_rates_are_all_there_and_the_bands_at_some_thresholds() -> None:
    random = np.random.default_rng(0)
    found = threshold_curves(random.integers(0, 2, 5000), random.random(5000))
    assert found.escape is not None
    assert (found.escape[0].size, found.escape[1].x.size) == (5002, 200)
    assert found.escape[1].x[[0, -1]].tolist() == [0, 1]


def test_bands_hold_the_curve_and_shrink_with_more_images() -> None:
    def width(count: int) -> float:
        random = np.random.default_rng(0)
        labels = random.integers(0, 2, count)
        found = ranking_curves(labels, random.normal(size=count) / 6 + 0.4 + 0.2 * labels)
        assert found is not None
        middle = slice(10, 40)
        inside = np.interp(found.roc_band.x, found.overkill_rate, found.recall)[middle]
        assert np.all(found.roc_band.low[middle] <= inside + 0.05)
        assert np.all(inside <= found.roc_band.high[middle] + 0.05)
        return float(np.mean(found.roc_band.high - found.roc_band.low))

    assert width(2000) < width(100) / 2


def test_one_class_has_no_ranking() -> None:
    assert ranking_curves([1, 1], [0.1, 0.2]) is None


def test_bands_of_rates_count_lots_where_there_are_lots() -> None:
    random = np.random.default_rng(0)
    labels, lots = np.repeat([0, 1], 60), np.arange(120) // 10
    chances = random.random(120)
    found = threshold_curves(labels, chances, groups=[f"lot {lot}" for lot in lots])
    for known, of, wrong in ((found.escape, 1, np.less_equal), (found.overkill, 0, np.greater)):
        assert known is not None
        for place, low, high in zip(known[1].x[::20], known[1].low[::20], known[1].high[::20], strict=True):
            inside = labels == of
            hits = np.bincount(lots[inside], wrong(chances[inside], place))
            expected = clustered_interval(hits, np.bincount(lots[inside]))
            assert expected is not None
            assert (low, high) == pytest.approx((expected.low, expected.high))
