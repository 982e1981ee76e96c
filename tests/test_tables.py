import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.errors import UserError
from fancnn.tables import read_table, table_writer

# whatever a file may be called: any text without NUL, and bytes that are no UTF-8 (as Python carries them)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1) | st.binary(
    min_size=1, max_size=8
).map(lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape"))


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_whatever_a_file_is_called_comes_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    with table_writer(path, ("path", "label"), 1) as add:
        for name in names:
            add({"path": name, "label": 0})
    assert [row["path"] for row in read_table(path, ("path",), 1)] == names


def test_other_programs_read_a_carriage_return_in_a_name(tmp_path: Path) -> None:
    with table_writer(tmp_path / "a.csv", ("path", "label"), 1) as add:
        add({"path": "one\rtwo.png", "label": 1})
        add({"path": "three.png", "label": 0})
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["path", "one\rtwo.png", "three.png"]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("10", "has format version 10; this fancnn reads up to 2: update it"),
        ("3", "has format version 3; this fancnn reads up to 2"),
        ("new", "line 2: version='new' should be a whole number"),
        ("-1", "line 2: version='-1' should be a whole number"),
    ],
)
def test_versions_are_numbers(tmp_path: Path, said: str, text: str) -> None:
    (tmp_path / "a.csv").write_text(f"path,version\na.png,{said}\n")
    with pytest.raises(UserError, match=text):
        read_table(tmp_path / "a.csv", ("path",), 2)


def test_a_file_that_is_no_text_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\xff\x01,path\n")
    with pytest.raises(UserError, match="cannot read the table .*a.csv: it is no text in UTF-8"):
        read_table(tmp_path / "a.csv", ("path",), 1)
