"""Classes of the user's own that a configuration or a file may name: those that this process may trust.

A command takes `trust=package.module.Class`, a program calls `fancnn.load(run, trust=[...])`. A file alone can name
none of them.
"""

from collections.abc import Iterable

_NAMES: set[str] = set()


def trust(names: Iterable[str]) -> None:
    """Let files and configurations that this process reads name these classes, `package.module.Class` each."""
    _NAMES.update(names)


def trusted() -> frozenset[str]:
    """Return the names that were trusted."""
    return frozenset(_NAMES)
