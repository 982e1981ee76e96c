import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.data.labeled_images import LabeledImage, read_split, split_hash, write_split
from fancnn.errors import UserError
from fancnn.files.tables import as_cell, read_table, table_writer

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


FORMULAS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "'", "''"]),
    st.sampled_from([*"=+-@\t\r\n＝＋－＠", "x", ""]),
    NAMES | st.just("1"),
).filter(bool)


@given(st.lists(FORMULAS, min_size=1, max_size=5))
def test_no_cell_starts_a_formula_and_whatever_it_was_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    with table_writer(path, ("path", "label"), 1) as add:
        for name in names:
            add({"path": name, "label": -0.5})
    assert [row["path"] for row in read_table(path, ("path",), 1)] == names
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        cells = list(csv.reader(file))[1:]
    assert not [cell for cell, _, _ in cells if cell[:1] in (*"=@＝＋－＠", "\t", "\r", "\n")]
    assert all(float(cell) == float(cell) for cell, _, _ in cells if cell[:1] in ("+", "-"))  # a number is no formula
    assert {label for _, label, _ in cells} == {"-0.5"}


@given(st.lists(FORMULAS, min_size=2, max_size=2, unique=True))
def test_two_names_are_never_one_cell(names: list[str]) -> None:
    one, other = map(as_cell, names)
    assert one != other


def test_the_hash_of_a_split_is_that_of_its_names(tmp_path: Path) -> None:
    names = ("=1+1/GO/a.png", "'=x", "@NG/b.png", "-2.png", "GO/c.png")
    images = [LabeledImage(name, "=GO", 0, "train", sha256="ab", defect_type="+cmd|' /C calc'!A0") for name in names]
    write_split(images, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv") == images
    assert split_hash(read_split(tmp_path / "split.csv")) == split_hash(images)


def test_names_in_tables_of_before_are_what_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,version\n=1+1.png,1\n'quoted'.png,1\n-a.png,1\n")
    assert [row["path"] for row in read_table(tmp_path / "a.csv", ("path",), 1)] == [
        "=1+1.png",
        "'quoted'.png",
        "-a.png",
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('path,label\n"a.png,0\nb.png,1\n', "cannot read the table .*a.csv: unexpected end of data"),
        ("path,label,label\na.png,0,1\n", "a.csv has the column label 2 times: which one counts"),
        ("path,label\na,b.png,0\n", "a.csv, line 2 has 3 cells, and the header 2: what has a separator in it"),
        ("path,label,version\na.png,0,1\nb.png\n", "a.csv, line 3 is cut short: it has 1 cells, and the header 3"),
        ("path,label\na.\0png,0\n", "a.csv, line 2 holds a NUL character"),
        (f"path,label\n{'a' * 200_000},0\n", "cannot read the table .*a.csv: field larger than field limit"),
        ("", "a.csv lacks the column path. Found: nothing"),
    ],
)
def test_what_is_no_whole_table_is_refused(content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError, match=text):
        read_table(tmp_path / "a.csv", ("path",), 1)


def test_spreadsheets_leave_empty_cells_out_and_add_some(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label,group,\na.png,0\nb.png,1,x,,,\n\n")
    rows = read_table(tmp_path / "a.csv", ("path",), 1)
    assert [(row["path"], row["label"], row["group"]) for row in rows] == [("a.png", "0", ""), ("b.png", "1", "x")]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("10", "has format version 10; this fancnn reads up to 2: update it"),
        ("3", "has format version 3; this fancnn reads up to 2"),
        ("new", "line 2: version='new' should be a whole number"),
        ("-1", "line 2: version='-1' should be a whole number"),
        ("0", "line 2: version='0' should be a whole number"),
        ("9" * 5000, "line 2: version='99999"),
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
