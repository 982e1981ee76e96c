from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fancnn.fans.dataset_plan import Order, kinds
from fancnn.fans.defects import DEFECTS

orders = st.builds(
    Order,
    count=st.integers(1, 400),
    seed=st.integers(0, 2**40),
    ng_fraction=st.floats(0, 1),
    size=st.just(240),
    severity=st.just(1.0),
)


@given(orders)
def test_the_defects_are_as_many_as_asked_for_and_balanced(order: Order) -> None:
    planned = Counter(kinds(order))
    good = planned.pop(None, 0)
    assert order.count - good == round(order.count * order.ng_fraction)
    numbers = [planned[kind] for kind in DEFECTS]
    assert sum(numbers) == order.count - good
    assert max(numbers) - min(numbers) <= 1


@given(orders)
def test_the_same_order_gives_the_same_plan(order: Order) -> None:
    assert kinds(order) == kinds(order)


def test_good_and_defective_fans_are_interleaved() -> None:
    planned = kinds(Order(count=200, seed=0, ng_fraction=0.5, size=240, severity=1.0))
    assert 30 < sum(kind is None for kind in planned[:100]) < 70
