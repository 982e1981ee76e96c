"""Probabilities that mean what they say: fitted on validation, a strictly increasing map of logits.

The order of images stays as the network has it, so AUROC and the choice of parts at a given escape rate do too.

A probability is for parts mixed as the images are that it was fitted on: the share of NG among them is kept with the
calibration, and `fancnn.metrics.prior_shift` says what a probability means where that share is another.

Which method is needed, `auto` decides on those images: a temperature leaves the logit 0 at 0, and a training that was
balanced (`pos_weight`, a sampler) put it where GO and NG are as many. So an intercept is fitted where it makes the
labels so much more probable that BIC pays for it: twice the gain of the log likelihood is above the log of the number
of images (Schwarz 1978). `tests/simulations/test_calibrations.py` compares, with 24 to 500 images and ideal logits:
where none is needed the error is that of a temperature, and where one is, from 100 images on that of the intercept. One
that is always fitted makes small validations worse for nothing, and so does, more often, a test less strict than BIC.

Sources: Platt 1999; Zadrozny and Elkan 2002; Niculescu-Mizil and Caruana 2005; Guo et al. 2017.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, isotonic_regression, minimize_scalar
from scipy.special import expit, logit

from fancnn.plurals import plural

Method = Literal["none", "temperature", "platt", "isotonic"]
Choice = Literal["auto", "none", "temperature", "platt", "isotonic"]

TEMPERATURES = (0.05, 20.0)
STEEPNESS = (1 / TEMPERATURES[1], 1 / TEMPERATURES[0])  # of a calibrated logit over the network's
ISOTONIC_NEEDS = (1000, 100)
"""Images in all, and of the rarer class; with fewer, steps are fitted to chance."""
SLOPES = (1e-4, 1e9)
"""Knots that rise less or more steeply are pooled: a flatter step says nothing, and float64 could lose the order."""


@dataclass(frozen=True)
class Calibration:
    """A strictly increasing, piecewise linear map from the network's logit to a calibrated logit.

    Plain data, to be kept in a checkpoint or a file. Strictly increasing in float64: logits that differ by rounding
    alone may become equal, and never change places.

    Args:
        logits: Where the knots are, strictly increasing.
        calibrated: What they become, strictly increasing.
        slope: Of the map below the first knot and above the last, positive.
        method: `none`, `temperature` (one knot, 0 to 0, and the slope 1/T), `platt` (one knot, 0 to the intercept) or
            `isotonic`.
        ng_rate: Share of NG among the images that it was fitted on, in (0, 1): the mix of parts that a probability is
            for. None where that is not known, as in files of before, or nothing was fitted.

    Example:
        >>> halved = Calibration((0.0,), (0.0,), slope=0.5, method="temperature")
        >>> halved.apply([-2.0, 0.0, 3.0]).tolist(), halved.temperature
        ([-1.0, 0.0, 1.5], 2.0)
    """

    logits: tuple[float, ...]
    calibrated: tuple[float, ...]
    slope: float
    method: Method
    ng_rate: float | None = None

    def apply(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return the calibrated logits, of the shape of `logits`."""
        raw = np.asarray(logits, dtype=np.float64)
        between = np.interp(raw, self.logits, self.calibrated)  # constant beyond the ends
        return np.asarray(between + self.slope * (raw - np.clip(raw, self.logits[0], self.logits[-1])))

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return the calibrated P(NG) in [0, 1], of the shape of `logits`."""
        return np.asarray(expit(self.apply(logits)))

    @property
    def temperature(self) -> float | None:
        """Return what the logits are divided by; None unless that is the method."""
        return 1 / self.slope if self.method == "temperature" else None

    @property
    def intercept(self) -> float | None:
        """Return what a logit of 0 becomes; None unless the method is `platt`."""
        return self.calibrated[0] if self.method == "platt" else None

    def in_words(self) -> str:
        """Return the method and its numbers, for a console or a report.

        Example:
            >>> Calibration((0.0,), (-2.5,), 0.8, "platt").in_words(), UNCALIBRATED.in_words()
            ('platt: slope 0.8, intercept -2.5', 'none')
        """
        if self.temperature is not None:
            return f"temperature {self.temperature:.3g}"
        return f"platt: slope {self.slope:.3g}, intercept {self.intercept:.3g}" if self.intercept else self.method

    def to_dict(self) -> dict[str, Any]:
        """Return lists, numbers and a string, for JSON, YAML or a checkpoint."""
        return {**asdict(self), "logits": list(self.logits), "calibrated": list(self.calibrated)}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that `to_dict` described.

        Raises:
            ValueError: If a key is missing or unknown, a value of another type or not finite, or the map is not
                strictly increasing or not of its method.

        Example:
            >>> Calibration.from_dict(UNCALIBRATED.to_dict()) == UNCALIBRATED
            True
        """
        needed = [key for key in UNCALIBRATED.to_dict() if key != "ng_rate"]  # which files of before do not have
        if not isinstance(plain, Mapping) or set(plain) - {"ng_rate"} != set(needed):
            raise ValueError(f"expected {', '.join(needed)} of a calibration, got {plain!r}")
        knots, values = _numbers(plain, "logits"), _numbers(plain, "calibrated")
        (slope,) = _numbers({"slope": [plain["slope"]]}, "slope")
        calibration = Calibration(knots, values, slope, plain["method"], plain.get("ng_rate"))
        _validate_rate(calibration)
        _validate_increasing(calibration)
        _validate_method(calibration)
        return calibration


