import json
import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression

from fancnn.decisions.calibration import (
    ISOTONIC_NEEDS,
    SLOPES,
    STEEPNESS,
    TEMPERATURES,
    UNCALIBRATED,
    Calibration,
    Fitted,
    fit,
    fit_auto,
    fit_isotonic,
    fit_platt,
    fit_temperature,
)

# a coarse grid, so that ties are common
grid = st.integers(-200, 200).map(lambda i: i / 20)
images = st.lists(st.tuples(grid, st.integers(0, 1)), min_size=1, max_size=60)
Images = list[tuple[float, int]]


def columns(table: Images) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return np.array([x for x, _ in table], dtype=np.float64), np.array([y for _, y in table], dtype=np.int64)


def drawn(size: int, temperature: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose labels follow sigmoid(logit / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, size)
    return logits, (generator.random(size) < expit(logits / temperature)).astype(np.int64)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    slope = draw(st.floats(*TEMPERATURES))
    rate = draw(st.none() | st.floats(0.01, 0.99))
    kind = draw(st.sampled_from(["temperature", "platt", "isotonic"]))
    if kind == "temperature":
        return Calibration((0.0,), (0.0,), slope, "temperature", rate)
    if kind == "platt":
        return Calibration((0.0,), (draw(st.floats(-20, 20)),), slope, "platt", rate)
    knots = sorted(draw(st.sets(grid, min_size=2, max_size=8)))
    steps = [draw(st.floats(SLOPES[0], 100)) * (b - a) for a, b in pairwise(knots)]
    start = draw(st.floats(-5, 5))
    return Calibration(tuple(knots), (start, *(start + np.cumsum(steps)).tolist()), slope, "isotonic", rate)


@given(calibrations(), st.sets(st.integers(-(10**7), 10**7), min_size=2, max_size=40), st.sampled_from([1e-6, 1e-5]))
def test_the_order_of_logits_is_kept(calibration: Calibration, places: set[int], spacing: float) -> None:
    logits = np.array(sorted(places)) * spacing
    assert (np.diff(calibration.apply(logits)) > 0).all()


@given(images, st.sets(st.integers(-(10**6), 10**6), min_size=2, max_size=40))
def test_whatever_is_fitted_keeps_the_order_of_logits(table: Images, places: set[int]) -> None:
    logits = np.array(sorted(places)) * 2e-5
    for method in (fit_temperature, fit_platt, fit_isotonic):
        fitted = method(*columns(table))
        assert (np.diff(fitted.apply(logits)) > 0).all()


@given(calibrations())
def test_knots_are_met_and_the_ends_go_on_with_the_slope(calibration: Calibration) -> None:
    np.testing.assert_array_equal(calibration.apply(calibration.logits), calibration.calibrated)
    first, last = calibration.logits[0], calibration.logits[-1]
    low, high = calibration.apply([first - 2, last + 3])
    assert low == pytest.approx(calibration.calibrated[0] - 2 * calibration.slope)
    assert high == pytest.approx(calibration.calibrated[-1] + 3 * calibration.slope)


def test_between_knots_the_map_is_a_line() -> None:
    calibration = Calibration((-1.0, 1.0, 2.0), (0.0, 1.0, 4.0), 1.0, "isotonic")
    np.testing.assert_allclose(calibration.apply([[0.0], [1.5]]), [[0.5], [2.5]])


def test_uncalibrated_leaves_logits_as_they_are_in_float64() -> None:
    logits = np.array([-800.0, -3.3, 0.0, 1e-30, 40.0], dtype=np.float32)
    np.testing.assert_array_equal(UNCALIBRATED.apply(logits), logits.astype(np.float64))
    chances = UNCALIBRATED.probabilities(logits)
    assert chances.dtype == np.float64
    np.testing.assert_array_equal(chances, expit(logits.astype(np.float64)))
    assert UNCALIBRATED.temperature is None


@given(calibrations())
def test_a_calibration_survives_json(calibration: Calibration) -> None:
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


ISOTONIC = {"logits": [0.0, 1.0], "calibrated": [0.0, 1.0], "slope": 1.0, "method": "isotonic"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"slope": 0.0}, "strictly increasing"),
        ({"slope": -1.0}, "strictly increasing"),
        ({"slope": math.nan}, "finite"),
        ({"slope": None}, "expected numbers"),
        ({"slope": True}, "expected numbers"),
        ({"logits": [0.0, 0.0]}, "strictly increasing"),
        ({"logits": [1.0, 0.0], "calibrated": [1.0, 0.0]}, "strictly increasing"),
        ({"calibrated": [1.0, 1.0]}, "strictly increasing"),
        ({"calibrated": [0.0, math.inf]}, "finite"),
        ({"calibrated": [0.0]}, "for each knot"),
        ({"logits": [], "calibrated": []}, "for each knot"),
        ({"logits": "01"}, "expected numbers"),
        ({"logits": ["0", "1"]}, "expected numbers"),
        ({"logits": [0.0, 5e-324]}, "strictly increasing"),
        ({"method": "beta"}, "of its method, one of none, temperature, platt, isotonic"),
        ({"method": "platt"}, "of its method"),
        ({"ng_rate": 0.0}, "ng_rate=0.0 of a calibration: expected a share"),
        ({"ng_rate": 1}, "ng_rate=1 of a calibration: expected a share"),
        ({"ng_rate": math.nan}, "ng_rate=nan of a calibration: expected a share"),
        ({"ng_rate": "0.5"}, "ng_rate='0.5' of a calibration: expected a share"),
        ({"method": ["none"]}, "of its method"),
        ({"method": "none"}, "of its method"),
        ({"method": "temperature"}, "of its method"),
        ({"extra": 1}, "expected logits, calibrated, slope, method"),
    ],
)
def test_a_malformed_calibration_is_refused(change: dict[str, Any], text: str) -> None:
    assert Calibration.from_dict(ISOTONIC).method == "isotonic"
    with pytest.raises(ValueError, match=text):
        Calibration.from_dict({**ISOTONIC, **change})


