"""Read and write the CSV tables that leave the program: whole or not at all, and with a version.

No cell starts a formula. A spreadsheet takes what begins with one of `= + - @`, a tab or the end of a line for one,
and the names of files, classes and defect types come from anywhere. Text that begins so, be it after apostrophes, is
written with one apostrophe more before it, in every column; numbers, negative ones too, stay numbers. On reading that
apostrophe is taken off again, so that every name comes back as it was. (In a table of before this was done, a name that
itself begins with an apostrophe and then such a character loses it.)

A table that is read is data from anywhere: UTF-8 or UTF-16 text, at most `MOST_BYTES`, no cell of more than the 131,072
characters of Python's `csv`, quotes closed, each column once, no row longer than the header, no NUL; and no row cut
short in a table with versions.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_text
from fancnn.files.regular_files import size_of_regular

MOST_BYTES = 2 * 2**30  # of a table: some 10 million rows
MOST_DIGITS = 9  # of a version
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # wide ones are taken for the others in Japanese and Chinese
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _starts_formula(cell: str) -> bool:
    """Return whether a spreadsheet would take a cell for a formula, or would once apostrophes are taken off."""
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None


def as_cell(text: str) -> str:
    """Return text as a table has it, so that no spreadsheet takes it for a formula.

    Example:
        >>> as_cell("=1+1"), as_cell("GO/1.png"), as_cell("-0.5")
        ("'=1+1", 'GO/1.png', '-0.5')
    """
    return f"'{text}" if _starts_formula(text) else text


def from_cell(cell: str) -> str:
    """Return the text that `as_cell` was given.

    Example:
        >>> from_cell("'=1+1"), from_cell("'s Gravenhage")
        ('=1+1', "'s Gravenhage")
    """
    return cell[1:] if cell.startswith("'") and _starts_formula(cell[1:]) else cell


@contextmanager
def table_writer(path: Path, columns: Sequence[str], version: int) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Give a function that adds a row; the column `version` is added to each. Missing values are empty.

    Raises:
        UserError: If the file is not called .csv, since it might be a model or an image that a slip of the keyboard
            named; or if the folder cannot be written.
    """
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path} should end in .csv: a table is written there, in the place of whatever it holds")
    with atomic_text(path) as file:
        fields = [*columns, "version"]
        plain = csv.DictWriter(file, fields, restval="", lineterminator="\n")
        quoted = csv.DictWriter(file, fields, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writeheader()

        def add(row: Mapping[str, object]) -> None:
            row = {name: as_cell(value) if isinstance(value, str) else value for name, value in row.items()}
            # Python 3.11 quotes a carriage return only where it ends lines; unquoted it would end one for readers
            writer = quoted if any(isinstance(value, str) and "\r" in value for value in row.values()) else plain
            writer.writerow({**row, "version": version})

        yield add


def read_table(path: Path, required: Iterable[str], version: int) -> list[dict[str, str]]:
    """Read a table that this program or another wrote; columns it does not know are kept.

    Raises:
        UserError: If the file is missing, is no CSV, lacks a required column, is of a newer version, or is not as the
            top of this module says.
    """
    try:
        size_of_regular(path, MOST_BYTES)
        with path.open(encoding=_encoding(path), errors="surrogateescape", newline="") as file:
            header = file.readline()
            header.encode()  # names of columns are text; what is none is no table
            file.seek(0)
            # spreadsheets of countries with decimal commas separate by semicolons; strict: quotes must be closed
            lines = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
            columns = [name.strip().lower() for name in next(lines, [])]
            cells = [row for row in lines if row]
    except (OSError, UnicodeError, csv.Error) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = error.strerror or why
        elif isinstance(error, UnicodeError):
            why = "it is no text in UTF-8"
        raise UserError(f"cannot read the table {path}: {why}") from error
    _validate_columns(path, columns, required)
    return [_row(path, line, columns, row, version) for line, row in enumerate(cells, start=2)]


def _validate_columns(path: Path, columns: Sequence[str], required: Iterable[str]) -> None:
    if missing := [name for name in required if name not in columns]:
        raise UserError(f"{path} lacks the column {', '.join(missing)}. Found: {', '.join(columns) or 'nothing'}")
    if twice := [name for name in dict.fromkeys(columns) if name and columns.count(name) > 1]:
        raise UserError(f"{path} has the column {twice[0]} {columns.count(twice[0])} times: which one counts?")


def _row(path: Path, line: int, columns: Sequence[str], cells: Sequence[str], latest: int) -> dict[str, str]:
    place, spare = f"{path}, line {line}", cells[len(columns) :]
    if any(spare):
        raise UserError(
            f"{place} has {len(cells)} cells, and the header {len(columns)}: what has a separator in it needs quotes"
        )
    if len(cells) < len(columns) and "version" in columns:  # spreadsheets leave out empty cells, and that is none
        raise UserError(f"{place} is cut short: it has {len(cells)} cells, and the header {len(columns)}")
    if any("\0" in cell for cell in cells):
        raise UserError(f"{place} holds a NUL character, which no name and no number has")
    row = {name: from_cell(cell) for name, cell in zip(columns, cells, strict=False)}
    row = {name: row.get(name, "") for name in columns}
    version = row.get("version", "").strip() or "1"
    if not version.isascii() or not version.isdigit() or len(version) > MOST_DIGITS or int(version) < 1:
        raise UserError(f"{place}: version={version[:40]!r} should be a whole number, the table's format")
    if int(version) > latest:
        raise UserError(f"{path} has format version {version}; this fancnn reads up to {latest}: update it")
    return row


def _encoding(path: Path) -> str:
    """Return UTF-8, or what a byte-order mark says: spreadsheets write one."""
    with path.open("rb") as file:
        mark = file.read(2)
    return "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