UNCALIBRATED = Calibration((0.0,), (0.0,), 1.0, "none")
"""Leaves every logit as it is."""


@dataclass(frozen=True)
class Fitted:
    """A calibration, and sentences on how it came to be.

    Attributes:
        calibration: With the share of NG among the images that it was fitted on.
        reason: What `auto` chose and why; empty where a method was asked for by name.
        warning: Why it is of another method than was asked for; empty if it is not.
    """

    calibration: Calibration
    reason: str = ""
    warning: str = ""


def fit(method: Choice, logits: ArrayLike, labels: ArrayLike) -> Fitted:
    """Fit the calibration that was asked for, or the best that the images allow.

    Args:
        method: `none`, `temperature`, `platt`, `isotonic`, or `auto`: a temperature, or Platt's intercept besides where
            the images call for it.
        logits: `(images,)`, of NG, of images that the network was not trained on.
        labels: `(images,)`, 0 GO and 1 NG.

    Returns:
        The calibration, what `auto` chose and why, and why it is of another method than was asked for.

    Raises:
        ValueError: If `method` is unknown, or logits and labels are not as above.

    Example:
        >>> fitted = fit("isotonic", [-2.0, -1.0, 1.0, -0.5], [0, 0, 1, 1])
        >>> fitted.calibration.method, fitted.warning
        ('temperature', 'isotonic needs 1000 images and 100 of each class, here are 4 and 2: temperature instead')
    """
    if method not in get_args(Choice):
        raise ValueError(f"method={method!r}: expected one of {', '.join(get_args(Choice))}")
    raw, truth = _checked(logits, labels)
    rarer = int(np.bincount(truth, minlength=2).min())
    if method == "none":
        return Fitted(UNCALIBRATED)
    if rarer == 0:
        return Fitted(UNCALIBRATED, warning=f"{method} needs images of both classes, here is one: not calibrated")
    if method == "auto":
        return fit_auto(raw, truth)
    if method == "platt":
        return Fitted(fit_platt(raw, truth))
    if method == "isotonic" and (raw.size < ISOTONIC_NEEDS[0] or rarer < ISOTONIC_NEEDS[1]):
        why = (
            f"isotonic needs {ISOTONIC_NEEDS[0]} images and {ISOTONIC_NEEDS[1]} of each class, "
            f"here are {raw.size} and {rarer}: "
        )
        instead_of = fit_auto(raw, truth)
        return replace(instead_of, warning=f"{why}{instead_of.calibration.method} instead")
    if method == "temperature":
        return _temperature_alone(raw, truth)
    fitted = fit_isotonic(raw, truth)
    instead = f"{method} finds no order to keep: {fitted.method} instead"
    return Fitted(fitted, warning="" if fitted.method == method else instead)


def _temperature_alone(raw: NDArray[np.float64], truth: NDArray[np.int64]) -> Fitted:
    """Fit a temperature that was asked for by name.

    Where it leaves P(NG) too high or too low, no mix of parts is claimed for it, and the warning says so.
    """
    fitted = fit_temperature(raw, truth)
    if fit_auto(raw, truth).calibration.method != "platt":
        return Fitted(fitted)
    warning = (
        "a temperature leaves P(NG) too high or too low throughout, as after a balanced training: it is for no mix of "
        "parts that could be named. calibration=auto or platt mends that"
    )
    return Fitted(replace(fitted, ng_rate=None), warning=warning)


