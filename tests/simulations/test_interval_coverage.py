"""How often the intervals of `metrics.json` cover the truth: `pytest -m simulation tests/simulations` draws thousands.

With `-s` the long version prints a line for each place: coverage and mean width of each score.

Models are binormal: NG parts score `apart` standard deviations above GO parts. Parts of a lot share a part of their
score, `alike` of its variance (the intraclass correlation of scores). The truth of each score is that of the whole
population, by numerical integration or from half a million parts.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binom

from fancnn.metrics.clusters import clustered_interval
from fancnn.metrics.score_registry import score, score_intervals
from fancnn.metrics.thresholds import Thresholds

ASKED = {"loss": 0.88}  # a mean without an upper limit: large losses that few units have may not be among those seen
OTHERS = 0.93
HALF = Thresholds.single(0.5)


@dataclass(frozen=True)
class Place:
    """Where coverage is looked at."""

    apart: float
    ng: int
    go: int
    lots: int = 0  # of each class; 0: independent parts
    alike: float = 0.0
    boldness: float = 1.0  # by how much logits are too large
    both: bool = False  # whether each lot has NG and GO parts

    def draw(self, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str] | None]:
        """Labels, probabilities and lots of one test."""
        labels = np.repeat([1, 0], [self.ng, self.go])
        own = generator.normal(size=labels.size)
        names = None
        if self.lots:
            lot = np.concatenate([np.arange(self.ng) % self.lots, np.arange(self.go) % self.lots])
            lot[self.ng :] += 0 if self.both else self.lots
            shared = generator.normal(size=lot.max() + 1)[lot]
            own = np.sqrt(self.alike) * shared + np.sqrt(1 - self.alike) * own
            names = [f"lot {number}" for number in lot]
        scores = own + self.apart * labels
        return labels, expit(self.boldness * self.apart * (scores - self.apart / 2)), names

    def truth(self) -> dict[str, float | None]:
        """Of the population: lots change who is alike, not the whole."""
        generator = np.random.default_rng(99)
        size = 400_000
        ng = round(size * self.ng / (self.ng + self.go))
        labels, chances, _ = Place(self.apart, ng, size - ng, boldness=self.boldness).draw(generator)
        return score(labels, chances, HALF)


def coverage(place: Place, draws: int, seed: int = 1) -> dict[str, tuple[float, float, int]]:
    """For each score: share of its intervals that cover, their mean width, and how many there were."""
    generator, truth = np.random.default_rng(seed), place.truth()
    inside: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(draws):
        labels, chances, names = place.draw(generator)
        for name, interval in score_intervals(labels, chances, HALF, names).by_score.items():
            value = truth[name]
            if interval is not None and value is not None:
                inside.setdefault(name, []).append(bool(interval.low <= value <= interval.high))
                widths.setdefault(name, []).append(interval.high - interval.low)
    return {name: (float(np.mean(of)), float(np.mean(widths[name])), len(of)) for name, of in inside.items()}


PLACES = {
    "near perfect, 250 and 250": Place(4.0, 250, 250),
    "plain, 100 and 100, d' 1": Place(1.0, 100, 100),
    "plain, 100 and 100, d' 2": Place(2.0, 100, 100),
    "few bad, 50 and 950, d' 1": Place(1.0, 50, 950),
    "few bad, 50 and 950, d' 2": Place(2.0, 50, 950),
    "few bad, 50 and 950, d' 3": Place(3.0, 50, 950),
    "very few bad, 10 and 500, d' 2": Place(2.0, 10, 500),
    "too bold, 250 and 250": Place(2.5, 250, 250, boldness=3.0),
    **{
        f"{lots} lots a class, alike {alike}": Place(2.0, 10 * lots, 10 * lots, lots, alike)
        for lots in (5, 10, 20)
        for alike in (0.3, 0.6, 0.9)
    },
    **{f"20 lots a class, near perfect, alike {alike}": Place(3.5, 200, 200, 20, alike) for alike in (0.3, 0.9)},
    **{f"20 lots of both, alike {alike}": Place(2.0, 100, 300, 20, alike, both=True) for alike in (0.3, 0.9)},
}

# where the intervals of before covered 0.57 to 0.91, and a plain place
SHORT = (
    "near perfect, 250 and 250",
    "few bad, 50 and 950, d' 2",
    "5 lots a class, alike 0.9",
    "20 lots a class, alike 0.9",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_intervals_cover_as_often_as_they_say(name: str) -> None:
    check(name, draws=150)


@pytest.mark.simulation
@pytest.mark.parametrize("name", PLACES)
def test_intervals_cover_as_often_as_they_say_in_many_draws(name: str) -> None:
    check(name, draws=2000)


def check(name: str, draws: int) -> None:
    """Coverage is not below what is asked for by more than chance explains, once in a thousand."""
    found = coverage(PLACES[name], draws)
    print(f"\n{name}: " + ", ".join(f"{of} {share:.3f} ({width:.3f})" for of, (share, width, _) in found.items()))
    for of, (share, _, stated) in found.items():
        assert stated == draws or of.startswith(("precision", "f1", "alone", "mcc")), of
        asked = ASKED.get(of, OTHERS)
        assert share * stated >= binom.ppf(0.001, stated, asked), f"{of}: {share:.3f} of {stated}, {asked} asked for"


LOTS = [
    (lots, alike, rate)
    for lots in (5, 10, 20, 50)
    for alike in (0.0, 0.1, 0.3, 0.6, 0.9)
    for rate in (0.5, 0.8, 0.9, 0.95, 0.98)
]


@pytest.mark.parametrize(("lots", "alike", "rate"), [(20, 0.3, 0.95), (20, 0.6, 0.9), (20, 0.9, 0.9), (5, 0.6, 0.8)])
def test_the_rate_of_parts_in_lots_is_covered(lots: int, alike: float, rate: float) -> None:
    check_rate(lots, alike, rate, draws=1000)


@pytest.mark.simulation
@pytest.mark.parametrize(("lots", "alike", "rate"), LOTS)
def test_the_rate_of_parts_in_lots_is_covered_in_many_draws(lots: int, alike: float, rate: float) -> None:
    check_rate(lots, alike, rate, draws=4000)


@pytest.mark.simulation
@pytest.mark.parametrize("alike", [0.1, 0.5, 0.9])
def test_the_rate_of_parts_in_lots_of_very_different_sizes_is_covered(alike: float) -> None:
    generator = np.random.default_rng(3)
    sizes = np.maximum(1, generator.lognormal(1.5, 1.2, (3000, 25))).astype(np.int64)
    check_draws(*beta_lots(generator, sizes, alike, 0.9), 0.9)


def check_rate(lots: int, alike: float, rate: float, draws: int) -> None:
    generator = np.random.default_rng(2)
    check_draws(*beta_lots(generator, np.full((draws, lots), 10), alike, rate), rate)


def beta_lots(
    generator: np.random.Generator, sizes: NDArray[np.int64], alike: float, rate: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hits and parts of lots whose rates are beta distributed, with the intraclass correlation `alike`."""
    if alike == 0:
        return generator.binomial(sizes, rate), sizes
    spread = (1 - alike) / alike
    return generator.binomial(sizes, generator.beta(rate * spread, (1 - rate) * spread, sizes.shape)), sizes


def check_draws(hits: NDArray[np.int64], sizes: NDArray[np.int64], rate: float) -> None:
    found = [clustered_interval(*pair) for pair in zip(hits, sizes, strict=True)]
    inside = [interval.low <= rate <= interval.high for interval in found if interval is not None]
    print(f"\ncovered {np.mean(inside):.3f}")
    assert len(inside) == len(hits)
    assert sum(inside) >= binom.ppf(0.001, len(hits), 0.95), f"{np.mean(inside):.3f}"