@pytest.mark.parametrize("plain", [None, [], "none", {}, {"slope": 1.0}])
def test_what_is_no_calibration_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError, match="expected logits, calibrated, slope, method of a calibration"):
        Calibration.from_dict(plain)


def smoothed_loss(logits: NDArray[np.float64], labels: NDArray[np.int64], slope: float) -> float:
    """Cross-entropy against Platt's targets, by the textbook."""
    ng = int(labels.sum())
    targets = np.where(labels == 1, (ng + 1) / (ng + 2), 1 / (len(labels) - ng + 2))
    chances = expit(slope * logits)
    return float(-np.sum(targets * np.log(chances) + (1 - targets) * np.log1p(-chances)))


@given(images)
def test_no_other_temperature_is_better(table: Images) -> None:
    logits, labels = columns(table)
    fitted = fit_temperature(logits, labels)
    if fitted.temperature is None:
        assert len(set(labels)) == 1 or not logits.any()
        return
    assert TEMPERATURES[0] <= fitted.temperature <= TEMPERATURES[1]
    best = smoothed_loss(logits / 3, labels, 3 * fitted.slope)
    others = [smoothed_loss(logits / 3, labels, 3 * slope) for slope in np.geomspace(0.05, 3, 60)]
    assert best <= min(others) + 1e-6