def fit_auto(logits: ArrayLike, labels: ArrayLike) -> Fitted:
    """Fit a temperature, or Platt's slope and intercept where BIC says that the intercept is needed.

    Of the likelihoods of Platt's smoothed targets: those of the labels themselves are without bound where the classes
    are apart.

    Raises:
        ValueError: As `fit_temperature`.

    Example:
        >>> rare = [0] * 90 + [1] * 10
        >>> fitted = fit_auto([-1.0, 1.0] * 45 + [1.0] * 10, rare)
        >>> fitted.calibration.method, fitted.reason[:60]
        ('platt', 'platt, since an intercept is needed: it raises twice the log')
    """
    raw, truth = _checked(logits, labels)
    simple = fit_temperature(raw, truth)
    if min(np.bincount(truth, minlength=2)) == 0:
        return Fitted(simple)
    full = fit_platt(raw, truth)
    gain = 2 * (_loss(raw, truth, simple) - _loss(raw, truth, full))
    needed = float(np.log(raw.size))
    by = f"twice the log likelihood of {plural(raw.size, 'image')} by {gain:.3g}"
    if gain > needed:
        why = "the network's own P(NG) is too high or too low throughout, as after a balanced training"
        reason = f"platt, since an intercept is needed: it raises {by}, above {needed:.3g} (BIC); {why}"
        return Fitted(full, reason)
    return Fitted(
        simple, f"{simple.method}, since an intercept is not needed: it raises {by}, {needed:.3g} (BIC) or less"
    )


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Divide the logits by the temperature that makes the labels most probable (Guo et al. 2017).

    Against Platt's smoothed targets, (NG + 1) / (NG + 2) and 1 / (GO + 2), so that separable classes do not end in
    certainty; T in [0.05, 20]. `UNCALIBRATED` where nothing can be learnt: a class is missing, or all logits are 0.

    Raises:
        ValueError: If logits are not finite, labels not 0 or 1, or their numbers differ.

    Example:
        >>> fit_temperature([-4.0, -4.0, 4.0, 4.0], [0, 1, 1, 0]).temperature > 10  # right half of the time, and sure
        True
    """
    raw, truth = _checked(logits, labels)
    go, ng = np.bincount(truth, minlength=2)
    if min(go, ng) == 0 or not raw.any():
        return UNCALIBRATED
    targets = _targets(truth)

    def loss(slope: float) -> float:  # convex in the slope, 1/T
        return float(np.mean(np.logaddexp(0, slope * raw) - targets * slope * raw))

    best = minimize_scalar(loss, bounds=STEEPNESS, method="bounded", options={"xatol": 1e-8})
    return Calibration((0.0,), (0.0,), float(best.x), "temperature", _ng_rate(truth))


def fit_platt(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Fit the slope and the intercept that make the labels most probable (Platt 1999), the slope as in `TEMPERATURES`.

    Against his smoothed targets, as `fit_temperature`. Where all logits are one number, no slope can be learnt: it
    stays 1, and the intercept alone says how many are NG. `UNCALIBRATED` where a class is missing.

    Raises:
        ValueError: As `fit_temperature`.

    Example:
        >>> fitted = fit_platt([-2.0, 0.0, 2.0, 0.0] * 100, [0, 0, 1, 0] * 100)
        >>> fitted.method, fitted.intercept < -2, fitted.ng_rate
        ('platt', True, 0.25)
    """
    raw, truth = _checked(logits, labels)
    if min(np.bincount(truth, minlength=2)) == 0:
        return UNCALIBRATED
    targets = _targets(truth)

    def loss(slope: float) -> float:  # of the best intercept: convex in the slope, as the loss is in both
        scores = slope * raw + _intercept(slope * raw, targets)
        return float(np.mean(np.logaddexp(0, scores) - targets * scores))

    slope = 1.0
    if raw.min() < raw.max():
        slope = float(minimize_scalar(loss, bounds=STEEPNESS, method="bounded", options={"xatol": 1e-8}).x)
    return Calibration((0.0,), (_intercept(slope * raw, targets),), slope, "platt", _ng_rate(truth))


