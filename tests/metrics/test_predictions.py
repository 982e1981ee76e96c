import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.errors import UserError
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.predictions import (
    Prediction,
    decided,
    read_predictions,
    scored,
    validate_each_once,
    write_predictions,
)
from fancnn.metrics.thresholds import Thresholds

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
sides = st.tuples(st.integers(0, 9999), st.integers(1, 999))
places = st.integers(0, 99999).map(lambda tenth: tenth / 10)
regions = st.builds(
    lambda across, down, x, y, millionths: DefectRegion(
        across[0], down[0], sum(across), sum(down), x, y, millionths / 10**6
    ),
    *(sides, sides, places, places, st.integers(0, 10**6)),
)
rows = st.builds(
    Prediction,
    path=texts,
    probability=st.none() | st.floats(0, 1),
    decision=st.sampled_from(["", "GO", "NG", "RECHECK"]),
    split=st.sampled_from(["", "val", "test"]),
    class_name=texts,
    label=st.none() | st.integers(0, 1),
    group=texts,
    defect_type=texts,
    error=texts,
    true_type=texts,
    found_type=texts,
    type_share=st.none(),
    regions=st.none() | st.lists(regions, max_size=3).map(tuple),
)


@given(table=st.lists(rows, max_size=8))
def test_a_table_comes_back_as_it_was_written(
    table: list[Prediction], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "predictions.csv"
    write_predictions(table, path)
    assert read_predictions(path) == table


def test_columns_of_types_are_there_only_where_a_model_has_types(tmp_path: Path) -> None:
    plain, typed = Prediction("a", 0.5), Prediction("b", 0.5, found_type="chip", type_share=0.75)
    for rows, columns in (([plain], 0), ([plain, typed], 3)):
        write_predictions(rows, tmp_path / "t.csv")
        header = (tmp_path / "t.csv").read_text().splitlines()[0]
        assert sum("type" in name for name in header.split(",")) == columns + 1  # defect_type
        assert read_predictions(tmp_path / "t.csv") == rows


def test_columns_of_regions_are_there_only_where_a_network_has_cells(tmp_path: Path) -> None:
    region = DefectRegion(8, 16, 24, 24, 15.2, 20.0, 0.93)
    plain, good = Prediction("a", 0.5), Prediction("c", 0.1, regions=())
    bad = Prediction("b", 0.5, regions=(region, replace(region, left=0, probability=0.6)))
    for rows, columns in (([plain], 0), ([good, bad], 7), ([good, replace(bad, mm_per_pixel=0.05)], 12)):
        write_predictions(rows, tmp_path / "t.csv")
        header = (tmp_path / "t.csv").read_text().splitlines()[0].split(",")
        assert sum("region" in name or name == "mm_per_pixel" for name in header) == columns
        assert read_predictions(tmp_path / "t.csv") == rows
    first, second = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert (first["regions"], first["region_x"], first["region_boxes"]) == ("0", "", "")
    assert [second[f"region_{name}"] for name in ("x", "y", "width", "height")] == ["15.2", "20.0", "16", "8"]
    assert [second[f"region_{name}_mm"] for name in ("x", "y", "width", "height")] == ["0.76", "1.0", "0.8", "0.4"]
    assert second["region_boxes"] == "8,16 to 24,24 at 15.2,20: 0.93; 0,16 to 24,24 at 15.2,20: 0.6"


def test_columns_of_parts_are_there_only_where_images_name_theirs(tmp_path: Path) -> None:
    images = [
        Prediction("a1", 0.1, "GO", label=0, part="a", part_label=1, part_decision="whatever"),
        Prediction("a2", 0.9, "NG", label=1, part="a", part_label=1),
        Prediction("b1", 0.1, "GO", part="b"),
        Prediction("b2", None, part="b", error="cut off"),
        Prediction("c", 0.9, "NG"),
    ]
    write_predictions(images, tmp_path / "t.csv")
    read = read_predictions(tmp_path / "t.csv")
    assert [row.part_decision for row in read] == ["NG", "NG", "", "", ""]
    assert [replace(row, part_decision="") for row in read] == [replace(row, part_decision="") for row in images]
    write_predictions(images[-1:], tmp_path / "t.csv")
    assert "part" not in (tmp_path / "t.csv").read_text().splitlines()[0]
    (tmp_path / "t.csv").write_text("path,label,probability,part,part_label\na,1,0.9,p,maybe\n")
    with pytest.raises(UserError, match="line 2: part_label='maybe' should be 0"):
        read_predictions(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("path,label,probability,part_label\na,1,0.9,of another program\n")
    assert read_predictions(tmp_path / "t.csv")[0].part_label is None


def test_regions_of_another_program_are_its_own_business(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,probability,regions,mm_per_pixel\na,1,0.9,north,?\n")
    (row,) = read_predictions(tmp_path / "t.csv")
    assert (row.regions, row.mm_per_pixel) == (None, None)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("1,over there,", "line 2: region_boxes='over there' is none: expected left,top to right,bottom at x,y"),
        ("1,'8,8 to 8,9 at 8,8: 0.5',", "line 2: region_boxes='8,8 to 8,9 at 8,8: 0.5' is empty"),
        ("0,,thin", "line 2: mm_per_pixel='thin' should be a number above 0"),
        ("0,,0", "line 2: mm_per_pixel='0' should be a number"),
    ],
)
def test_regions_that_make_no_sense_are_told_with_their_line(line: str, text: str, tmp_path: Path) -> None:
    quoted = line.replace("'", '"')
    (tmp_path / "t.csv").write_text(f"path,label,probability,regions,region_boxes,mm_per_pixel\na,1,0.9,{quoted}\n")
    with pytest.raises(UserError, match=text):
        read_predictions(tmp_path / "t.csv")


def test_other_thresholds_leave_no_region_to_go_and_know_none_of_what_was_go() -> None:
    region = DefectRegion(8, 16, 24, 24, 15.2, 20.0, 0.93)
    rows = [Prediction("a", 0.6, "NG", regions=(region,)), Prediction("b", 0.3, "GO", regions=())]
    strict, lenient = ([decided(row, Thresholds.single(at)) for row in rows] for at in (0.2, 0.7))
    assert [(row.decision, row.regions) for row in strict] == [("NG", (region,)), ("NG", None)]
    assert [(row.decision, row.regions) for row in lenient] == [("GO", ()), ("GO", ())]
    assert decided(Prediction("c", None), Thresholds.single(0.5)) == Prediction("c", None)


def test_a_table_of_another_program_needs_three_columns(tmp_path: Path) -> None:
    path = tmp_path / "peer.csv"
    path.write_bytes("\ufeffprobability,path,label,note\n0.9,a.png,1,x\n0.2,b.png,,\n".encode())
    table = read_predictions(path)
    assert [(row.path, row.label, row.probability) for row in table] == [("a.png", 1, 0.9), ("b.png", None, 0.2)]


@pytest.mark.parametrize(
    "content",
    [
        b"Path,Label,Probability\na.png,1.0,0.9\nb.png,False,0.2\n",
        b"path, label, probability\na.png, NG, 0.9\nb.png, GO, 0.2\n",
        "path;label;probability\na.png;1;0,9\nb.png;0;0,2\n".encode("utf-16"),
    ],
    ids=["pandas", "spaces", "spreadsheet with decimal commas"],
)
def test_tables_are_read_as_other_programs_write_them(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    table = read_predictions(tmp_path / "t.csv")
    assert [(row.path, row.label, row.probability) for row in table] == [("a.png", 1, 0.9), ("b.png", 0, 0.2)]


def test_an_image_that_stands_twice_is_named() -> None:
    rows = [Prediction("a", 0.5), Prediction("b", 0.5), Prediction("a", 0.6)]
    with pytest.raises(UserError, match="^a stands 2 times in the table: each image counts once"):
        validate_each_once(rows)


def test_rows_without_truth_or_probability_are_not_scored() -> None:
    table = [
        Prediction("a", 0.9, label=1),
        Prediction("b", 0.9),
        Prediction("c", None, label=0, error="empty"),
        Prediction("d", 0.1, label=0),
    ]
    counts, scores = scored(table, Thresholds.single(0.5))
    assert (counts.ng, counts.go) == (1, 1)
    assert scores["accuracy"] == 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a,2,0.5", "line 2: label='2' should be 0"),
        ("a,1,1.5", r"line 2: probability='1.5' should be a number in \[0, 1\]"),
        ("a,1,high", "line 2: probability='high'"),
        ("a,1,nan", "line 2: probability='nan'"),
    ],
)
def test_a_value_that_makes_no_sense_is_told_with_its_line(line: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"path,label,probability\n{line}\n")
    with pytest.raises(UserError, match=text):
        read_predictions(path)


def test_a_file_that_is_no_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\x00\x01")
    with pytest.raises(UserError, match="cannot read the table"):
        read_predictions(tmp_path / "image.csv")
    with pytest.raises(UserError, match="cannot read the table .*No such file"):
        read_predictions(tmp_path / "absent.csv")


def test_an_error_while_writing_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions([Prediction("old", 0.5)], path)

    def broken() -> object:
        yield Prediction("new", 0.5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(broken(), path)  # type: ignore[arg-type]
    assert [row.path for row in read_predictions(path)] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]
