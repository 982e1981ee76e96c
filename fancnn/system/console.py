"""What a person sees while a command works: tables and progress, on a terminal or in a log file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")

PLAIN = find_spec("rich") is None  # on a line's computer, where lines of text do

if TYPE_CHECKING or not PLAIN:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Print a line as it is: brackets in paths and configuration keys are no markup."""
    if PLAIN:
        print(text)
    else:
        console.print(text, markup=False)


def printable(text: str) -> str:
    r"""Return one line in which whatever a terminal would obey, and not show, is spelled out.

    Names of files and what a client sends may hold line breaks and escape sequences.

    Example:
        >>> print(printable("a\x1b[31m.png\nGO"))
        a\x1b[31m.png\nGO
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing in a log file; yield a function that adds finished steps."""
    if PLAIN or not console.is_terminal:
        yield lambda steps: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield partial(bar.advance, task)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Pass `items` on and show how many have passed."""
    with progress_bar(description, total) as advance:
        for item in items:
            yield item
            advance(1)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", title_style="bold")
    table.add_column(Text(columns[0]))
    for name in columns[1:]:
        table.add_column(Text(name), justify="right")
    for row in rows:
        table.add_row(*map(Text, row))  # brackets in names are no markup
    console.print(table)
