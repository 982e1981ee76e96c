"""Probabilities that mean what they say: fitted on validation, a strictly increasing map of logits.

The order of pictures stays as the network has it, so AUROC and the choice of parts at a given escape rate do too.
Sources: Platt 1999; Zadrozny and Elkan 2002; Niculescu-Mizil and Caruana 2005; Guo et al. 2017.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import expit, logit

Method = Literal["none", "temperature", "isotonic"]

TEMPERATURES = (0.05, 20.0)
ISOTONIC_NEEDS = (1000, 100)
"""Pictures in all, and of the rarer class; with fewer, steps are fitted to chance."""
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
        method: `none`, `temperature` (one knot, 0 to 0, and the slope 1/T) or `isotonic`.

    Example:
        >>> halved = Calibration((0.0,), (0.0,), slope=0.5, method="temperature")
        >>> halved.apply([-2.0, 0.0, 3.0]).tolist(), halved.temperature
        ([-1.0, 0.0, 1.5], 2.0)
    """

    logits: tuple[float, ...]
    calibrated: tuple[float, ...]
    slope: float
    method: Method

    def apply(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Calibrated logits, of the shape of `logits`."""
        raw = np.asarray(logits, dtype=np.float64)
        between = np.interp(raw, self.logits, self.calibrated)  # constant beyond the ends
        return np.asarray(between + self.slope * (raw - np.clip(raw, self.logits[0], self.logits[-1])))

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Calibrated P(NG) in [0, 1], of the shape of `logits`."""
        return np.asarray(expit(self.apply(logits)))

    @property
    def temperature(self) -> float | None:
        """What the logits are divided by; None unless that is the method."""
        return 1 / self.slope if self.method == "temperature" else None

    def as_plain(self) -> dict[str, Any]:
        """Lists, numbers and a string, for JSON, YAML or a checkpoint."""
        return {**asdict(self), "logits": list(self.logits), "calibrated": list(self.calibrated)}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "Calibration":
        """The calibration that `as_plain` described.

        Raises:
            ValueError: If a key is missing or unknown, a value of another type or not finite, or the map is not
                strictly increasing or not of its method.

        Example:
            >>> Calibration.from_plain(UNCALIBRATED.as_plain()) == UNCALIBRATED
            True
        """
        if not isinstance(plain, Mapping) or set(plain) != set(UNCALIBRATED.as_plain()):
            raise ValueError(f"expected {', '.join(UNCALIBRATED.as_plain())} of a calibration, got {plain!r}")
        knots, values = _numbers(plain, "logits"), _numbers(plain, "calibrated")
        (slope,) = _numbers({"slope": [plain["slope"]]}, "slope")
        found = Calibration(knots, values, slope, plain["method"])
        _check_increasing(found)
        _check_method(found)
        return found


UNCALIBRATED = Calibration((0.0,), (0.0,), 1.0, "none")
"""Leaves every logit as it is."""


def fit(method: Method, logits: ArrayLike, labels: ArrayLike) -> tuple[Calibration, str]:
    """Fit the calibration that was asked for, or the best that the pictures allow.

    Args:
        method: `none`, `temperature` or `isotonic`.
        logits: `(pictures,)`, of NG, of pictures that the network was not trained on.
        labels: `(pictures,)`, 0 GO and 1 NG.

    Returns:
        The calibration, and a sentence why it is of another method; empty if it is not.

    Raises:
        ValueError: If `method` is unknown, or logits and labels are not as above.

    Example:
        >>> fitted, why = fit("isotonic", [-2.0, -1.0, 1.0, -0.5], [0, 0, 1, 1])
        >>> fitted.method, why
        ('temperature', 'isotonic needs 1000 pictures and 100 of each class, here are 4 and 2: temperature instead')
    """
    if method not in get_args(Method):
        raise ValueError(f"method={method!r}: expected one of {', '.join(get_args(Method))}")
    raw, truth = _checked(logits, labels)
    rarer = int(np.bincount(truth, minlength=2).min())
    if method == "none":
        return UNCALIBRATED, ""
    if rarer == 0:
        return UNCALIBRATED, f"{method} needs pictures of both classes, here is one: not calibrated"
    if method == "isotonic" and (raw.size < ISOTONIC_NEEDS[0] or rarer < ISOTONIC_NEEDS[1]):
        why = (
            f"isotonic needs {ISOTONIC_NEEDS[0]} pictures and {ISOTONIC_NEEDS[1]} of each class, "
            f"here are {raw.size} and {rarer}: temperature instead"
        )
        return fit_temperature(raw, truth), why
    fitted = fit_temperature(raw, truth) if method == "temperature" else fit_isotonic(raw, truth)
    return fitted, "" if fitted.method == method else f"{method} finds no order to keep: {fitted.method} instead"


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
    targets = np.where(truth == 1, (ng + 1) / (ng + 2), 1 / (go + 2))

    def loss(slope: float) -> float:  # convex in the slope, 1/T
        return float(np.mean(np.logaddexp(0, slope * raw) - targets * slope * raw))

    bounds = (1 / TEMPERATURES[1], 1 / TEMPERATURES[0])
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return Calibration((0.0,), (0.0,), float(best.x), "temperature")


def fit_isotonic(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Follow the rate of NG wherever it rises with the logit (Zadrozny and Elkan 2002), made strictly increasing.

    Pool adjacent violators; smooth each block to (NG + 1/2) / (pictures + 1), so that none is certain; pool again
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
    return Calibration(knots, values, ends.slope, "isotonic")


Block = tuple[float, float, float]
"""Pictures, NG among them, and the sum of their logits."""


def _blocks(raw: NDArray[np.float64], truth: NDArray[np.int64]) -> list[Block]:
    """Pools of pictures, ascending, that isotonic regression gives one rate."""
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
        raise ValueError(f"expected a logit and a label for each picture, got shapes {raw.shape} and {truth.shape}")
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


def _check_increasing(found: Calibration) -> None:
    numbers = np.array([*found.logits, *found.calibrated, found.slope])
    if not found.logits or len(found.logits) != len(found.calibrated) or not np.isfinite(numbers).all():
        raise ValueError(f"expected a finite calibrated value for each knot of a calibration, got {found}")
    with np.errstate(all="ignore"):
        slopes = np.append(np.diff(found.calibrated) / np.diff(found.logits), found.slope)
    if not np.isfinite(slopes).all() or slopes.min() <= 0 or (np.diff(found.logits) <= 0).any():
        raise ValueError(f"expected a calibration that is strictly increasing, got {found}")


def _check_method(found: Calibration) -> None:
    as_told = {
        "none": found == UNCALIBRATED,
        "temperature": (found.logits, found.calibrated) == ((0.0,), (0.0,)),
        "isotonic": len(found.logits) > 1,
    }
    if not isinstance(found.method, str) or not as_told.get(found.method, False):
        raise ValueError(f"expected a calibration of its method, one of {', '.join(as_told)}, got {found}")
