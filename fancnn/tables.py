"""Read and write the CSV tables that leave the program: whole or not at all, and with a version."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fancnn.atomic_files import atomic_file
from fancnn.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes the place of `path` only when all of it is on the disk.

    Text is UTF-8; the name of a file that is no UTF-8, which systems allow, comes out with the bytes that it has.

    Raises:
        UserError: If the folder cannot be written.
    """
    try:
        with (
            atomic_file(path) as partial,
            partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            yield file
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}. Name a place that can be written") from error


@contextmanager
def table_writer(path: Path, columns: Sequence[str], version: int) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Give a function that adds a row; the column `version` is added to each. Missing values are empty.

    Raises:
        UserError: If the file is not called .csv, since it might be a model or a picture that a slip of the keyboard
            named; or if the folder cannot be written.
    """
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path} should end in .csv: a table is written there, in the place of whatever it holds")
    with replacing(path) as file:
        fields = [*columns, "version"]
        plain = csv.DictWriter(file, fields, restval="", lineterminator="\n")
        quoted = csv.DictWriter(file, fields, restval="", lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writeheader()

        def add(row: Mapping[str, object]) -> None:
            # Python 3.11 quotes a carriage return only where it ends lines; unquoted it would end one for readers
            writer = quoted if any(isinstance(value, str) and "\r" in value for value in row.values()) else plain
            writer.writerow({**row, "version": version})

        yield add


def read_table(path: Path, required: Iterable[str], version: int) -> list[dict[str, str]]:
    """Read a table that this program or another wrote; columns it does not know are kept.

    Raises:
        UserError: If the file is missing, is no CSV, lacks a required column or is of a newer version.
    """
    try:
        with path.open(encoding=_encoding(path), errors="surrogateescape", newline="") as file:
            header = file.readline()
            header.encode()  # names of columns are text; what is none is no table
            file.seek(0)
            # spreadsheets of countries with decimal commas separate by semicolons
            reader = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
            columns = list(reader.fieldnames)
            rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = error.strerror or why
        elif isinstance(error, UnicodeError):
            why = "it is no text in UTF-8"
        raise UserError(f"cannot read the table {path}: {why}") from error
    missing = [name for name in required if name not in columns]
    if missing:
        raise UserError(f"{path} lacks the column {', '.join(missing)}. Found: {', '.join(columns) or 'nothing'}")
    for line, row in enumerate(rows, start=2):
        said = row.get("version", "").strip() or "1"
        if not said.isascii() or not said.isdigit():
            raise UserError(f"{path}, line {line}: version={said!r} should be a whole number, the table's format")
        if int(said) > version:
            raise UserError(f"{path} has format version {said}; this fancnn reads up to {version}: update it")
    return rows


def _encoding(path: Path) -> str:
    """UTF-8, or what a byte-order mark says: spreadsheets write one."""
    with path.open("rb") as file:
        mark = file.read(2)
    return "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
