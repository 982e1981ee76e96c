import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fancnn.data import cache_index
from fancnn.data.cache_index import INDEX, IndexEntry, make_index, open_index
from fancnn.errors import UserError


def entry(path: str, row: int = 0) -> IndexEntry:
    sha256 = hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()
    return IndexEntry(path, "10 20 30 40", sha256, b"p" * 32, row, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_index(tmp_path)
    with open_index(tmp_path) as index:
        index.write([entry("a.png"), entry("b.png", 4), IndexEntry("c.png", "", b"", b"", -1, "empty (0 bytes)")])
    return tmp_path


@pytest.mark.parametrize("name", ["ä/ü.png", "no utf-8 \udcff.png", "a,\"b'\n;%?#.png", "x" * 300])
def test_whatever_name_a_file_has_is_found_again(name: str, folder: Path) -> None:
    with open_index(folder) as index:
        index.write([entry(name, 1)])
    with open_index(folder) as index:
        assert [index.find(path) for path in ("a.png", name, "other")] == [entry("a.png"), entry(name, 1), None]
        assert entry(name, 1) in list(index)


def test_a_later_entry_takes_the_place_of_an_earlier_one(folder: Path) -> None:
    with open_index(folder) as index:
        index.write([entry("b.png", 7)])
        assert (len(index), index.find("b.png")) == (3, entry("b.png", 7))


def test_a_content_has_one_row(folder: Path) -> None:
    with open_index(folder) as index:
        free = index.prepare_writing(rows=5)
        assert free == 5
        assert index.row_of_content(entry("b.png").sha256, free) == 4
        assert index.row_of_content(b"n" * 32, free) == 5
        assert index.row_of_content(b"n" * 32, free + 1) == 5


def test_entries_of_rows_that_are_not_there_are_removed(folder: Path) -> None:
    with open_index(folder) as index:
        assert index.prepare_writing(rows=4) == 1
        assert [found.path for found in index] == ["a.png", "c.png"]


def test_rows_move_to_the_next_pixel_file(folder: Path) -> None:
    with open_index(folder) as index:
        index.write([entry("d.png", 9), entry("copy of d.png", 9)])
        target = index.next_pixel_file
        target.touch()
        index.move_rows(index.rows())
    with open_index(folder) as index:
        assert index.pixel_file == target
        rows = {found.path: found.row for found in index}
        assert rows == {"a.png": 0, "b.png": 1, "d.png": 2, "copy of d.png": 2, "c.png": -1}


def test_an_error_within_a_change_undoes_it(folder: Path) -> None:
    def entries() -> Iterator[IndexEntry]:
        yield entry("new.png")
        raise KeyboardInterrupt

    with open_index(folder) as index:
        with pytest.raises(KeyboardInterrupt):
            index.write(entries())
        assert len(index) == 3


def statement(sql: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / INDEX)) as database:
            database.executescript(sql)

    return change


FOREIGN = {
    "a table": lambda folder: (folder / INDEX).write_text("pixels-1.u8\r\na.png,10,20,30,40,abc,0,,def,end\r\n"),
    "nothing": lambda folder: (folder / INDEX).write_bytes(b""),
    "no file": lambda folder: (folder / INDEX).unlink(),
    "no pixels": lambda folder: (folder / "pixels-1.u8").unlink(),
    "a database of others": statement("DROP TABLE files; CREATE TABLE files (path, row)"),
    "a later version": statement("PRAGMA user_version = 4"),
    "what runs by itself": statement("CREATE TRIGGER x AFTER INSERT ON files BEGIN DELETE FROM files; END"),
    "a row that is text": statement("PRAGMA ignore_check_constraints = 1; UPDATE files SET row = 'x'"),
    "a short hash": statement("PRAGMA ignore_check_constraints = 1; UPDATE files SET sha256 = x'00'"),
    "two pixel files": statement("INSERT INTO pixels VALUES (2)"),
    "none": statement("DELETE FROM pixels"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_index_is_refused_with_the_way_out(what: str, folder: Path) -> None:
    FOREIGN[what](folder)
    refused = pytest.raises(UserError, match=r"damaged: its index\.sqlite is no .* Remove the folder; it is made again")
    with refused, open_index(folder):
        pass


def test_damage_that_shows_later_is_refused_too(folder: Path) -> None:
    with pytest.raises(UserError, match=r"is damaged: .* \(malformed\)"), open_index(folder):
        raise sqlite3.DatabaseError("malformed")  # as SQLite does, wherever a page is read


def test_an_index_that_stays_locked_is_not_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_index, "WAIT", 0)
    with closing(sqlite3.connect(folder / INDEX, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")  # as another process that stopped in the middle of writing
        with pytest.raises(OSError, match=r"index\.sqlite: database is locked"), open_index(folder):
            pass
    with open_index(folder) as index:
        assert len(index) == 3