def test_the_temperature_is_that_of_another_optimiser() -> None:
    logits, labels = drawn(500, temperature=2.5)
    oracle = minimize(lambda s: smoothed_loss(logits, labels, s[0]), [1.0], method="Nelder-Mead", tol=1e-10)
    assert fit_temperature(logits, labels).slope == pytest.approx(oracle.x[0], rel=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    fitted = fit_temperature(*drawn(50_000, temperature))
    assert fitted.temperature == pytest.approx(temperature, rel=0.1)


@given(images, st.sampled_from([0.5, 2.0, 4.0]))
def test_logits_of_another_scale_give_the_same_probabilities(table: Images, scale: float) -> None:
    logits, labels = columns(table)
    first, second = fit_temperature(logits, labels), fit_temperature(scale * logits, labels)
    if first.temperature and 0.3 < first.temperature < 4:  # far from the limits
        np.testing.assert_allclose(second.apply(scale * logits), first.apply(logits), atol=1e-3)


def test_separable_classes_do_not_end_in_certainty() -> None:
    logits = np.array([-1.0] * 10 + [1.0] * 10)
    chances = fit_temperature(logits, (logits > 0).astype(int)).probabilities(logits)
    assert chances.max() == pytest.approx(11 / 12, abs=1e-4)


def test_logits_that_tell_nothing_stay_as_they_are() -> None:
    assert fit_temperature([1.0, 2.0], [1, 1]) == UNCALIBRATED
    assert fit_temperature([], []) == UNCALIBRATED
    assert fit_temperature([0.0, 0.0], [0, 1]) == UNCALIBRATED
    assert fit_isotonic([1.0, 2.0], [0, 0]) == UNCALIBRATED


@given(images)
def test_isotonic_knots_rise_and_can_be_stored(table: Images) -> None:
    fitted = fit_isotonic(*columns(table))
    assert Calibration.from_dict(fitted.to_dict()) == fitted
    assert (fitted.method == "isotonic") == (len(fitted.logits) > 1)
    assert fitted.slope == fit_temperature(*columns(table)).slope


def test_isotonic_blocks_are_those_of_scikit_learn() -> None:
    logits, labels = drawn(20_000, temperature=2)
    logits = np.clip(np.round(logits), -5, 5)  # large blocks, which smoothing does not turn round
    rates = IsotonicRegression().fit_transform(logits, labels)
    middles = [logits[rates == rate].mean() for rate in np.unique(rates)]
    blocks = [labels[rates == rate] for rate in np.unique(rates)]
    expected = [logit((block.sum() + 0.5) / (len(block) + 1)) for block in blocks]
    fitted = fit_isotonic(logits, labels)
    assert (np.diff(expected) > 0).all()
    np.testing.assert_allclose(fitted.logits, middles)
    np.testing.assert_allclose(fitted.calibrated, expected)


def test_a_block_weighs_as_much_as_it_has_images() -> None:
    # 50 of 100, 90 of 900, 20 of 100: the first two are 140 of 1000, less than the third
    logits = np.repeat([0.0, 1.0, 2.0], [100, 900, 100])
    labels = np.repeat([1, 0, 1, 0, 1, 0], [50, 50, 90, 810, 20, 80])
    fitted = fit_isotonic(logits, labels)
    assert fitted.logits == pytest.approx((0.9, 2.0))
    assert fitted.calibrated == pytest.approx((logit(140.5 / 1001), logit(20.5 / 101)))


def test_a_step_too_flat_to_keep_the_order_is_no_step() -> None:
    logits = np.repeat([-50.0, 50.0, 60.0], [2000, 2000, 100])
    labels = np.repeat([1, 0, 1, 0, 1], [1000, 1000, 1001, 999, 100])
    assert fit_isotonic(logits, labels).logits == (0.0, 60.0)


def test_smoothing_that_turns_two_blocks_round_pools_them() -> None:
    # 0 of 1, then 1 of 20: smoothed 0.25 and 0.07
    logits = [0.0] + [1.0] * 20 + [2.0] * 10
    labels = [0] + [0] * 19 + [1] + [1] * 10
    fitted = fit_isotonic(logits, labels)
    assert fitted.logits == pytest.approx((20 / 21, 2.0))
    assert fitted.calibrated == pytest.approx((logit(1.5 / 22), logit(10.5 / 11)))


def test_an_order_that_is_upside_down_leaves_the_temperature() -> None:
    assert fit_isotonic([-1.0, 1.0] * 20, [1, 0] * 20).method == "temperature"
    found = fit("isotonic", [-1.0, 1.0] * 1000, [1, 0] * 1000)
    assert found.calibration.method == "temperature"
    assert found.warning == "isotonic finds no order to keep: temperature instead"


def test_isotonic_follows_a_curve_that_a_temperature_cannot() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, 20_000)
    truth = expit(np.where(logits > 0, 4 * logits, logits / 4) - 1)
    labels = (generator.random(20_000) < truth).astype(np.int64)
    errors = [np.abs(f(logits, labels).probabilities(logits) - truth).mean() for f in (fit_isotonic, fit_temperature)]
    assert errors[0] < 0.02 < errors[1]


