"""What counting looks is for: a claim on the best of many models, on the images that chose it.

Run all draws and print what they come to: `python -m pytest -n0 -s -m simulation tests/simulations/test_looks.py`.

Twenty models of equal worth score 1,000 NG and 500 GO images; their scores of one image agree as much as `agreement`
says. Each model gets the largest threshold for which 1 % can be promised, and the one is kept that rejects the fewest
good parts, as a person would. The normal distribution that the scores come from says what share of all NG parts passes
at that threshold: a grant is false if it is above 1 %.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from fancnn.decisions.certificates import certified
from fancnn.decisions.escape_claims import allowed_escapes
from fancnn.decisions.look_spending import spent_alpha
from fancnn.metrics.predictions import Prediction
from fancnn.runs.looks import Ledger, Question

MODELS, NG, GO, ALPHA, ASKED = 20, 1000, 500, 0.05, 0.01


def scores(random: np.random.Generator, agreement: float, images: int) -> NDArray[np.float64]:
    """Standard normal scores, `(models, images)`; those of an image have the correlation `agreement`."""
    common, own = random.standard_normal((1, images)), random.standard_normal((MODELS, images))
    return np.asarray(np.sqrt(agreement) * common + np.sqrt(1 - agreement) * own)


def false_grants(draws: int, seed: int, agreement: float) -> tuple[int, int]:
    """How many draws grant the best of the models falsely: at the full confidence, and at that of its look."""
    random, before, now = np.random.default_rng(seed), 0, 0
    most = allowed_escapes(NG, ASKED, 1 - ALPHA)
    of_look = [allowed_escapes(NG, ASKED, 1 - spent_alpha(ALPHA, number)) for number in range(1, MODELS + 1)]
    for _ in range(draws):
        ng, go = scores(random, agreement, NG), scores(random, agreement, GO) - 2.5
        lowest = np.sort(np.partition(ng, most, axis=1)[:, : most + 1], axis=1)
        best = int((go > lowest[:, most:]).sum(axis=1).argmin())
        before += ndtr(lowest[best, most]) > ASKED  # just below it `most` parts pass
        now += ndtr(lowest[best, of_look[best]]) > ASKED
    return int(before), int(now)


def collected_until_granted(draws: int, seed: int) -> tuple[int, int]:
    """The same for one model, asked again each time 100 images have come in, thirty times at most."""
    counts = np.arange(100, 3001, 100)
    escapes = np.random.default_rng(seed).binomial(100, ASKED * 1.0001, (draws, len(counts))).cumsum(axis=1)

    def granted(alphas: NDArray[np.float64]) -> int:
        bounds = stats.beta.ppf(1 - alphas, escapes + 1, counts - escapes)
        return int((bounds <= ASKED).any(axis=1).sum())

    spent = np.array([spent_alpha(ALPHA, number) for number in range(1, len(counts) + 1)])
    return granted(np.full(len(counts), ALPHA)), granted(spent)


def most_by_chance(draws: int) -> int:
    """What a rate of 5 % is above in one of 10,000 simulations."""
    return int(stats.binom.ppf(1 - 1e-4, draws, ALPHA))


def check_the_best(draws: int, seed: int, agreement: float) -> None:
    before, now = false_grants(draws, seed, agreement)
    print(f"\nbest of {MODELS}, agreement {agreement}: false in {before / draws:.1%} before, {now / draws:.1%} now")
    assert before > 0.25 * draws, "choosing costs nothing here: the simulation shows nothing"
    assert now <= most_by_chance(draws)


def check_collecting(draws: int, seed: int) -> None:
    before, now = collected_until_granted(draws, seed)
    print(f"\ncollected until granted: false in {before / draws:.1%} before, {now / draws:.1%} now")
    assert before > 0.08 * draws
    assert now <= most_by_chance(draws)


def test_the_best_of_twenty_models_is_granted_falsely_in_no_more_than_was_allowed() -> None:
    check_the_best(1000, seed=1, agreement=0.5)


def test_whoever_collects_until_it_is_granted_is_granted_falsely_in_no_more_than_was_allowed() -> None:
    check_collecting(5_000, seed=1)


@pytest.mark.simulation
@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.8])
def test_the_best_of_twenty_models_in_many_draws(agreement: float) -> None:
    check_the_best(20_000, seed=2, agreement=agreement)


@pytest.mark.simulation
def test_collecting_in_many_draws() -> None:
    check_collecting(50_000, seed=2)


def test_the_program_counts_and_grants_as_the_simulation_has_it(tmp_path: Path) -> None:
    """One draw by the ledger and `certified` themselves."""
    random, images = np.random.default_rng(3), np.arange(1, NG + 1, dtype=np.uint64)
    ledger, ng = Ledger(tmp_path), ndtr(scores(random, 0.5, NG))
    looks = [ledger.record(Question("train", f"{model}", f"scores {model}"), images) for model in range(MODELS)]
    assert [of.number for of in looks] == list(range(1, MODELS + 1))
    for model in (0, 3, 19):
        with ledger.asking(Question("certify", f"{model}", f"scores {model}", "1 %", ALPHA), images) as look:
            assert look.number == model + 1
        rows = [Prediction(f"{i}", float(p), label=1, split="test") for i, p in enumerate(ng[model])]
        for alpha in (ALPHA, spent_alpha(ALPHA, look.number)):
            found = certified(rows, ASKED, 1 - alpha)
            assert (found.granted, found.escapes) == (True, allowed_escapes(NG, ASKED, 1 - alpha))
