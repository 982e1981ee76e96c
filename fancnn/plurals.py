"""Numbers, and nouns and verbs that agree with them."""

_VERBS = {"is": "are", "has": "have", "was": "were"}


def plural(count: int, noun: str) -> str:
    """Return a number of things, in words.

    Example:
        >>> plural(1, "file"), plural(1200, "file")
        ('1 file', '1,200 files')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def agreeing(count: int, verb: str) -> str:
    """Return a verb, given in the singular, as it stands after a number of things.

    Example:
        >>> agreeing(1, "is"), agreeing(2, "is"), agreeing(0, "differs")
        ('is', 'are', 'differ')
    """
    return verb if count == 1 else _VERBS.get(verb, verb.removesuffix("s"))
