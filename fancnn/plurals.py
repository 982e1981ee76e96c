"""Counts with their nouns."""


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "file"), plural(1200, "file")
        ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
