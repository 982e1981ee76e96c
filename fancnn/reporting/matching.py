"""Which rows of several prediction tables are about the same picture, and why one may have none."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from fancnn.inspection.predictions import Prediction

Name = Callable[[Prediction], str]
Key = tuple[tuple[str, int | None], int]
"""Name and label of a picture, and which of equal ones it is."""


def namer(hashes: Mapping[str, str], *, by_content: bool) -> Name:
    """What makes a picture the same one, labels apart: its content by `hashes`, or its path."""
    return (lambda row: hashes.get(row.path, row.path)) if by_content else (lambda row: row.path)


def differing(tables: Sequence[Sequence[Prediction]], names: Sequence[Name]) -> frozenset[str]:
    """Names whose labels are not the same in each table that has them."""
    labels: list[dict[str, set[int | None]]] = []
    for rows, name in zip(tables, names, strict=True):
        labels.append({})
        for row in rows:
            labels[-1].setdefault(name(row), set()).add(row.label)
    everywhere = {known for table in labels for known in table}
    return frozenset(
        known for known in everywhere if len({frozenset(table[known]) for table in labels if known in table}) > 1
    )


def keyed(rows: Sequence[Prediction], name: Name, without: frozenset[str]) -> dict[Key, Prediction]:
    """Rows by what makes a picture the same one; equal ones are told apart by their order."""
    seen: Counter[Hashable] = Counter()
    found: dict[Key, Prediction] = {}
    for row in rows:
        same = (name(row), row.label)
        if same[0] not in without:
            found[same, seen[same]] = row
        seen[same] += 1
    return found


def by_name(rows: Iterable[Prediction], name: Name) -> Mapping[str, list[Prediction]]:
    """All rows of each name."""
    found: dict[str, list[Prediction]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    return found


def why_not(letter: str, row: Prediction, others: Sequence[Prediction]) -> str:
    """Why a bad part that one table decides cannot be compared with another, whose rows of it are `others`.

    Example:
        >>> why_not("B", Prediction("a.png", 0.9, label=1), [Prediction("a.png", 0.2, label=0)])
        'B calls it GO'
    """
    if not others:
        return f"{letter} has no row of it"
    if unread := next((other for other in others if other.probability is None), None):
        return f"{letter} has no probability of it" + (f" ({unread.error})" if unread.error else "")
    if any(other.label is None for other in others):
        return f"{letter} does not say what it is"
    if any(other.label != row.label for other in others):
        both = any(other.label == row.label for other in others)
        return f"{letter} calls it both GO and NG" if both else f"{letter} calls it GO"
    part = others[0].split
    if part and part != row.split:
        return f"{letter} has it in the part {part}"
    return f"{letter} has fewer rows of it, or it has two labels"
