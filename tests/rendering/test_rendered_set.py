from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fancnn.fans.defects import DEFECTS
from fancnn.rendering.rendered_set import planned_kinds


@given(count=st.integers(1, 400), seed=st.integers(0, 2**40), ng_fraction=st.floats(0, 1))
def test_the_defects_are_as_many_as_asked_for_balanced_and_the_same_again(
    count: int, seed: int, ng_fraction: float
) -> None:
    kinds = planned_kinds(count, seed, ng_fraction, DEFECTS)
    planned = Counter(kinds)
    good = planned.pop(None, 0)
    assert count - good == round(count * ng_fraction)
    numbers = [planned[kind] for kind in DEFECTS]
    assert sum(numbers) == count - good
    assert max(numbers) - min(numbers) <= 1
    assert planned_kinds(count, seed, ng_fraction, DEFECTS) == kinds


def test_good_and_defective_parts_are_interleaved() -> None:
    planned = planned_kinds(200, 0, 0.5, DEFECTS)
    assert 30 < sum(kind is None for kind in planned[:100]) < 70
