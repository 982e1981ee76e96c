import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fancnn.metrics.score_registry import score, score_intervals
from fancnn.metrics.thresholds import Thresholds

chances = st.integers(0, 20).map(lambda i: i / 20)
groups = st.sampled_from(["", "a", "b", "c", "d"])
tables = st.lists(st.tuples(st.integers(0, 1), chances, groups), min_size=1, max_size=40)
Table = list[tuple[int, float, str]]
HALF = Thresholds.single(0.5)
pairs = st.tuples(chances, chances).map(lambda pair: Thresholds(min(pair), max(pair)))


def noisy(size: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(size)
    labels = (generator.random(size) < 0.3).astype(np.int64)
    return labels, np.clip(generator.normal(0.3 + 0.4 * labels, 0.2), 0, 1)


def ends(found: object) -> tuple[float, float]:
    return found.low, found.high  # type: ignore[attr-defined]


def test_every_score_has_an_interval_but_the_calibration_error() -> None:
    labels, probabilities = noisy(60)
    found = score_intervals(labels, probabilities, HALF).by_score
    assert sorted([*found, "calibration_error"]) == sorted(score(labels, probabilities, HALF))
    assert all(found.values())


@given(tables, pairs, st.booleans())
def test_intervals_hold_their_scores_and_are_no_points(table: Table, thresholds: Thresholds, grouped: bool) -> None:
    labels, probabilities, names = (list(column) for column in zip(*table, strict=True))
    scores = score(labels, probabilities, thresholds)
    for name, interval in score_intervals(
        labels, probabilities, thresholds, names if grouped else None
    ).by_score.items():
        value = scores[name]
        if value is None:
            assert interval is None, name
        elif interval is not None:
            assert interval.low - 1e-9 <= value <= interval.high + 1e-9, name
            assert interval.low < interval.high, name


def test_the_interval_of_recall_is_scipys() -> None:
    labels, probabilities = [1] * 60 + [0] * 60, [0.9] * 48 + [0.1] * 70 + [0.9] * 2
    oracle = stats.binomtest(48, 60).proportion_ci(0.9, method="exact")
    assert ends(score_intervals(labels, probabilities, HALF, confidence=0.9).by_score["recall"]) == pytest.approx(
        (oracle.low, oracle.high)
    )


def test_f1_lies_where_the_share_lies_that_it_is_a_function_of() -> None:
    labels, probabilities = [1] * 60 + [0] * 60, [0.9] * 48 + [0.1] * 70 + [0.9] * 2
    share = stats.binomtest(48, 62).proportion_ci(0.95, method="exact")  # found, of found, missed and wrongly rejected
    expected = [2 * end / (1 + end) for end in (share.low, share.high)]
    assert ends(score_intervals(labels, probabilities, HALF).by_score["f1"]) == pytest.approx(expected)


@pytest.mark.parametrize(("ng", "go"), [(10, 10), (250, 250), (5, 500)])
def test_perfect_is_not_perfect_for_certain(ng: int, go: int) -> None:
    labels = [1] * ng + [0] * go
    found = score_intervals(labels, [0.9] * ng + [0.1] * go, HALF).by_score
    assert ends(found["auroc"]) == pytest.approx((0.025 ** (1 / min(ng, go)), 1))  # so many pairs are independent
    for name in ("average_precision", "f1", "mcc", "balanced_accuracy", "accuracy"):
        low, high = ends(found[name])
        assert low < 0.995, name
        assert high == pytest.approx(1), name


def test_perfect_in_few_groups_is_worth_as_many_parts_as_there_are_groups() -> None:
    labels = np.repeat([1, 0], 50)
    names = [f"lot {part // 10}" for part in range(100)]  # 5 of each class
    found = score_intervals(labels, 0.1 + 0.8 * labels, HALF, names)
    assert ends(found.by_score["auroc"]) == pytest.approx((0.025 ** (1 / 5), 1))
    assert ends(found.by_score["recall"]) == pytest.approx((0.025 ** (1 / 5), 1))


def test_one_class_alone_has_no_interval_of_what_needs_both() -> None:
    found = score_intervals([1] * 20, np.linspace(0, 1, 20), HALF).by_score
    undefined = {name for name, interval in found.items() if interval is None}
    assert undefined == {
        *("balanced_accuracy", "mcc", "auroc", "average_precision"),
        *("specificity", "alone_specificity", "overkill_rate", "recheck_rate_go"),
    }


def test_groups_of_like_images_make_intervals_wider_and_copies_prove_nothing() -> None:
    labels, probabilities = noisy(60)
    copied = np.repeat(labels, 5), np.repeat(probabilities, 5)
    names = [str(i // 5) for i in range(300)]
    alone, apart, together = (
        score_intervals(labels, probabilities, HALF),
        score_intervals(*copied, HALF),
        score_intervals(*copied, HALF, names),
    )
    assert (alone.unit, apart.unit, together.unit) == ("image", "image", "group")
    for name, interval in together.by_score.items():
        low, high = ends(interval)
        narrow = ends(apart.by_score[name])
        assert high - low > 1.5 * (narrow[1] - narrow[0]), name
        assert (low, high) == pytest.approx(ends(alone.by_score[name]), abs=1e-6), name


@pytest.mark.parametrize(
    ("names", "unit", "said"),
    [
        (None, "image", None),
        ([f"lot {part}" for part in range(80)], "image", None),
        ([f"lot {part // 2}" for part in range(80)], "group", None),
        ([f"lot {part // 10}" for part in range(80)], "group", "groups are few (NG parts of 4 and GO parts of 4)"),
        (["a"] * 30 + [f"lot {part}" for part in range(50)], "group", "groups are few (NG parts of 11, in effect 1.8)"),
        (["a"] * 40 + ["b"] * 20 + ["c"] * 20, "group", "all NG parts are of one group"),
        (["a"] * 40 + [""] * 40, "image", "40 of 80 images name no group: images are taken for independent"),
    ],
)
def test_the_unit_and_what_is_to_be_said_of_it(names: list[str] | None, unit: str, said: str | None) -> None:
    labels = np.repeat([1, 0], 40)
    probabilities = np.clip(0.3 + 0.4 * labels + np.tile(np.linspace(-0.3, 0.3, 40), 2), 0, 1)
    found = score_intervals(labels, probabilities, HALF, names)
    assert found.unit == unit
    if said is None:
        assert found.note is None
    else:
        assert said in (found.note or "")


def test_where_all_parts_of_a_class_are_of_one_group_nothing_is_said_of_them() -> None:
    labels = np.repeat([1, 0], 40)
    found = score_intervals(labels, noisy(80)[1], HALF, ["a"] * 40 + ["b"] * 20 + ["c"] * 20).by_score
    assert found["recall"] is None
    assert found["auroc"] is None
    assert found["mcc"] is None
    assert found["specificity"] is not None


def test_a_loss_that_hangs_on_few_says_so() -> None:
    labels = np.repeat([1, 0], 50)
    probabilities = np.where(labels == 1, 0.999, 0.001)
    probabilities[0] = 0.01
    note = score_intervals(labels, probabilities, HALF).note
    assert note is not None
    assert "the loss hangs on few (1.0 in effect)" in note


def test_equal_probabilities_rank_nothing_and_lie_nowhere() -> None:
    found = score_intervals([0, 1] * 10, [0.5] * 20, HALF)
    assert found.by_score["auroc"] is None
    assert found.by_score["loss"] is None
    assert "the loss has no interval: it is the same everywhere" in (found.note or "")


def test_errors_that_are_equal_but_for_rounding_are_equal() -> None:
    found = score_intervals([0, 1] * 10, [0.1, 0.9] * 10, HALF)
    low, high = ends(found.by_score["brier"])
    assert 0 <= low < 0.01 < high < 0.3
    assert found.by_score["loss"] is None
