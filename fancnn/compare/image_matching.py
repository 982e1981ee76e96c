"""Which rows of several prediction tables are about the same image, and why one may have none."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from fancnn.metrics.predictions import Prediction

Name = Callable[[Prediction], str]
"""What makes an image the same one: equal for its copies, and for its rows in other tables."""


def namer(tables: Sequence[Sequence[Prediction]], sha256: Sequence[Mapping[str, str]]) -> tuple[list[Name], bool]:
    """Return what names the images of each table, and whether that is their content.

    Images are named by their content (decoded pixels, else the file's bytes) where each row of each table has one;
    else by their path, and copies at other paths are found as far as any table knows their content. Rows of parts of
    several images are named by the contents of all of them, else by the part.

    Args:
        tables: Rows of each table, those to be compared.
        sha256: For each table SHA-256 of files by path, where rows do not say it.
    """
    pixels = {row.sha256: row.pixel_sha256 for rows in tables for row in rows if row.sha256 and row.pixel_sha256}

    def content(row: Prediction, known: Mapping[str, str]) -> str:
        if row.part:
            return row.content
        file = row.sha256 or known.get(row.path, "")
        return row.pixel_sha256 or pixels.get(file, file)

    contents = [[content(row, known) for row in rows] for rows, known in zip(tables, sha256, strict=True)]
    of_path: dict[str, str] = {}
    for rows, names in zip(tables, contents, strict=True):
        for row, name in zip(rows, names, strict=True):
            if name:
                of_path.setdefault(_place(row), name)
    if not all(name for names in contents for name in names):
        return [lambda row: of_path.get(_place(row), _place(row)) for _ in tables], False

    def named(known: Mapping[str, str]) -> Name:
        return lambda row: content(row, known) or of_path.get(_place(row), _place(row))

    return [named(known) for known in sha256], True


def _place(row: Prediction) -> str:
    """Return what a row is found by where its content is not known: which image of a part is the worst may differ."""
    return f"part {row.part}" if row.part else row.path


def contradicted(tables: Iterable[Mapping[str, Sequence[Prediction]]]) -> frozenset[str]:
    """Return the names of images that have two labels, in one table or in several."""
    labels: dict[str, set[int | None]] = {}
    for table in tables:
        for name, rows in table.items():
            labels.setdefault(name, set()).update(row.label for row in rows)
    return frozenset(name for name, known in labels.items() if len(known) > 1)


def by_name(rows: Iterable[Prediction], name: Name) -> dict[str, list[Prediction]]:
    """Return all rows of each image, in their order."""
    rows_of: dict[str, list[Prediction]] = {}
    for row in rows:
        rows_of.setdefault(name(row), []).append(row)
    return rows_of


def one_of(copies: Sequence[Prediction], *, in_use: bool) -> Prediction:
    """Return the row that counts, of an image that stands several times.

    Copies of one image have the same probability. Where they do not, the one counts that speaks for the model in use
    and against the others, so that no new mistake is lost.

    Example:
        >>> copies = [Prediction("a.png", 0.9, label=1), Prediction("b.png", 0.2, label=1)]
        >>> one_of(copies, in_use=True).path, one_of(copies, in_use=False).path
        ('a.png', 'b.png')
    """
    highest = (copies[0].label == 1) == in_use
    return (max if highest else min)(copies, key=lambda row: row.probability or 0.0)


def why_not(letter: str, row: Prediction, others: Sequence[Prediction]) -> str:
    """Return why a part that one table decides cannot be compared with another, whose rows of it are `others`.

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
        return f"{letter} calls it " + ("both GO and NG" if both else "GO" if row.label else "NG")
    split = others[0].split
    return f"{letter} has it in the split {split}" if split else f"{letter} does not say of which split it is"
