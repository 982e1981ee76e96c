"""Rank correlations against their definitions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.metrics.rank_agreement import Agreement, agreement

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=12)


def mean_ranks(values: list[int]) -> np.ndarray:
    return np.array([sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values])


@given(pairs=PAIRS)
def test_they_are_what_their_definitions_say(pairs: list[tuple[int, int]]) -> None:
    one, other = map(list, zip(*pairs, strict=True))
    found = agreement(one, other)
    if len(set(one)) < 2 or len(set(other)) < 2:
        assert found == Agreement(None, None)
        return
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in combinations(pairs, 2)]
    untied = [sum(sign[side] != 0 for sign in signs) for side in (0, 1)]
    assert found.kendall == pytest.approx(sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]))
    assert found.spearman == pytest.approx(np.corrcoef(mean_ranks(one), mean_ranks(other))[0, 1])


def test_one_order_and_its_reverse() -> None:
    assert agreement([1, 2, 3, 9], [1, 4, 9, 10]) == Agreement(1.0, 1.0)
    assert agreement([1, 2, 3, 9], [4, 3, 2, 1]) == Agreement(-1.0, -1.0)
    with pytest.raises(ValueError, match="expected as many values twice, got 2 and 1"):
        agreement([1, 2], [1])
