from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_run, write_table

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.reporting.contenders import common_pictures, read_contender
from fancnn.reporting.duels import duels


def test_runs_are_matched_by_content_even_where_files_have_moved(tmp_path: Path) -> None:
    first = read_contender(write_run(tmp_path / "a", rows_of()), "A", 0.5)
    moved = [replace(row, path=f"elsewhere/{row.path}") for row in first.rows]
    hashes = {f"elsewhere/{path}": sha for path, sha in first.hashes.items()}
    second = replace(first, letter="B", rows=tuple(moved), hashes=hashes)
    assert len(common_pictures([first, second], None).rows[1]) == 40
    changed = replace(second, hashes={path: sha if "GO" in path else "other " + sha for path, sha in hashes.items()})
    assert len(common_pictures([first, changed], None).rows[1]) == 20


def test_tables_are_matched_by_path_and_label(tmp_path: Path) -> None:
    rows = rows_of(10)
    other = [replace(rows[0], label=1), *rows[1:8], *[replace(row, path="x" + row.path) for row in rows[8:]]]
    tables = [write_table(tmp_path / f"{name}.csv", part) for name, part in (("a", rows), ("b", reversed(other)))]  # type: ignore[arg-type]
    common = common_pictures([read_contender(path, name, 0.5) for path, name in zip(tables, "AB", strict=True)], None)
    assert [row.path for row in common.rows[0]] == [row.path for row in common.rows[1]]
    assert len(common.rows[0]) == 7
    assert "1 paths have different labels in different tables and are left out." in common.notes


def test_test_is_compared_if_all_have_it_and_else_validation(tmp_path: Path) -> None:
    both = [*rows_of(10), *(replace(row, path="v" + row.path, split="val") for row in rows_of(8))]
    only_val = [row for row in both if row.split == "val"]
    a, b = (
        read_contender(write_table(tmp_path / f"{i}.csv", rows), "A", 0.5) for i, rows in enumerate([both, only_val])
    )
    assert common_pictures([a, a], None).part == "test"
    assert common_pictures([a, b], None).part == "val"
    assert len(common_pictures([a, b], "all").rows[0]) == 8
    with pytest.raises(UserError, match="has no pictures of known truth in the part test"):
        common_pictures([a, b], "test")


def test_nothing_in_common_is_said(tmp_path: Path) -> None:
    moved = [replace(row, path="x" + row.path) for row in rows_of()]
    tables = [write_table(tmp_path / f"{i}.csv", rows) for i, rows in enumerate([rows_of(), moved])]
    with pytest.raises(UserError, match="no picture of the part test is common to .*0.csv and .*1.csv"):
        common_pictures([read_contender(path, "A", 0.5) for path in tables], None)


def test_pictures_that_one_was_trained_on_are_told(tmp_path: Path) -> None:
    first = read_contender(write_run(tmp_path / "a", rows_of()), "A", 0.5)
    cheat = replace(first, letter="B", trained_on=frozenset(list(first.hashes.values())[:5]))
    assert (
        "B was trained on 5 of these pictures: its scores are too good." in common_pictures([first, cheat], None).notes
    )


def test_a_model_against_itself_changes_nothing(tmp_path: Path) -> None:
    first = read_contender(write_run(tmp_path / "a", rows_of(), Thresholds(0.3, 0.7)), "A", 0.5)
    (found,) = duels([first, first], common_pictures([first, first], None))
    assert (found.changes, found.new_escapes, found.mcnemar) == ((), 0, 1.0)
    assert {value for value, _ in found.differences.values()} == {0.0}
    assert found.verdict().startswith("No new escapes")


def test_recheck_that_becomes_go_is_a_new_escape(tmp_path: Path) -> None:
    first = read_contender(write_run(tmp_path / "a", rows_of(), Thresholds(0.0, 1.0)), "A", 0.5)
    second = replace(first, letter="B", thresholds=Thresholds(0.5, 0.5))
    (found,) = duels([first, second], common_pictures([first, second], None))
    escapes = sum(row.label == 1 and (row.probability or 0) <= 0.5 for row in first.rows)
    assert found.new_escapes == escapes > 0
    assert found.counts["no longer to RECHECK"] + found.counts["new overkill"] + escapes == 40