@given(st.sampled_from(["none", "temperature", "platt", "isotonic"]), images)
def test_a_fit_of_another_method_says_why(method: Any, table: Images) -> None:
    found = fit(method, *columns(table))
    named = method == "none" or found.calibration.ng_rate is not None  # the mix of parts that P(NG) is for
    assert (found.warning == "") == (found.calibration.method == method and named)


def test_what_was_asked_for_is_fitted_where_images_are_enough() -> None:
    logits, labels = drawn(ISOTONIC_NEEDS[0], temperature=2)
    assert fit("none", logits, labels) == Fitted(UNCALIBRATED)
    assert fit("temperature", logits, labels) == Fitted(fit_temperature(logits, labels))
    assert fit("platt", logits, labels) == Fitted(fit_platt(logits, labels))
    assert fit("isotonic", logits, labels) == Fitted(fit_isotonic(logits, labels))
    assert fit("auto", logits, labels) == fit_auto(logits, labels)


def test_isotonic_needs_many_images_of_both_classes() -> None:
    logits = np.linspace(-1, 1, 2000)
    rare = (np.arange(2000) >= 1901).astype(np.int64)  # 99 NG
    enough = (np.arange(1000) >= 900).astype(np.int64)
    assert fit("isotonic", logits[1000:], enough).calibration.method == "isotonic"
    assert "needs 1000 images and 100 of each class, here are 2000 and 99" in fit("isotonic", logits, rare).warning
    few = fit("isotonic", logits[1100:], rare[1100:])  # rare NG among logits around 0: an intercept is needed
    assert "here are 900 and 99: platt instead" in few.warning
    assert few.calibration == fit("auto", logits[1100:], rare[1100:]).calibration
    for method in ("auto", "temperature", "platt", "isotonic"):
        assert fit(method, logits, np.zeros(2000, int)) == Fitted(  # type: ignore[arg-type]
            UNCALIBRATED, warning=f"{method} needs images of both classes, here is one: not calibrated"
        )


def test_a_temperature_that_leaves_probabilities_too_high_is_for_no_mix() -> None:
    generator = np.random.default_rng(0)
    truth = (np.arange(2000) < 200).astype(np.int64)
    balanced = generator.normal(np.where(truth == 1, 1.0, -1.0), 1.4)  # as trained at one NG for each GO
    alone = fit("temperature", balanced, truth)
    assert "a temperature leaves P(NG) too high or too low throughout" in alone.warning
    assert (alone.calibration.method, alone.calibration.ng_rate) == ("temperature", None)
    mended = fit("auto", balanced, truth).calibration
    assert mended.ng_rate == 0.1
    assert mended.probabilities(balanced).mean() == pytest.approx(0.1, abs=0.005)
    assert fit("temperature", balanced - np.log(9), truth).calibration.ng_rate == 0.1


@pytest.mark.parametrize("shift", [-4.0, 0.0, 2.5])
def test_platt_is_that_of_scikit_learn(shift: float) -> None:
    logits, labels = drawn(400, temperature=1.7)
    slope, intercept = _sigmoid_calibration(logits + shift, labels)  # P = 1 / (1 + exp(slope * x + intercept))
    fitted = fit_platt(logits + shift, labels)
    assert fitted.slope == pytest.approx(-slope, rel=1e-3)
    assert fitted.intercept == pytest.approx(-intercept, rel=1e-3, abs=1e-3)
    assert fitted.ng_rate == labels.mean()


@given(images)
def test_no_other_line_is_better(table: Images) -> None:
    logits, labels = columns(table)
    fitted = fit_platt(logits, labels)
    if fitted.intercept is None:
        assert len(set(labels)) == 1
        return
    assert STEEPNESS[0] <= fitted.slope <= STEEPNESS[1]
    targets = np.where(labels == 1, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((1 - labels).sum() + 2))

    def loss(slope: float, intercept: float) -> float:
        scores = slope * logits + intercept
        return float(np.sum(np.logaddexp(0, scores) - targets * scores))

    best = loss(fitted.slope, fitted.intercept)
    for slope in (*np.geomspace(*STEEPNESS, 12), fitted.slope):
        for step in (-1.0, -0.1, -0.01, 0.0, 0.01, 0.1, 1.0):
            assert best <= loss(slope, fitted.intercept + step) + 1e-6 * max(1.0, best)


