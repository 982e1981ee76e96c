"""What `compare` promises, kept over many draws: the gate, McNemar's test by group, intervals of differences.

`python -m pytest -n0 -s -m simulation tests/simulations/test_comparing_two_models.py` draws thousands and prints the
numbers, those of the methods of before beside them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from fancnn.metrics.bootstrap import bootstrap_intervals
from fancnn.metrics.intervals import Interval
from fancnn.metrics.paired_differences import Difference, auroc_difference, rate_differences
from fancnn.metrics.replacement import NewMistakes, bound_in_groups, new_mistakes, verdict_on
from fancnn.metrics.score_differences import mcnemar
from fancnn.metrics.scores import auroc

Flags = NDArray[np.bool_]
NO_OVERKILLS = NewMistakes(0, 10_000, 10_000, 0.0003, 0.95, 0.02, True)


def most(rate: float, draws: int) -> float:
    """Share of draws that a true `rate` exceeds in one of 100,000 simulations."""
    return float(stats.binom.ppf(1 - 1e-5, draws, rate)) / draws


def least(rate: float, draws: int) -> float:
    return 1 - most(1 - rate, draws)


def correlated_flags(
    rng: np.random.Generator, rate: float, correlation: float, groups: int, size: int
) -> NDArray[np.bool_]:
    """`(groups, size)` flags of mean `rate`; each group has a rate of its own (beta-binomial)."""
    if not correlation:
        return rng.random((groups, size)) < rate
    total = (1 - correlation) / correlation
    return rng.random((groups, size)) < rng.beta(rate * total, (1 - rate) * total, (groups, 1))


def names(groups: int, size: int) -> list[str]:
    return [f"lot {number}" for number in range(groups) for _ in range(size)]


# --- the gate


def passed(rng: np.random.Generator, draws: int, parts: int, rate: float, margin: float | None) -> float:
    """Share of draws in which a model with `rate` new escapes passes."""
    counts = np.bincount(rng.binomial(parts, rate, draws), minlength=parts + 1)
    verdicts = [
        verdict_on(
            new_mistakes([np.arange(parts) < count], margin=margin)[0],
            NO_OVERKILLS,
            overkills_gone=0,
            excluded=0,
            trained_on=0,
        )
        for count in np.flatnonzero(counts)
    ]
    return (
        sum(
            int(counts[count])
            for count, verdict in zip(np.flatnonzero(counts), verdicts, strict=True)
            if verdict == "passes"
        )
        / draws
    )


@pytest.mark.parametrize("parts", [20, 149, 400, 1000])
def test_a_model_with_as_many_new_escapes_as_the_margin_passes_in_five_of_a_hundred(parts: int) -> None:
    draws = 20_000
    rng = np.random.default_rng(parts)
    share = passed(rng, draws, parts, 0.02, 0.02)
    seen = passed(rng, draws, parts, 0.02, None)
    print(f"gate, {parts} NG parts, 2 % new escapes: none seen {seen:.3f}, passes new_escape_rate=0.02 {share:.4f}")
    assert share <= most(0.05, draws)
    if parts == 20:
        assert seen > 0.6, "what was called a pass before"


def several_passed(rng: np.random.Generator, draws: int, models: int) -> float:
    """Share of draws in which at least one of several models with 2 % new escapes passes, 300 NG parts."""
    wrong = 0
    for counts in rng.binomial(300, 0.02, (draws, models)):
        found = new_mistakes([np.arange(300) < count for count in counts], margin=0.02)
        wrong += any(item.within for item in found)
    return wrong / draws


@pytest.mark.parametrize("models", [2, 8])
def test_the_best_of_several_models_passes_in_five_of_a_hundred(models: int) -> None:
    draws = 500
    rng = np.random.default_rng(models)
    share = several_passed(rng, draws, models)
    alone = 1 - (1 - passed(rng, 20_000, 300, 0.02, 0.02)) ** models
    print(f"gate, best of {models} models with 2 % new escapes: each by itself {alone:.3f}, Holm {share:.3f}")
    assert share <= most(0.05, draws)


@dataclass(frozen=True)
class Lots:
    """How parts come in groups."""

    groups: int
    sizes: Callable[[np.random.Generator, int], NDArray[np.int64]]
    correlation: float
    rate: float
    title: str


def _ten(rng: np.random.Generator, groups: int) -> NDArray[np.int64]:
    return np.full(groups, 10)


def _geometric(rng: np.random.Generator, groups: int) -> NDArray[np.int64]:
    return rng.geometric(0.2, groups)


LOTS = [
    Lots(groups, sizes, correlation, rate, f"{groups} lots, {title}, correlation {correlation}, {rate:.0%}")
    for groups in (20, 60)
    for sizes, title in ((_ten, "of 10"), (_geometric, "geometric"))
    for correlation in (0.3, 0.9)
    for rate in (0.02, 0.1)
]


def bound_broken(rng: np.random.Generator, lots: Lots, draws: int) -> tuple[float, float]:
    """Share of draws in which the rate of parts is above the bound: groups kept together, and by part."""
    broken, by_part = 0, 0
    for _ in range(draws):
        sizes = lots.sizes(rng, lots.groups)
        flags = correlated_flags(rng, lots.rate, lots.correlation, lots.groups, int(sizes.max()))
        kept = np.concatenate([row[:size] for row, size in zip(flags, sizes, strict=True)])
        of_part = [f"lot {number}" for number, size in enumerate(sizes) for _ in range(size)]
        broken += bound_in_groups(kept, of_part) < lots.rate
        by_part += bound_in_groups(kept) < lots.rate
    return broken / draws, by_part / draws


def test_the_bound_of_parts_in_lots_holds() -> None:
    draws = 60
    rng = np.random.default_rng(1)
    lots = LOTS[3]
    broken, by_part = bound_broken(rng, lots, draws)
    assert broken <= most(0.05, draws)
    assert by_part > most(0.05, draws), "by part it does not"


@pytest.mark.simulation
@pytest.mark.parametrize("lots", LOTS, ids=lambda lots: lots.title)
def test_the_bound_of_parts_in_lots_holds_everywhere(lots: Lots) -> None:
    draws = 300
    broken, by_part = bound_broken(np.random.default_rng(2), lots, draws)
    print(f"bound, {lots.title}: by part broken {by_part:.3f}, groups kept together {broken:.3f} (0.05 allowed)")
    assert broken <= most(0.05, draws)


# --- McNemar's test in groups


def called_significant(
    rng: np.random.Generator, groups: int, correlation: float, error: float, draws: int
) -> tuple[float, float]:
    """Share of draws with p < 0.05 though both models are equally often wrong: by group, and by image."""
    by_group, by_image = 0, 0
    lots = names(groups, 10)
    for _ in range(draws):
        first, second = (~correlated_flags(rng, error, correlation, groups, 10).ravel() for _ in range(2))
        by_group += mcnemar(first, second, lots) < 0.05
        by_image += mcnemar(first, second) < 0.05
    return by_group / draws, by_image / draws


def test_mcnemar_in_groups_is_significant_in_five_of_a_hundred_under_the_null() -> None:
    draws = 250
    by_group, by_image = called_significant(np.random.default_rng(3), 40, 0.6, 0.1, draws)
    assert by_group <= most(0.05, draws)
    assert by_image > 0.15, "by image it is far more often"


@pytest.mark.simulation
@pytest.mark.parametrize("groups", [20, 60])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("error", [0.05, 0.3])
def test_mcnemar_in_groups_keeps_its_level_everywhere(groups: int, correlation: float, error: float) -> None:
    draws = 400
    by_group, by_image = called_significant(np.random.default_rng(4), groups, correlation, error, draws)
    print(
        f"McNemar under the null, {groups} lots of 10, correlation {correlation}, {error:.0%} wrong: "
        f"by image {by_image:.3f}, by group {by_group:.3f} (0.05 allowed)"
    )
    assert by_group <= most(0.05, draws)


# --- intervals of differences


@dataclass(frozen=True)
class Models:
    """Two models: normal scores of GO around 0, of NG around `first` and `second`; both err above the threshold 1.5.

    Attributes:
        ng: NG images.
        go: GO images.
        first: Mean score of NG parts of the first model, in standard deviations.
        second: Of the second.
        size: Images of a group.
        correlation: Of images of a group.
        missed: Share of NG parts that the second model alone sees nothing in.
        shared: Correlation of the two models' scores.
    """

    ng: int
    go: int
    first: float
    second: float
    size: int = 1
    correlation: float = 0.0
    missed: float = 0.0
    shared: float = 0.5
    threshold: float = 1.5

    def truth(self) -> dict[str, float]:
        miss = [float(ndtr(self.threshold - mean)) for mean in (self.first, self.second)]
        miss[1] = (1 - self.missed) * miss[1] + self.missed * float(ndtr(self.threshold))
        area = [float(ndtr(mean / np.sqrt(2))) for mean in (self.first, self.second)]
        area[1] = (1 - self.missed) * area[1] + self.missed / 2
        overkills = self.go * (1 - float(ndtr(self.threshold)))
        f1 = [2 * self.ng * (1 - of) / (self.ng * (2 - of) + overkills) for of in miss]
        accuracy = self.ng / (self.ng + self.go) * (miss[0] - miss[1])
        return {
            "auroc": area[1] - area[0],
            "accuracy": accuracy,
            "f1": f1[1] - f1[0],
            "escape_rate": miss[1] - miss[0],
            "overkill_rate": 0.0,
        }

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], list[NDArray[np.float64]], list[str]]:
        labels = np.repeat([1, 0], [self.ng, self.go])
        lots = np.concatenate([np.arange(self.ng) // self.size, -1 - np.arange(self.go) // self.size])
        _, lot = np.unique(lots, return_inverse=True)

        def noise() -> NDArray[np.float64]:
            of_lot = rng.normal(size=lot.max() + 1)[lot]
            return np.sqrt(self.correlation) * of_lot + np.sqrt(1 - self.correlation) * rng.normal(size=labels.size)

        hard = noise()
        scores = [
            np.sqrt(self.shared) * hard + np.sqrt(1 - self.shared) * noise() + mean * labels
            for mean in (self.first, self.second)
        ]
        unseen = (rng.random(lot.max() + 1) < self.missed)[lot] & (labels == 1)
        scores[1] = scores[1] - self.second * unseen
        return labels, scores, [f"lot {number}" for number in lot]


CASES = {
    "near perfect, 250 + 250": Models(250, 250, 4.0, 4.0),
    "near perfect, one better, 250 + 250": Models(250, 250, 4.0, 3.5),
    "5 NG parts": Models(5, 200, 3.0, 3.0),
    "5 NG parts, one better": Models(5, 200, 3.0, 1.5),
    "5 NG parts, one in ten not seen": Models(5, 200, 4.0, 4.0, missed=0.1),
    "moderate, 60 + 60": Models(60, 60, 1.5, 2.0),
    "moderate, 20 + 20": Models(20, 20, 1.5, 2.0),
    "alike, 100 + 100": Models(100, 100, 2.0, 2.2, shared=0.95),
    "one in a hundred not seen, 250 + 250": Models(250, 250, 4.0, 4.0, missed=0.01),
    "20 + 20 lots of 10": Models(200, 200, 2.0, 2.5, size=10, correlation=0.6),
    "5 + 5 lots of 10": Models(50, 50, 2.0, 2.5, size=10, correlation=0.9),
}


def intervals_of(
    labels: NDArray[np.int64], scores: Sequence[NDArray[np.float64]], groups: Sequence[str] | None, threshold: float
) -> dict[str, Difference]:
    ranks = [2 * (of > threshold) for of in scores]
    return {
        "auroc": auroc_difference(labels, *scores, groups=groups),
        **rate_differences(labels, *ranks, groups=groups),
    }


def percentile_bootstrap(
    labels: NDArray[np.int64], scores: Sequence[NDArray[np.float64]], groups: Sequence[str] | None, threshold: float
) -> dict[str, Interval | None]:
    """The intervals of before."""

    def differences(sample: NDArray[np.intp]) -> dict[str, float | None]:
        truth = labels[sample] == 1
        areas = [auroc(labels[sample], of[sample]) for of in scores]
        called = [of[sample] > threshold for of in scores]
        f1 = [2 * np.sum(of & truth) / max(1, np.sum(of) + np.sum(truth)) for of in called]
        rates = [
            [
                np.mean(of == truth),
                np.mean(~of[truth]) if truth.any() else None,
                np.mean(of[~truth]) if not truth.all() else None,
            ]
            for of in called
        ]
        accuracy, escape, overkill = (
            None if second is None else second - first for first, second in zip(*rates, strict=True)
        )
        area = None if None in areas else areas[1] - areas[0]
        return {
            "auroc": area,
            "accuracy": accuracy,
            "f1": f1[1] - f1[0],
            "escape_rate": escape,
            "overkill_rate": overkill,
        }

    return bootstrap_intervals(differences, groups, labels.size, draws=200)


def covered(models: Models, draws: int, seed: int, *, before: bool) -> dict[str, float]:
    """Share of draws whose interval holds the true difference, by score."""
    rng, truth = np.random.default_rng(seed), models.truth()
    hits = dict.fromkeys(truth, 0)
    method = percentile_bootstrap if before else intervals_of
    for _ in range(draws):
        labels, scores, lots = models.draw(rng)
        found = method(labels, scores, lots if models.size > 1 else None, models.threshold)
        for name, item in found.items():
            interval = item.interval if isinstance(item, Difference) else item
            hits[name] += interval is not None and interval.low - 1e-12 <= truth[name] <= interval.high + 1e-12
    return {name: count / draws for name, count in hits.items()}


@pytest.mark.parametrize("case", ["5 NG parts, one in ten not seen", "moderate, 20 + 20", "5 + 5 lots of 10"])
def test_intervals_of_differences_cover(case: str) -> None:
    draws = 200
    for name, share in covered(CASES[case], draws, 5, before=False).items():
        assert share >= least(0.93, draws), name


@pytest.mark.simulation
@pytest.mark.parametrize("case", CASES)
def test_intervals_of_differences_cover_everywhere(case: str) -> None:
    draws, few = 1000, 60
    now, before = covered(CASES[case], draws, 6, before=False), covered(CASES[case], few, 6, before=True)
    shares = ", ".join(f"{name} {before[name]:.2f} to {now[name]:.3f}" for name in now)
    print(f"coverage at 95 %, {case}: {shares}")
    assert min(now.values()) >= least(0.93, draws)


@pytest.mark.slow
def test_simulated_scores_have_the_differences_that_they_are_held_against() -> None:
    """A simulation with a wrong truth would prove nothing: the mean of many draws comes to it."""
    for case, models in CASES.items():
        rng = np.random.default_rng(7)
        found = []
        for _ in range(60):
            labels, scores, _ = models.draw(rng)
            found.append(intervals_of(labels, scores, None, models.threshold))
        for name in ("auroc", "escape_rate", "overkill_rate", "accuracy"):
            values = np.array([item[name].value for item in found])
            spread = 4.5 * values.std() / np.sqrt(len(values)) + 2e-3
            assert abs(values.mean() - models.truth()[name]) <= spread, (case, name)
