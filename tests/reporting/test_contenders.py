from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_run, write_table

from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.predictions import Prediction
from fancnn.reporting.contenders import common_pictures, read_contender
from fancnn.reporting.duels import Duel, duels
from fancnn.reporting.verdicts import equal_note, overall, threshold_note, verdict


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
    assert "1 path has different labels in different tables and is left out." in common.notes


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
    assert verdict(found).startswith("No new escapes")
    assert threshold_note(found) == ""
    assert found.equal is not None
    assert (found.equal.overkills, found.equal.caught) == (found.overkills[0], 0)


def test_recheck_that_becomes_go_is_a_new_escape(tmp_path: Path) -> None:
    first = read_contender(write_run(tmp_path / "a", rows_of(), Thresholds(0.0, 1.0)), "A", 0.5)
    second = replace(first, letter="B", thresholds=Thresholds(0.5, 0.5))
    (found,) = duels([first, second], common_pictures([first, second], None))
    escapes = sum(row.label == 1 and (row.probability or 0) <= 0.5 for row in first.rows)
    assert found.new_escapes == escapes > 0
    assert found.counts["no longer to RECHECK"] + found.counts["new overkill"] + escapes == 40


def fought(tmp_path: Path, *tables: Sequence[Prediction]) -> list[Duel]:
    """Tables against the first, at 0.5."""
    named = list(zip("ABC", tables, strict=False))
    contenders = [read_contender(write_table(tmp_path / f"{name}.csv", rows), name, 0.5) for name, rows in named]
    return duels(contenders, common_pictures(contenders, None))


def conflicting(path: str) -> list[Prediction]:
    return [Prediction(path, 0.9, split="test", label=label) for label in (0, 1)]


def sure(rows: Sequence[Prediction]) -> list[Prediction]:
    return [replace(row, probability=0.9 if row.label else 0.1) for row in rows]


def test_bad_parts_that_the_second_did_not_decide_leave_the_verdict_open_with_the_reason(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    other = [replace(rows[1], probability=None, error="cut short"), replace(rows[3], label=None), *rows[6:]]
    other += [replace(rows[5], label=0)]
    (found,) = fought(tmp_path, rows, other)
    assert (found.outcome, found.ng) == ("not all compared", 7)
    assert {item.row.path: item.why for item in found.left_out} == {
        rows[1].path: "B has no probability of it (cut short)",
        rows[3].path: "B does not say what it is",
        rows[5].path: "B calls it GO",
    }
    assert "B has not decided 3 bad parts that A decided: whether they would pass is open." in verdict(found)
    (found,) = fought(tmp_path, rows, [rows[0], *rows[2:]])
    assert [item.why for item in found.left_out] == ["B has no row of it"]
    assert "B has not decided 1 bad part that A decided: whether it would pass is open." in verdict(found)
    elsewhere = [replace(rows[1], split="train"), rows[0], *rows[2:]]
    assert [item.why for item in fought(tmp_path, rows, elsewhere)[0].left_out] == ["B has it in the part train"]


def test_good_parts_that_the_second_did_not_decide_leave_no_escape_open(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    (found,) = fought(tmp_path, rows, rows[1:])
    assert (found.outcome, found.left_out) == ("no new escapes", ())


def test_what_a_third_model_lacks_is_open_for_the_second_too(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    second, third = fought(tmp_path, rows, rows, rows[2:])
    assert [item.why for item in second.left_out] == ["C has no row of it"]
    assert [duel.outcome for duel in (second, third)] == ["not all compared"] * 2
    assert overall([second, third]) == "not all compared"


def test_without_bad_parts_in_common_there_is_no_verdict(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    go = [row for row in rows if row.label == 0]
    for first in (rows, go):
        (found,) = fought(tmp_path, first, go)
        assert found.outcome is None
        assert verdict(found).startswith("No verdict: A and B have no bad part in common.")
        assert overall([found]) is None
    assert "B has not decided 10 bad parts" in verdict(fought(tmp_path, rows, go)[0])


def test_a_path_with_two_labels_in_one_table_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    twice = [*rows, replace(rows[0], label=1)]
    paths = [write_table(tmp_path / f"{name}.csv", of) for name, of in (("a", rows), ("b", twice))]
    common = common_pictures([read_contender(path, name, 0.5) for path, name in zip(paths, "AB", strict=True)], None)
    assert [len(of) for of in common.rows] == [19, 19]
    assert "1 path has different labels in different tables and is left out." in common.notes
    assert "A has 20 pictures in this part; 19 are common to all." in common.notes
    (found,) = fought(tmp_path, [*rows, replace(rows[1], path="b.png")], [*rows, *conflicting("b.png")])
    assert [item.why for item in found.left_out] == ["B calls it both GO and NG"]
    same = common_pictures([read_contender(paths[1], name, 0.5) for name in "AB"], None)
    assert (len(same.rows[0]), same.notes) == (21, ())


def test_different_thresholds_are_told_and_taken_out(tmp_path: Path) -> None:
    first = read_contender(write_run(tmp_path / "a", rows_of(200, shift=3), Thresholds.single(0.1)), "A", 0.5)
    second = replace(first, letter="B", thresholds=Thresholds.single(0.5))
    (found,) = duels([first, second], common_pictures([first, second], None))
    assert "The thresholds differ: A decides NG above 0.1; B decides NG above 0.5." in threshold_note(found)
    assert found.new_escapes > 0
    assert found.equal is not None
    assert found.equal.new_escapes == 0, "the same model, at equal overkill"
    assert found.equal.overkills == found.overkills[0] > found.overkills[1]
    assert equal_note(found).endswith("): 0 new escapes.")
    assert f"as many good parts as A does now ({found.overkills[0]}; " in equal_note(found)


def test_without_good_parts_equal_overkill_is_undefined(tmp_path: Path) -> None:
    (found,) = fought(tmp_path, *([row for row in rows_of() if row.label],) * 2)
    assert found.equal is None
    assert "undefined" in equal_note(found)


def test_the_surest_mistakes_come_first_among_changes_of_one_kind(tmp_path: Path) -> None:
    right = sure(rows_of(40))
    wrong = [replace(row, probability=1 - (row.probability or 0)) for row in rows_of(40, seed=3)]
    (found,) = fought(tmp_path, right, wrong)
    chances = {what: [item.second.probability for item in found.changes if item.what == what] for what in found.counts}
    assert len(chances["new escape"]) > 2
    assert len(chances["new overkill"]) > 2
    assert chances["new escape"] == sorted(chances["new escape"])
    assert chances["new overkill"] == sorted(chances["new overkill"], reverse=True)
    assert [item.what for item in found.changes] == sorted(
        (item.what for item in found.changes), key=list(found.counts).index
    )