@given(images)
def test_the_mean_probability_of_platt_is_that_of_the_targets(table: Images) -> None:
    logits, labels = columns(table)
    if len(set(labels)) == 2:
        go, ng = np.bincount(labels)
        expected = (ng * (ng + 1) / (ng + 2) + go / (go + 2)) / (go + ng)
        assert fit_platt(logits, labels).probabilities(logits).mean() == pytest.approx(expected, abs=1e-6)


def test_logits_of_one_number_teach_an_intercept_alone() -> None:
    fitted = fit_platt([3.0] * 1000, [1] * 100 + [0] * 900)
    assert fitted.slope == 1.0
    assert fitted.probabilities(3.0) == pytest.approx(0.1, abs=0.002)
    assert fit_platt([1.0, 2.0], [1, 1]) == UNCALIBRATED


def balanced(count: int, ng_rate: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Ideal logits of a training that saw as many NG as GO, of parts that are not so mixed."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) < count * ng_rate).astype(np.int64)
    return generator.normal(4 * labels - 2, 2), labels


@pytest.mark.parametrize("ng_rate", [0.1, 0.02])
def test_auto_takes_the_intercept_that_a_balanced_training_needs(ng_rate: float) -> None:
    logits, labels = balanced(5000, ng_rate)
    found = fit_auto(logits, labels)
    assert found.calibration == fit_platt(logits, labels)
    assert found.calibration.intercept == pytest.approx(logit(ng_rate), abs=0.4)  # the ratio of the two priors' odds
    assert re.match(
        r"platt, since an intercept is needed: it raises twice the log likelihood of 5,000 images by \d.*, above 8.52 "
        r"\(BIC\); the network's own P\(NG\) is too high or too low throughout, as after a balanced training$",
        found.reason,
    )


def test_auto_takes_a_temperature_where_that_is_enough() -> None:
    logits, labels = drawn(2000, temperature=2)
    found = fit_auto(logits, labels)
    assert found.calibration == fit_temperature(logits, labels)
    assert re.match(
        r"temperature, since an intercept is not needed: it raises .* by .*, 7.6 \(BIC\) or less$", found.reason
    )


@given(images)
def test_auto_is_one_of_the_two_by_bic(table: Images) -> None:
    logits, labels = columns(table)
    found = fit_auto(logits, labels).calibration
    simple, full = fit_temperature(logits, labels), fit_platt(logits, labels)
    assert found in (simple, full)
    if len(set(labels)) == 2:
        likelihoods = []
        for one in (simple, full):
            scores, (go, ng) = one.apply(logits), np.bincount(labels)
            targets = np.where(labels == 1, (ng + 1) / (ng + 2), 1 / (go + 2))
            likelihoods.append(-float(np.sum(np.logaddexp(0, scores) - targets * scores)))
        gain = 2 * (likelihoods[1] - likelihoods[0]) - math.log(len(labels))
        if abs(gain) > 1e-9:
            assert (found == full) == (gain > 0)


@pytest.mark.parametrize("method", ["temperature", "isotonic", "none"])
def test_files_of_before_load_as_they_did(method: str) -> None:
    before = {
        "temperature": {"logits": [0.0], "calibrated": [0.0], "slope": 0.5, "method": "temperature"},
        "isotonic": ISOTONIC,
        "none": {"logits": [0.0], "calibrated": [0.0], "slope": 1.0, "method": "none"},
    }[method]
    found = Calibration.from_dict(before)
    assert found.ng_rate is None
    assert {name: value for name, value in found.to_dict().items() if name != "ng_rate"} == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("beta", [0.0], [0]), "method='beta': expected one of auto, none, temperature, platt, isotonic"),
        (("none", [0.0], [0, 1]), "a logit and a label for each image"),
        (("none", [math.nan], [0]), "finite logits"),
        (("none", [0.0], [2]), "labels 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments: tuple[Any, Any, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fit(*arguments)
