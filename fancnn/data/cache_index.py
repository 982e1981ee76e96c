"""The index of a cache folder, a SQLite database: which file has which row of pixels.

Version 3; 1 and 2 were CSV files.

| table, column | content |
| --- | --- |
| `pixels.number` | `n` of the pixel file `pixels-<n>.u8`; one line |
| `files.path` | relative to the root of the images, with `/`; UTF-8, or whatever bytes a name has |
| `files.stamp` | of the file when it was read: size, times in nanoseconds, inode |
| `files.sha256`, `files.pixel_sha256` | of its bytes and of its decoded pixels, 32 bytes; empty where not known |
| `files.row` | its row of pixels, -1 where it could not be read |
| `files.error` | why not, in words |

What is written is a transaction, which a kill or a power cut leaves whole or undone. SQLite's rollback journal sees to
that and not its write-ahead log, which needs memory that processes share, so no folder on a network.
"""

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_file

INDEX, VERSION = "index.sqlite", 3
WAIT = 60.0  # seconds for another process that reads or writes at this moment
SCHEMA = (
    """CREATE TABLE files (
    path BLOB PRIMARY KEY CHECK (typeof(path) = 'blob'),
    stamp TEXT NOT NULL CHECK (typeof(stamp) = 'text'),
    sha256 BLOB NOT NULL CHECK (typeof(sha256) = 'blob'),
    pixel_sha256 BLOB NOT NULL CHECK (typeof(pixel_sha256) = 'blob'),
    row INTEGER NOT NULL CHECK (typeof(row) = 'integer' AND row >= -1),
    error TEXT NOT NULL CHECK (typeof(error) = 'text'),
    CHECK (row = -1 OR length(sha256) = 32 AND length(pixel_sha256) = 32)
) WITHOUT ROWID""",
    "CREATE TABLE pixels (number INTEGER NOT NULL, CHECK (typeof(number) = 'integer' AND number > 0))",
)
OF_THE_DISK = {  # errors that do not mean that the index is damaged
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_LOCKED),
    *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY),
}


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index knows of a file; `row` is -1 and `error` says why where it could not be read."""

    path: str
    stamp: str
    sha256: bytes
    pixel_sha256: bytes
    row: int
    error: str


class CacheIndex:
    """An open index; entries stay on the disk, but for those that are asked for."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self._folder, self._database = folder, database

    @property
    def pixel_file(self) -> Path:
        return self._folder / f"pixels-{self._number('SELECT number FROM pixels')}.u8"

    @property
    def next_pixel_file(self) -> Path:
        return self._folder / f"pixels-{self._number('SELECT number + 1 FROM pixels')}.u8"

    def __len__(self) -> int:
        return self._number("SELECT count(*) FROM files")

    def __iter__(self) -> Iterator[IndexEntry]:
        for path, *cells in self._database.execute("SELECT * FROM files ORDER BY path"):
            yield IndexEntry(_text(path), *cells)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that is written in the block, or nothing; what is read locks the file once and not each time."""
        with self._database:
            self._database.execute("BEGIN")
            yield

    def find(self, path: str) -> IndexEntry | None:
        cells = self._database.execute("SELECT * FROM files WHERE path = ?", [_bytes(path)]).fetchone()
        return IndexEntry(path, *cells[1:]) if cells else None

    def write(self, entries: Iterable[IndexEntry]) -> None:
        """Write entries, each in the place of an earlier one of its path; they are then on the disk."""
        with self.transaction():
            self._database.executemany("REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", map(_cells, entries))

    def remove(self, paths: Iterable[str]) -> None:
        with self.transaction():
            self._database.executemany("DELETE FROM files WHERE path = ?", ([_bytes(path)] for path in paths))

    def prepare_writing(self, rows: int) -> int:
        """Return the first free row of the pixel file, which has `rows`; entries of others than these are removed."""
        self._database.execute("DELETE FROM files WHERE row >= ?", [rows])
        self._database.execute("CREATE TEMP TABLE contents (sha256 BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._database.execute("INSERT OR IGNORE INTO contents SELECT sha256, row FROM files WHERE row >= 0")
        return self._number("SELECT coalesce(max(row), -1) + 1 FROM files")

    def row_of_content(self, sha256: bytes, free: int) -> int:
        """Return the row of a content; one that has none is from now on in the row `free`."""
        if self._database.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", [sha256, free]).rowcount:
            return free
        return self._number("SELECT row FROM contents WHERE sha256 = ?", sha256)

    def rows(self) -> "array[int]":
        """Return the rows that files have, each once, in their order."""
        rows = self._database.execute("SELECT DISTINCT row FROM files WHERE row >= 0 ORDER BY row")
        return array("q", (row for (row,) in rows))

    def move_rows(self, kept: "array[int]") -> None:
        """Change over to the next pixel file, which has the rows `kept` of this one, in their order."""
        self._database.create_function("new_row", 1, partial(bisect_left, kept))
        with self.transaction():
            self._database.execute("UPDATE files SET row = new_row(row) WHERE row >= 0")
            self._database.execute("UPDATE pixels SET number = number + 1")

    def _number(self, query: str, *values: bytes) -> int:
        (number,) = self._database.execute(query, values).fetchone()
        return int(number)


def make_index(folder: Path) -> None:
    """Make an index without entries, and its pixel file; it appears whole.

    Raises:
        OSError: If the folder cannot be written.
    """
    statements = ("BEGIN", *SCHEMA, "INSERT INTO pixels VALUES (1)", f"PRAGMA user_version = {VERSION}", "COMMIT")
    (folder / "pixels-1.u8").touch()
    with _errors_in_words(folder), atomic_file(folder / INDEX) as file, closing(sqlite3.connect(file)) as database:
        database.executescript(";".join(statements))


@contextmanager
def open_index(folder: Path) -> Iterator[CacheIndex]:
    """Lend the index of a cache folder.

    Raises:
        UserError: If it is damaged, also if that shows within the block; the folder can be made again.
        OSError: If the disk does not let it be read or written.
    """
    with _errors_in_words(folder):
        path = _there(folder / INDEX).absolute().as_uri()
        with closing(sqlite3.connect(f"{path}?mode=rw", timeout=WAIT, isolation_level=None, uri=True)) as database:
            _validate(database)
            index = CacheIndex(folder, database)
            _there(index.pixel_file)
            yield index


@contextmanager
def _errors_in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):  # a mistake of this program, and no damage
        raise
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # without the finer distinction
        if code in OF_THE_DISK:
            raise OSError(f"{INDEX}: {error}") from error
        raise UserError(
            f"{folder} is damaged: its {INDEX} is no index of decoded images ({error}). Remove the folder; it is made "
            "again"
        ) from error


def _there(file: Path) -> Path:
    if not file.is_file():
        raise sqlite3.DatabaseError(f"{file.name} is not there")
    return file


def _validate(database: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError for any other database than an index that is whole; nothing of its own is run."""
    database.execute("PRAGMA synchronous = EXTRA")  # a transaction that has ended outlives a power cut
    database.execute("PRAGMA temp_store = MEMORY")
    schema = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if (version, schema) != (VERSION, [(statement,) for statement in SCHEMA]):
        raise sqlite3.DatabaseError(f"it has other tables than those of version {VERSION}")
    (problem,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    if database.execute("SELECT count(*) FROM pixels").fetchone() != (1,):
        raise sqlite3.DatabaseError("it names no pixel file")


def _cells(entry: IndexEntry) -> tuple[bytes, str, bytes, bytes, int, str]:
    error = entry.error.encode(errors="replace").decode()  # it may quote a name that is no UTF-8
    return _bytes(entry.path), entry.stamp, entry.sha256, entry.pixel_sha256, entry.row, error


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
