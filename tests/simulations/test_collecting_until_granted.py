"""Collecting until the claim is granted: a look every 10 NG parts, parts added while it is refused.

`python -m pytest -n0 -m simulation tests/simulations/test_collecting_until_granted.py -s` prints the table of the long
version (20,000 draws of up to 5,000 parts).
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fancnn.decisions.escape_claims import allowed_escapes
from fancnn.decisions.sequential import log_e_value, upper_bound_sequential
from fancnn.metrics.intervals import upper_bound

ALPHA, STEP = 0.05, 10
JUST_ABOVE = 1 + 1e-6  # the claim is false, and nothing makes it harder to see


def escapes_at_looks(rate: float, draws: int, looks: int, seed: int) -> NDArray[np.int64]:
    """Escapes so far `(draws, looks)` of a model with this escape rate."""
    added = np.random.default_rng(seed).binomial(STEP, rate, (draws, looks))
    return np.cumsum(added, axis=1)


def falsely_granted(escapes: NDArray[np.int64], rate: float, *, sequential: bool) -> float:
    """Share of draws in which `escape rate <= rate` is granted at some look."""
    parts = STEP * np.arange(1, escapes.shape[1] + 1)
    if sequential:
        return float(np.mean(np.any(log_e_value(escapes, parts, rate) >= -np.log(ALPHA), axis=1)))
    allowed = [allowed_escapes(int(count), rate, 1 - ALPHA) for count in parts]
    return float(np.mean(np.any(escapes <= allowed, axis=1)))


def margin(draws: int) -> float:
    """The share of broken claims that a method which breaks 5 % stays below in 999 of 1,000 simulations."""
    return float(stats.binom.ppf(0.999, draws, ALPHA)) / draws


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.002, 0.01, 0.05, 0.3])
def test_a_claim_that_may_be_looked_at_any_time_is_kept(rate: float) -> None:
    escapes = escapes_at_looks(rate * JUST_ABOVE, 4000, 300, seed=1)
    assert falsely_granted(escapes, rate, sequential=True) <= margin(4000)


def test_the_plain_claim_is_broken_by_who_collects_until_it_is_granted() -> None:
    escapes = escapes_at_looks(0.01 * JUST_ABOVE, 4000, 300, seed=1)
    assert falsely_granted(escapes, 0.01, sequential=False) > 2 * ALPHA
    once = escapes[:, 29:30]  # one look, at 300 parts that were fixed before, keeps it
    assert np.mean(once <= allowed_escapes(300, 0.01, 1 - ALPHA)) <= margin(4000)


def test_grants_are_where_the_bounds_say() -> None:
    """The two shortcuts above are what `certify` computes."""
    for escapes, parts in ((0, 290), (0, 300), (0, 370), (0, 380), (2, 620), (2, 630), (2, 880), (2, 890)):
        assert (escapes <= allowed_escapes(parts, 0.01, 0.95)) == (upper_bound(escapes, parts) <= 0.01)
        proven = bool(log_e_value(escapes, parts, 0.01) >= -np.log(ALPHA))
        assert proven == (upper_bound_sequential(escapes, parts) <= 0.01)


@pytest.mark.simulation
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("above", [JUST_ABOVE, 1.1])
def test_a_claim_is_kept_over_hundreds_of_looks(rate: float, above: float) -> None:
    draws, looks = 20_000, 500
    escapes = escapes_at_looks(rate * above, draws, looks, seed=2)
    plain, sequential = (falsely_granted(escapes, rate, sequential=way) for way in (False, True))
    print(f"\nclaimed {rate:.3%}, true {rate * above:.4%}, {draws:,} draws, {looks} looks: ", end="")
    print(f"broken plain {plain:.2%}, sequential {sequential:.2%}, allowed {ALPHA:.0%}")
    assert sequential <= margin(draws)
