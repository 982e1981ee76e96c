"""Calibration errors by simulation; `pytest tests/simulations/test_calibrations.py -m simulation -n0 -s` prints tables.

GO and NG parts have normal log likelihood ratios, so that the right probability of every part is known: the logit of a
network that learnt all there is to learn is that ratio and the log odds of the mix that it was trained on. A balanced
training has log odds of 0. The error is the mean distance of the calibrated and the right P(NG) over the parts of the
line that validation was drawn from.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from fancnn.decisions.calibration import Calibration, fit_auto, fit_platt, fit_temperature
from fancnn.metrics.prior_shift import at_prior

Values = NDArray[np.float64]
METHODS: dict[str, Callable[[Values, NDArray[np.int64]], Calibration]] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "auto": lambda logits, labels: fit_auto(logits, labels).calibration,
}


def validation(
    count: int, ng_rate: float, apart: float, scale: float, trained_on: float, random: np.random.Generator
) -> tuple[Values, NDArray[np.int64]]:
    """Logits and labels of a stratified validation split.

    Args:
        count: Images.
        ng_rate: Share of NG among them.
        apart: Standard deviations between the two classes.
        scale: What the logits are multiplied by: above 1, the network is too sure.
        trained_on: Share of NG in the mix that the network was trained on.
        random: Where from.
    """
    labels = (np.arange(count) < max(round(count * ng_rate), 1)).astype(np.int64)
    ratio = random.normal((2 * labels - 1) * apart**2 / 2, apart)
    return scale * (ratio + logit(trained_on)), labels


def error(found: Calibration, ng_rate: float, apart: float, scale: float, trained_on: float) -> float:
    """Mean distance from the right P(NG), on a grid of quantiles of both classes."""
    steps = norm.ppf((np.arange(400) + 0.5) / 400) * apart
    total = 0.0
    for sign, share in ((1, ng_rate), (-1, 1 - ng_rate)):
        ratio = steps + sign * apart**2 / 2
        told = found.probabilities(scale * (ratio + logit(trained_on)))
        total += share * float(np.abs(told - expit(ratio + logit(ng_rate))).mean())
    return total


def errors(
    draws: int, count: int, ng_rate: float, apart: float, scale: float, trained_on: float, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Mean error of each method over the draws, and the standard error of its difference from a temperature's."""
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(draws):
        logits, labels = validation(count, ng_rate, apart, scale, trained_on, random)
        for name, method in METHODS.items():
            found[name].append(error(method(logits, labels), ng_rate, apart, scale, trained_on))
    plain = np.array(found["temperature"])
    return {
        name: (float(np.mean(of)), float(np.std(np.array(of) - plain) / np.sqrt(draws))) for name, of in found.items()
    }


@pytest.mark.parametrize("ng_rate", [0.1, 0.02])
@pytest.mark.parametrize("apart", [2.0, 4.0])
def test_after_a_balanced_training_an_intercept_is_taken_and_is_right(ng_rate: float, apart: float) -> None:
    found = errors(8, 2000, ng_rate, apart, scale=1.0, trained_on=0.5)
    assert found["temperature"][0] > (0.15 if apart == 2 else 0.025)  # what a temperature cannot undo
    assert found["auto"][0] < 0.01
    assert found["auto"][0] == pytest.approx(found["platt"][0], abs=1e-3)


@pytest.mark.parametrize("count", [24, 100])
@pytest.mark.parametrize("ng_rate", [0.5, 0.1])
def test_where_none_is_needed_auto_is_no_worse_than_a_temperature(count: int, ng_rate: float) -> None:
    found = errors(40, count, ng_rate, 2.0, scale=2.0, trained_on=ng_rate)
    error_of_auto, margin = found["auto"]
    assert error_of_auto <= found["temperature"][0] + 0.003 + 3 * margin
    assert found["platt"][0] > found["temperature"][0]  # what an intercept that is always there costs


@pytest.mark.simulation
def test_auto_over_all_mixes_and_sizes_of_validation() -> None:
    draws, cells = 200, [(apart, rate) for apart in (2.0, 4.0) for rate in (0.5, 0.1, 0.02)]
    print("\ntrained on  apart     NG  images  temperature        platt         auto")
    for trained_on, (apart, ng_rate) in [
        *(((rate), (apart, rate)) for apart, rate in cells),
        *((0.5, cell) for cell in cells if cell[1] != 0.5),
    ]:
        for count in (24, 50, 100, 200, 500):
            if count * ng_rate < 1:
                continue
            found = errors(draws, count, ng_rate, apart, scale=2.0, trained_on=trained_on)
            shown = "  ".join(f"{found[name][0]:11.4f}" for name in METHODS)
            print(f"{trained_on:10g}  {apart:5g}  {ng_rate:5g}  {count:6}  {shown}")
            value, margin = found["auto"]
            assert value <= found["temperature"][0] + 0.003 + 3 * margin
            if trained_on != ng_rate and count >= 100:
                assert value < found["temperature"][0] / 1.4


def told_one_half(parts: int, seed: int = 0) -> tuple[float, float, int, int]:
    """Of parts of a line with 2 % NG whose P(NG) is for a folder with 50 %: share of NG among those told 0.45 to 0.55.

    Returns:
        The share before the correction and after it, and how many parts each is of.
    """
    random = np.random.default_rng(seed)
    logits, labels = validation(2000, 0.5, 2.0, 1.0, 0.5, random)
    calibration = fit_auto(logits, labels).calibration
    assert calibration.ng_rate == 0.5
    truth = random.random(parts) < 0.02
    line = calibration.probabilities(random.normal((2 * truth - 1) * 2.0, 2.0))
    before, after = ((told > 0.45) & (told < 0.55) for told in (line, at_prior(line, calibration.ng_rate, 0.02)))
    return float(truth[before].mean()), float(truth[after].mean()), int(before.sum()), int(after.sum())


def test_on_a_line_with_2_percent_ng_what_is_told_one_half_is_ng_in_one_half() -> None:
    before, after, many, few = told_one_half(400_000)
    assert before == pytest.approx(0.02, abs=3 * np.sqrt(0.02 * 0.98 / many) + 0.003)  # told 0.45 to 0.55
    assert after == pytest.approx(0.5, abs=3 * np.sqrt(0.25 / few) + 0.06)  # 2,000 images leave that much open


@pytest.mark.simulation
def test_the_line_over_many_validations() -> None:
    found = [told_one_half(400_000, seed) for seed in range(100)]
    before, after = (
        np.average([one[place] for one in found], weights=[one[place + 2] for one in found]) for place in (0, 1)
    )
    print(
        f"\nparts told 0.45 to 0.55 on a line with 2 % NG: NG in {before:.4f} before, {after:.4f} after the correction"
    )
    assert before == pytest.approx(0.02, abs=0.002)
    assert after == pytest.approx(0.5, abs=0.02)