def _intercept(scores: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Return what, added to all scores, makes their mean probability that of the targets: where the loss is least."""
    middle = float(logit(targets.mean()))
    low, high = middle - float(scores.max()), middle - float(scores.min())
    if high - low < 1e-12:
        return middle - float(scores.mean())
    margin = 1e-9 * max(1.0, abs(low), abs(high))  # rounding could put the root just outside
    return float(brentq(lambda added: float(np.mean(expit(scores + added) - targets)), low - margin, high + margin))


def _targets(truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Platt's smoothed labels: as if one more image of each class had been seen on either side."""
    go, ng = np.bincount(truth, minlength=2)
    return np.asarray(np.where(truth == 1, (ng + 1) / (ng + 2), 1 / (go + 2)))


def _loss(raw: NDArray[np.float64], truth: NDArray[np.int64], calibration: Calibration) -> float:
    """Return the summed cross-entropy against Platt's targets."""
    scores = calibration.apply(raw)
    return float(np.sum(np.logaddexp(0, scores) - _targets(truth) * scores))


def _ng_rate(truth: NDArray[np.int64]) -> float:
    return float(np.mean(truth))


def fit_isotonic(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Follow the rate of NG wherever it rises with the logit (Zadrozny and Elkan 2002), made strictly increasing.

    Pool adjacent violators; smooth each block to (NG + 1/2) / (images + 1), so that none is certain; pool again
    until the blocks rise; join their middles by lines, and go on beyond the ends as `fit_temperature` does. That
    fit is also the answer where fewer than two blocks remain.

    Raises:
        ValueError: As `fit_temperature`.

    Example:
        >>> fit_isotonic([-1.0, 0.0, 1.0] * 100, [0, 0, 1] * 100).logits
        (-0.5, 1.0)
    """
    raw, truth = _checked(logits, labels)
    ends = fit_temperature(raw, truth)
    blocks = _rising(_blocks(raw, truth)) if ends.method != "none" else []
    if len(blocks) < 2:
        return ends
    knots, values = zip(*map(_knot, blocks), strict=True)
    return Calibration(knots, values, ends.slope, "isotonic", ends.ng_rate)


Block = tuple[float, float, float]
"""Images, NG among them, and the sum of their logits."""


def _blocks(raw: NDArray[np.float64], truth: NDArray[np.int64]) -> list[Block]:
    """Return pools of images, ascending, that isotonic regression gives one rate."""
    values, place, counts = np.unique(raw, return_inverse=True, return_counts=True)
    ng = np.bincount(place, weights=truth)
    starts = isotonic_regression(ng / counts, weights=counts).blocks[:-1]
    sums = (np.add.reduceat(column, starts).tolist() for column in (counts, ng, counts * values))
    return list(zip(*sums, strict=True))


def _rising(blocks: list[Block]) -> list[Block]:
    """Pool neighbours until every knot rises from the one before, neither too flat nor too steep."""
    kept: list[Block] = []
    for block in blocks:
        while kept and not _rises(_knot(kept[-1]), _knot(block)):
            before = kept.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        kept.append(block)
    return kept


def _knot(block: Block) -> tuple[float, float]:
    count, ng, total = block
    return total / count, float(logit((ng + 0.5) / (count + 1)))


def _rises(first: tuple[float, float], second: tuple[float, float]) -> bool:
    run, rise = second[0] - first[0], second[1] - first[1]
    return run > 0 and SLOPES[0] * run <= rise <= SLOPES[1] * run


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    raw, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if raw.ndim != 1 or raw.shape != truth.shape:
        raise ValueError(f"expected a logit and a label for each image, got shapes {raw.shape} and {truth.shape}")
    if not np.isfinite(raw).all():
        raise ValueError("expected finite logits, got NaN or infinity")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("expected labels 0 (GO) and 1 (NG), got others")
    return raw, truth.astype(np.int64)


def _numbers(plain: Mapping[str, Any], key: str) -> tuple[float, ...]:
    values = plain[key]
    if not isinstance(values, list | tuple) or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{key}={values!r} of a calibration: expected numbers")
    return tuple(float(value) for value in values)


def _validate_increasing(calibration: Calibration) -> None:
    numbers = np.array([*calibration.logits, *calibration.calibrated, calibration.slope])
    if (
        not calibration.logits
        or len(calibration.logits) != len(calibration.calibrated)
        or not np.isfinite(numbers).all()
    ):
        raise ValueError(f"expected a finite calibrated value for each knot of a calibration, got {calibration}")
    with np.errstate(all="ignore"):
        slopes = np.append(np.diff(calibration.calibrated) / np.diff(calibration.logits), calibration.slope)
    if not np.isfinite(slopes).all() or slopes.min() <= 0 or (np.diff(calibration.logits) <= 0).any():
        raise ValueError(f"expected a calibration that is strictly increasing, got {calibration}")


def _validate_rate(calibration: Calibration) -> None:
    rate = calibration.ng_rate
    if rate is not None and not (type(rate) is float and 0 < rate < 1):
        raise ValueError(f"ng_rate={rate!r} of a calibration: expected a share above 0 and below 1, or nothing")


def _validate_method(calibration: Calibration) -> None:
    is_consistent = {
        "none": replace(calibration, ng_rate=None) == UNCALIBRATED,
        "temperature": (calibration.logits, calibration.calibrated) == ((0.0,), (0.0,)),
        "platt": calibration.logits == (0.0,),
        "isotonic": len(calibration.logits) > 1,
    }
    if not isinstance(calibration.method, str) or not is_consistent.get(calibration.method, False):
        raise ValueError(f"expected a calibration of its method, one of {', '.join(is_consistent)}, got {calibration}")
