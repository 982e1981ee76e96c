from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fancnn.data.union_find import joined


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*2 * [st.integers(0, n - 1)])))))
def test_sets_are_the_components_of_the_graph_named_by_their_first(
    graph: tuple[int, list[tuple[int, int]]],
) -> None:
    count, pairs = graph
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    edges = coo_array(([1] * len(pairs), (rows, columns)), shape=(count, count))
    components = connected_components(edges, directed=False)[1].tolist()
    assert joined(count, pairs) == [components.index(component) for component in components]
