"""How often certificates and promised escape rates are broken, on lines whose true escape rate is known.

Each simulation counts how often a promise was false by the rule as it was once and as it is; the first shows that the
simulation finds the fault. The long version prints the table: `python tests/simulations/test_certificate_promises.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from fancnn.decisions.certificates import escapes_by_type
from fancnn.decisions.escape_claims import allowed_escapes, ng_evidence
from fancnn.decisions.lots import holds_by_lot
from fancnn.decisions.threshold_choice import threshold_for_escape_rate
from fancnn.errors import UserError
from fancnn.metrics.intervals import upper_bound
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Broken:
    """False promises among `draws`: by the rule as it was, and as it is, by group and by part."""

    draws: int
    before: int
    by_group: int
    by_part: int

    @property
    def most(self) -> float:
        """How many false promises the error allows, with the binomial margin of so many draws."""
        return float(stats.binom.ppf(0.999, self.draws, 1 - CONFIDENCE))


def rare_large_bad_lots(draws: int) -> Broken:
    """0.6 % of the line's lots have 40 NG parts, which all pass; the others have 1 or 2, which do not.

    A promise is a claim that is granted at 2 % on 300 lots, thresholds from elsewhere; false if the line's rate of the
    unit that its sentence names is above its bound.
    """
    random, asked, bad = np.random.default_rng(1), 0.02, 0.006
    true_of_parts = bad * 40 / (bad * 40 + (1 - bad) * 1.5)  # 13.9 %
    broken = np.zeros(3, int)
    for _ in range(draws):
        is_bad = random.random(300) < bad
        sizes = np.where(is_bad, 40, random.integers(1, 3, 300))
        escapes = np.where(is_bad, sizes, 0)
        bound = upper_bound(int(is_bad.sum()), 300, CONFIDENCE)
        broken[0] += bound <= asked and bound < true_of_parts  # lots were counted, and parts were spoken of
        broken[1] += bound <= asked and bound < bad and escapes.sum() <= asked * sizes.sum()
        # any bound by part, granted or not: it is false if the claim holds at the true rate
        broken[2] += holds_by_lot(sizes, escapes, true_of_parts, 40, CONFIDENCE)
    return Broken(draws, *broken.tolist())


def alike_in_lots(draws: int, lots: int = 60, size: int = 10, correlation: float = 0.9) -> Broken:
    """Promise 8 % where parts of a lot are alike: a part has the score of its lot, or with a small chance its own.

    All scores are uniform, so that the true rate of parts at a threshold is the threshold; at each threshold the
    intraclass correlation of what passes is `correlation`.
    """
    random, asked, follows = np.random.default_rng(2), 0.08, np.sqrt(correlation)
    groups = [str(lot) for lot in range(lots) for _ in range(size)]
    everywhere = np.linspace(0, 1, 5001)  # GO images leave no room to be cautious by going halfway
    allowed, broken = allowed_escapes(lots * size, asked, CONFIDENCE), np.zeros(3, int)
    for _ in range(draws):
        own, common = random.random((lots, size)), random.random((lots, 1))
        scores = np.where(random.random((lots, size)) < follows, common, own).ravel()
        broken[0] += np.sort(scores)[allowed] > asked  # parts were counted as independent

        def promised(scores: np.ndarray = scores, **unit: object) -> float:
            try:
                given = {"groups": groups, "go_probabilities": everywhere, **unit}
                return threshold_for_escape_rate(scores, asked, CONFIDENCE, **given).thresholds.lower
            except UserError:
                return 0.0

        place = promised(unit="group")
        stays = (1 - place) * (follows + (1 - follows) * (1 - place)) ** size
        stays += place * ((1 - follows) * (1 - place)) ** size
        broken[1] += 1 - stays > asked
        broken[2] += promised(unit="part", largest_group=size) > asked
    return Broken(draws, *broken.tolist())


def independent_parts(draws: int) -> Broken:
    """A searched threshold on 400 independent parts promises 2 %; by part alone, before and now."""
    random, broken = np.random.default_rng(3), 0
    everywhere = np.linspace(0, 1, 5001)
    for _ in range(draws):
        choice = threshold_for_escape_rate(random.random(400), 0.02, CONFIDENCE, go_probabilities=everywhere)
        broken += choice.thresholds.lower > 0.02
    return Broken(draws, broken, 0, broken)


def given_threshold_of_independent_parts(draws: int) -> Broken:
    """A threshold from elsewhere that passes 2 % of 700 independent parts: how often is less claimed?"""
    random, broken = np.random.default_rng(4), 0
    for _ in range(draws):
        broken += ng_evidence(random.random(700)).bound(0.02, CONFIDENCE) < 0.02
    return Broken(draws, broken, 0, broken)


def never_the_worst_of_its_lot(draws: int) -> Broken:
    """Chips pass in 20 % of 60 lots, and in each of these a dent passes by a lower score: is 20 % inside the bound?"""
    random, broken = np.random.default_rng(5), np.zeros(2, int)
    for _ in range(draws):
        bad = random.random(60) < 0.2
        chips, dents = np.where(bad, 0.2, 0.9), np.where(bad, 0.1, 0.95)
        rows = [
            Prediction(f"{lot}/{name}", float(scores[lot]), label=1, group=str(lot), defect_type=name)
            for name, scores in (("chip", chips), ("dent", dents))
            for lot in range(60)
        ]
        worst_chips = int(np.sum(~bad))  # once only the worst part of a lot was counted, by its type
        broken[0] += upper_bound(0, worst_chips, 1 - (1 - CONFIDENCE) / 2) < 0.2
        (chip,) = (item for item in escapes_by_type(rows, Thresholds.single(0.5)) if item.defect_type == "chip")
        broken[1] += chip.bound < 0.2
    return Broken(draws, int(broken[0]), int(broken[1]), 0)


Simulation = Callable[[int], Broken]
FAULTS: dict[Simulation, tuple[int, int]] = {
    rare_large_bad_lots: (400, 4000),
    alike_in_lots: (250, 4000),
    never_the_worst_of_its_lot: (100, 1000),
}
SOUND: dict[Simulation, tuple[int, int]] = {
    independent_parts: (1000, 20000),
    given_threshold_of_independent_parts: (2000, 20000),
}


def check(simulation: Simulation, draws: int) -> None:
    found = simulation(draws)
    assert found.by_group <= found.most
    assert found.by_part <= found.most
    if simulation in FAULTS:
        assert found.before > found.most, "the simulation does not find the fault"
    else:
        assert found.by_part >= stats.binom.ppf(0.001, draws, 0.5 * (1 - CONFIDENCE)), "nor is it empty caution"


@pytest.mark.slow
@pytest.mark.parametrize("simulation", [*FAULTS, *SOUND])
def test_promises_are_broken_no_more_often_than_said(simulation: Simulation) -> None:
    check(simulation, (FAULTS | SOUND)[simulation][0])


@pytest.mark.simulation
@pytest.mark.parametrize("simulation", [*FAULTS, *SOUND])
def test_promises_are_broken_no_more_often_than_said_in_many_draws(simulation: Simulation) -> None:
    check(simulation, (FAULTS | SOUND)[simulation][1])


def main() -> None:
    print(f"{'broken in':40} {'draws':>6} {'before':>8} {'by group':>9} {'by part':>8} {'allowed':>8}")
    for simulation, (_, draws) in (FAULTS | SOUND).items():
        found = simulation(draws)
        shares = [f"{count / draws:8.2%}" for count in (found.before, found.by_group, found.by_part)]
        print(f"{simulation.__name__:40} {draws:6} {' '.join(shares)} {1 - CONFIDENCE:8.2%}", flush=True)


if __name__ == "__main__":
    main()
