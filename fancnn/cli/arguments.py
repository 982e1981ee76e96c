"""A command line's arguments as Hydra takes them: those without a key become the list of one."""

from collections.abc import Sequence
from pathlib import Path

from fancnn.errors import quoted


def with_positional(arguments: Sequence[str], key: str) -> list[str]:
    """Return the command-line arguments with those that have no key as one override of `key`, a list.

    Example:
        >>> with_positional(["runs/a b", "part=val", "runs/[c]"], "runs")
        ['part=val', 'runs=["runs/a b","runs/[c]"]']
    """
    items: list[str] = []
    kept: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        keyed = argument.startswith(("-", "+")) or ("=" in argument and not Path(argument).exists())
        (kept if keyed or before in _FLAGS_WITH_VALUES else items).append(argument)
    return [*kept, f"{key}=[{','.join(map(quoted, items))}]"] if items else kept


_FLAGS_WITH_VALUES = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", "--info", "-i"),
)
