"""Join things that belong together, directly or by way of others."""

from collections.abc import Iterable


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return of each thing the first one that it is joined with.

    Args:
        count: Of the things, which are numbered from 0.
        pairs: Two that belong together.

    Example:
        >>> joined(5, [(1, 4), (4, 2)])
        [0, 1, 1, 3, 1]
    """
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]  # halve the way for the next time
        return place

    for one, other in pairs:
        early, late = sorted((root(one), root(other)))
        parent[late] = early
    return [root(place) for place in range(count)]
