"""What a person sees while a command works: tables and progress, on a terminal or in a log file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")
console = Console(highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """Print a line as it is: brackets in paths and configuration keys are no markup."""
    console.print(text, markup=False)


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing in a log file; the function it gives adds finished steps."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield partial(bar.advance, task)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Pass `items` on and show how many have passed."""
    with progress_bar(description, total) as advance:
        for item in items:
            yield item
            advance(1)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    table.add_column(Text(columns[0]))
    for name in columns[1:]:
        table.add_column(Text(name), justify="right")
    for row in rows:
        table.add_row(*map(Text, row))  # brackets in names are no markup
    console.print(table)
