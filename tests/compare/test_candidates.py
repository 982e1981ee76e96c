from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_run, write_table

from fancnn.compare.candidates import common_images, read_candidate
from fancnn.compare.conclusions import conclusion, equal_note, interval_title, mcnemar_words, overall, threshold_note
from fancnn.compare.pairwise_comparisons import PairwiseComparison, pairwise_comparisons
from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds


def test_runs_are_matched_by_content_even_where_files_have_moved(tmp_path: Path) -> None:
    first = read_candidate(write_run(tmp_path / "a", rows_of()), "A", 0.5)
    moved = [replace(row, path=f"elsewhere/{row.path}") for row in first.rows]
    hashes = {f"elsewhere/{path}": sha for path, sha in first.hashes.items()}
    second = replace(first, letter="B", rows=tuple(moved), hashes=hashes)
    assert len(common_images([first, second], None).rows[1]) == 40
    changed = replace(second, hashes={path: sha if "GO" in path else "other " + sha for path, sha in hashes.items()})
    assert len(common_images([first, changed], None).rows[1]) == 20


def test_tables_are_matched_by_path_and_label(tmp_path: Path) -> None:
    rows = rows_of(10)
    other = [replace(rows[0], label=1), *rows[1:8], *[replace(row, path="x" + row.path) for row in rows[8:]]]
    tables = [write_table(tmp_path / f"{name}.csv", part) for name, part in (("a", rows), ("b", reversed(other)))]  # type: ignore[arg-type]
    common = common_images([read_candidate(path, name, 0.5) for path, name in zip(tables, "AB", strict=True)], None)
    assert [row.path for row in common.rows[0]] == [row.path for row in common.rows[1]]
    assert len(common.rows[0]) == 7
    assert "1 path has two labels, GO and NG, and is excluded." in common.notes


def test_test_is_compared_if_all_have_it_and_else_validation(tmp_path: Path) -> None:
    both = [*rows_of(10), *(replace(row, path="v" + row.path, split="val") for row in rows_of(8))]
    only_val = [row for row in both if row.split == "val"]
    a, b = (
        read_candidate(write_table(tmp_path / f"{i}.csv", rows), "A", 0.5) for i, rows in enumerate([both, only_val])
    )
    assert common_images([a, a], None).split == "test"
    assert common_images([a, b], None).split == "val"
    assert len(common_images([a, b], "all").rows[0]) == 8
    with pytest.raises(UserError, match="has no images of known truth in the split test"):
        common_images([a, b], "test")


def test_nothing_in_common_is_said(tmp_path: Path) -> None:
    moved = [replace(row, path="x" + row.path) for row in rows_of()]
    tables = [write_table(tmp_path / f"{i}.csv", rows) for i, rows in enumerate([rows_of(), moved])]
    with pytest.raises(UserError, match="no image of the split test is common to .*0.csv and .*1.csv"):
        common_images([read_candidate(path, "A", 0.5) for path in tables], None)


def test_images_that_one_was_trained_on_are_printed(tmp_path: Path) -> None:
    first = read_candidate(write_run(tmp_path / "a", rows_of()), "A", 0.5)
    cheat = replace(first, letter="B", trained_on=frozenset(list(first.hashes.values())[:5]))
    assert "B was trained on 5 of these images: its scores are too good." in common_images([first, cheat], None).notes


def test_a_model_against_itself_changes_nothing(tmp_path: Path) -> None:
    first = read_candidate(write_run(tmp_path / "a", rows_of(), Thresholds(0.3, 0.7)), "A", 0.5)
    (found,) = pairwise_comparisons([first, first], common_images([first, first], None))
    assert (found.flips, found.new_escapes.count, found.mcnemar) == ((), 0, 1.0)
    assert {difference.value for difference in found.differences.values()} == {0.0}
    assert found.verdict == "passes"
    assert threshold_note(found) == ""
    assert found.equal is not None
    assert (found.equal.overkills, found.equal.caught) == (found.overkills[0], 0)


def test_recheck_that_becomes_go_is_a_new_escape(tmp_path: Path) -> None:
    first = read_candidate(write_run(tmp_path / "a", rows_of(), Thresholds(0.0, 1.0)), "A", 0.5)
    second = replace(first, letter="B", thresholds=Thresholds(0.5, 0.5))
    (found,) = pairwise_comparisons([first, second], common_images([first, second], None))
    escapes = sum(row.label == 1 and (row.probability or 0) <= 0.5 for row in first.rows)
    assert found.new_escapes.count == escapes > 0
    assert found.counts["no longer to RECHECK"] + found.counts["new overkill"] + escapes == 40


def against_first(tmp_path: Path, *tables: Sequence[Prediction], **margins: float) -> list[PairwiseComparison]:
    """Tables against the first, at 0.5."""
    named = list(zip("ABC", tables, strict=False))
    candidates = [read_candidate(write_table(tmp_path / f"{name}.csv", rows), name, 0.5) for name, rows in named]
    return pairwise_comparisons(candidates, common_images(candidates, None), **margins)  # type: ignore[arg-type]


def two_labels(path: str) -> list[Prediction]:
    return [Prediction(path, 0.9, split="test", label=label) for label in (0, 1)]


def sure(rows: Sequence[Prediction]) -> list[Prediction]:
    return [replace(row, probability=0.9 if row.label else 0.1) for row in rows]


def test_bad_parts_that_the_second_did_not_decide_leave_the_verdict_open_with_the_reason(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    other = [
        replace(rows[1], probability=None, error="cut short"),
        replace(rows[3], label=None),
        *rows[0:5:2],
        *rows[6:],
    ]
    other += [replace(rows[5], label=0)]
    (found,) = against_first(tmp_path, rows, other)
    assert (found.verdict, found.new_escapes.parts) == ("not all compared", 7)
    assert {item.row.path: item.reason for item in found.excluded} == {
        rows[1].path: "B has no probability of it (cut short)",
        rows[3].path: "B does not say what it is",
        rows[5].path: "B calls it GO",
    }
    said = "3 bad parts that A decided are not compared: whether B would pass them is open."
    assert said in conclusion(found)
    (found,) = against_first(tmp_path, rows, [rows[0], *rows[2:]])
    assert [item.reason for item in found.excluded] == ["B has no row of it"]
    assert "1 bad part that A decided is not compared: whether B would pass it is open." in conclusion(found)
    elsewhere = [replace(rows[1], split="train"), rows[0], *rows[2:]]
    assert [item.reason for item in against_first(tmp_path, rows, elsewhere)[0].excluded] == [
        "B has it in the split train"
    ]


def test_good_parts_that_the_second_did_not_decide_leave_new_overkills_open(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    (found,) = against_first(tmp_path, rows, rows[1:])
    assert (found.verdict, [item.row.path for item in found.excluded]) == ("not all compared", [rows[0].path])
    assert "1 good part that A decided is not compared: whether B would reject it is open." in conclusion(found)


def test_what_a_third_model_lacks_is_open_for_the_second_too(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    second, third = against_first(tmp_path, rows, rows, [rows[0], *rows[2:]])
    assert [item.reason for item in second.excluded] == ["C has no row of it"]
    assert [item.verdict for item in (second, third)] == ["not all compared"] * 2
    assert overall([second, third]) == "not all compared"


def test_without_bad_parts_in_common_nothing_is_proven(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    go = [row for row in rows if row.label == 0]
    for first in (rows, go):
        (found,) = against_first(tmp_path, first, go)
        assert overall([found]) == "not proven"
        assert "A and B have no NG part in common: nothing is known of new escapes." in conclusion(found)
    assert "10 bad parts that A decided are not compared" in conclusion(against_first(tmp_path, rows, go)[0])


def test_a_path_with_two_labels_in_one_table_is_excluded_and_counted(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    twice = [*rows, replace(rows[0], label=1)]
    paths = [write_table(tmp_path / f"{name}.csv", of) for name, of in (("a", rows), ("b", twice))]
    common = common_images([read_candidate(path, name, 0.5) for path, name in zip(paths, "AB", strict=True)], None)
    assert [len(of) for of in common.rows] == [19, 19]
    assert "1 path has two labels, GO and NG, and is excluded." in common.notes
    assert "A has 20 images in this split; 19 are common to all." in common.notes
    (found,) = against_first(tmp_path, [*rows, replace(rows[1], path="b.png")], [*rows, *two_labels("b.png")])
    assert [item.reason for item in found.excluded] == ["B calls it both GO and NG"]
    same = common_images([read_candidate(paths[1], name, 0.5) for name in "AB"], None)
    assert (len(same.rows[0]), same.contradicted) == (19, 1), "nobody knows which of the two it is"


def copies(row: Prediction, count: int) -> list[Prediction]:
    return [replace(row, path=f"copy {number} of {row.path}") for number in range(count)]


def known(rows: Sequence[Prediction]) -> list[Prediction]:
    """The rows with contents: each path another."""
    return [replace(row, pixel_sha256=f"{number:064x}") for number, row in enumerate(rows, start=1)]


def test_an_image_that_stands_ten_times_counts_once(tmp_path: Path) -> None:
    rows = known(sure(rows_of(20)))
    bad = rows[1]
    table = [*rows, *copies(bad, 9)]
    worse = [replace(row, probability=0.2) if row.pixel_sha256 == bad.pixel_sha256 else row for row in table]
    (found,) = against_first(tmp_path, table, worse)
    assert (found.new_escapes.count, found.new_escapes.parts, found.mcnemar) == (1, 10, 1.0)
    common = common_images([read_candidate(tmp_path / f"{name}.csv", name, 0.5) for name in "AB"], None)
    assert common.repeated == {"A": 9, "B": 9}
    assert "A has 9 rows more of these images (same content): each image counts once." in common.notes


def test_a_path_that_stands_twice_counts_once_and_hides_no_escape(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    twice = [*rows, replace(rows[1], probability=0.2)]
    for table in (twice, twice[::-1]):
        (found,) = against_first(tmp_path, rows, table)
        assert (found.new_escapes.count, found.new_escapes.parts) == (1, 10)
    (found,) = against_first(tmp_path, twice, twice)
    assert found.new_escapes.count == 1, "the model against itself: which of its two decisions counts is not known"


def test_copies_are_found_where_one_table_alone_knows_contents(tmp_path: Path) -> None:
    rows = known(sure(rows_of(20)))
    table = [*rows, *copies(rows[1], 3)]
    without = [replace(row, pixel_sha256="") for row in table]
    for tables in ((table, without), (without, table)):
        (found,) = against_first(tmp_path, *tables)
        assert (found.new_escapes.parts, found.images) == (10, 20)


def test_copies_with_two_labels_are_excluded_and_the_bad_one_is_open(tmp_path: Path) -> None:
    rows = known(sure(rows_of(20)))
    table = [*rows, replace(rows[1], path="other.png", label=0, probability=0.1)]
    (found,) = against_first(tmp_path, table, table)
    assert (found.images, found.verdict) == (19, "not all compared")
    assert [item.reason for item in found.excluded] == ["B calls it both GO and NG"]
    common = common_images([read_candidate(tmp_path / f"{name}.csv", name, 0.5) for name in "AB"], None)
    assert "1 image has two labels, GO and NG, and is excluded." in common.notes


def test_pixels_make_an_image_the_same_in_another_file_format(tmp_path: Path) -> None:
    rows = known(sure(rows_of(20)))
    moved = [replace(row, path=f"bmp/{row.path}", sha256="ff" * 32) for row in rows]
    (found,) = against_first(tmp_path, rows, moved)
    assert (found.images, found.excluded) == (20, ())


def test_rows_say_what_each_model_has_seen(tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    seen = [replace(row, seen="none") for row in rows]
    cheat = [*(replace(row, seen="weights epoch") for row in rows[:3]), replace(rows[3], seen="thresholds"), *seen[4:]]
    (found,) = against_first(tmp_path, seen, cheat)
    common = common_images([read_candidate(tmp_path / f"{name}.csv", name, 0.5) for name in "AB"], None)
    assert common.notes == (
        "B was trained on 3 of these images: its scores are too good.",
        "3 of these images chose the epoch of B: it has an advantage.",
        "1 of these images chose the thresholds of B: it has an advantage.",
    )
    assert found.verdict == "not proven"
    assert "B was trained on 3 of these images: that proves nothing of others." in conclusion(found)
    (found,) = against_first(tmp_path, cheat, seen)
    assert found.verdict == "passes", "the model in use has the advantage, not the new one"


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("BC", "20 of these images fitted the calibration of B, C: each has an advantage."),
        ("ABC", "20 of these images fitted the calibration of each model: all look better than they are."),
    ],
)
def test_what_several_models_have_seen_is_one_note(names: str, note: str, tmp_path: Path) -> None:
    rows = sure(rows_of(20))
    for name in "ABC":
        seen = "calibration" if name in names else "none"
        write_table(tmp_path / f"{name}.csv", [replace(row, seen=seen) for row in rows])
    tables = [read_candidate(tmp_path / f"{name}.csv", name, 0.5) for name in "ABC"]
    assert common_images(tables, None).notes == (note,)


def test_rows_that_say_it_are_believed_before_the_split(tmp_path: Path) -> None:
    rows = [replace(row, seen="none") for row in sure(rows_of(20))]
    run = read_candidate(write_run(tmp_path / "a", rows), "A", 0.5)
    candidate = replace(run, letter="B", trained_on=frozenset(run.hashes.values()))
    assert common_images([run, candidate], None).trained_on == {"A": 0, "B": 0}
    unknown = tuple(replace(row, seen="") for row in candidate.rows)
    assert common_images([run, replace(candidate, rows=unknown)], None).trained_on == {"A": 0, "B": 20}


def grouped(rows: Sequence[Prediction], size: int) -> list[Prediction]:
    """The rows in lots of `size`, of GO and NG parts alike."""
    return [replace(row, group=f"lot {number // size}") for number, row in enumerate(rows)]


def test_groups_are_the_unit_and_every_sentence_says_so(tmp_path: Path) -> None:
    rows = grouped(sure(rows_of(40)), 10)
    (found,) = against_first(tmp_path, rows, [replace(rows[1], probability=0.1), *rows[:1], *rows[2:]])
    common = common_images([read_candidate(tmp_path / f"{name}.csv", name, 0.5) for name in "AB"], None)
    assert (common.unit, found.unit, found.new_escapes.units) == ("group", "group", 4)
    assert found.new_escapes.bound > 0.5, "four lots leave much open"
    assert "1 new escape among 20 NG parts in 4 groups" in conclusion(found)
    assert "groups kept together" in conclusion(found)
    assert "by group (exact sign-flip test)" in mcnemar_words(found)
    assert interval_title(found) == "95 %, by group"
    assert any(note.startswith("Images of a group are kept together") for note in common.notes)
    assert "Only 4 groups hold NG parts: so few say little." in common.notes
    alone = [replace(row, group=f"part {number}") for number, row in enumerate(rows)]
    assert against_first(tmp_path, alone, alone)[0].unit == "image", "groups of one image are images"


def test_several_models_are_corrected_and_each_sentence_says_so(tmp_path: Path) -> None:
    rows = sure(rows_of(400))
    one, both = against_first(tmp_path, rows, rows)[0], against_first(tmp_path, rows, rows, rows)
    assert [item.new_escapes.level for item in (one, *both)] == pytest.approx([0.95, 0.975, 0.975])
    assert both[0].new_escapes.bound > one.new_escapes.bound
    for item in both:
        assert "(95 % confidence for all 2 models together.)" in conclusion(item)
        assert "adjusted for 2 models (Holm)" in mcnemar_words(item)
        assert interval_title(item) == "95 % for all 2 models together, by image"


def test_a_bound_comes_before_a_count_of_none_and_nothing_reads_as_a_success(tmp_path: Path) -> None:
    rows = sure(rows_of(40))
    (found,) = against_first(tmp_path, rows, rows)
    assert conclusion(found) == (
        "Up to 14 % of NG parts may pass B that do not pass A, nothing below that is ruled out: 0 new escapes among "
        "20 NG parts. Up to 14 % of GO parts may be rejected by B that A does not reject, nothing below that is ruled "
        "out: 0 new overkills among 20 GO parts. (95 % confidence.)"
    )


def test_a_margin_is_kept_only_where_that_is_proven(tmp_path: Path) -> None:
    few, many = sure(rows_of(40)), sure(rows_of(400))
    margins = {"new_escape_rate": 0.02, "new_overkill_rate": 0.02}
    (found,) = against_first(tmp_path, few, few, **margins)
    assert found.verdict == "not proven"
    assert "Up to 14 % of NG parts may pass B that do not pass A, and new_escape_rate allows 2 %" in conclusion(found)
    assert "(with none among 149 it would be proven)" in conclusion(found)
    (found,) = against_first(tmp_path, many, many, **margins)
    assert found.verdict == "passes"
    said = "Passes. At most 1.49 % of NG parts may pass B that do not pass A, and new_escape_rate allows 2 %: "
    assert conclusion(found).startswith(said + "0 new escapes among 200 NG parts.")


def test_a_model_that_rejects_every_good_part_is_no_success(tmp_path: Path) -> None:
    rows = sure(rows_of(8))
    everything = [replace(row, probability=0.9) for row in rows]
    for margins in ({}, {"new_overkill_rate": 0.02}, {"new_escape_rate": 0.9}):
        (found,) = against_first(tmp_path, rows, everything, **margins)
        assert found.verdict == "new overkills"
        assert "4 new overkills among 4 GO parts" in conclusion(found)


def test_a_model_is_worse_only_by_more_than_chance_explains(tmp_path: Path) -> None:
    rows = sure(rows_of(80))
    blind = [replace(row, probability=0.3) for row in rows]  # every NG part passes, and none ranks above a good one
    one_less = [replace(row, probability=0.3) if number == 1 else row for number, row in enumerate(rows)]
    worse, same = against_first(tmp_path, rows, blind, one_less)
    assert (worse.second_is_worse, same.second_is_worse) == (True, False)
    (better,) = against_first(tmp_path, blind, rows)
    assert better.mistakes_differ
    assert not better.second_is_worse
    shifted = [replace(row, probability=0.6 + 0.3 * (row.probability or 0)) for row in rows]  # ranks as before
    (overkill,) = against_first(tmp_path, rows, shifted)
    assert overkill.differences["auroc"].value == 0
    assert overkill.second_is_worse


def test_what_goes_to_a_person_is_said(tmp_path: Path) -> None:
    first = read_candidate(write_run(tmp_path / "a", sure(rows_of(40))), "A", 0.5)
    second = replace(first, letter="B", thresholds=Thresholds(0.0, 1.0))
    (found,) = pairwise_comparisons([first, second], common_images([first, second], None))
    assert "B sends 40 of 40 images to a person, A 0." in conclusion(found)


def test_different_thresholds_are_told_and_taken_out(tmp_path: Path) -> None:
    first = read_candidate(write_run(tmp_path / "a", rows_of(200, shift=3), Thresholds.single(0.1)), "A", 0.5)
    second = replace(first, letter="B", thresholds=Thresholds.single(0.5))
    (found,) = pairwise_comparisons([first, second], common_images([first, second], None))
    assert "The thresholds differ: A decides NG above 0.1; B decides NG above 0.5." in threshold_note(found)
    assert found.new_escapes.count > 0
    assert found.equal is not None
    assert found.equal.new_escapes == 0, "the same model, at equal overkill"
    assert found.equal.overkills == found.overkills[0] > found.overkills[1]
    assert equal_note(found).endswith("): 0 new escapes.")
    assert f"as many good parts as A does now ({found.overkills[0]}; " in equal_note(found)


def test_without_good_parts_equal_overkill_is_undefined(tmp_path: Path) -> None:
    (found,) = against_first(tmp_path, *([row for row in rows_of() if row.label],) * 2)
    assert found.equal is None
    assert "undefined" in equal_note(found)


def test_the_surest_mistakes_come_first_among_changes_of_one_kind(tmp_path: Path) -> None:
    right = sure(rows_of(40))
    wrong = [replace(row, probability=1 - (row.probability or 0)) for row in rows_of(40, seed=3)]
    (found,) = against_first(tmp_path, right, wrong)
    chances = {what: [item.second.probability for item in found.flips if item.kind == what] for what in found.counts}
    assert len(chances["new escape"]) > 2
    assert len(chances["new overkill"]) > 2
    assert chances["new escape"] == sorted(chances["new escape"])
    assert chances["new overkill"] == sorted(chances["new overkill"], reverse=True)
    assert [item.kind for item in found.flips] == sorted(
        (item.kind for item in found.flips), key=list(found.counts).index
    )


def of_parts(rows: Sequence[Prediction], *, worst: int) -> list[Prediction]:
    """Three images of each row as a part, of which one has its probability and the others less."""
    return [
        replace(
            row,
            path=f"{row.path}.{camera}",
            part=row.path,
            probability=(row.probability or 0) * (camera == worst),
            sha256=f"{row.path}.{camera}",
        )
        for row in rows
        for camera in range(3)
    ]


@pytest.mark.parametrize("known", [True, False])
def test_parts_are_matched_whichever_image_is_their_worst(known: bool, tmp_path: Path) -> None:
    rows = rows_of(20)
    first, second = of_parts(rows, worst=0), of_parts(rows, worst=2)
    if not known:
        second = [replace(row, sha256="") for row in second]
    (found,) = against_first(tmp_path, first, second)
    assert (found.images, found.noun, found.unit, found.flips, found.excluded) == (20, "part", "part", (), ())
    assert found.new_escapes.parts == 10
    if known:  # of a part with another image one does not know that it is the same
        changed = [replace(second[0], sha256="other"), *second[1:]]
        (found,) = against_first(tmp_path, first, changed)
        assert (found.images, [item.reason for item in found.excluded]) == (19, ["B has no row of it"])


def test_a_part_of_which_one_model_has_not_decided_an_image_is_not_compared(tmp_path: Path) -> None:
    first = of_parts(rows_of(20), worst=1)
    second = [replace(first[0], probability=None, error="cut off"), *first[1:]]
    (found,) = against_first(tmp_path, first, second)
    assert (found.images, [item.reason for item in found.excluded]) == (19, ["B has no probability of it (cut off)"])


def test_models_of_parts_and_of_images_are_not_compared(tmp_path: Path) -> None:
    parts = of_parts(rows_of(20), worst=0)
    with pytest.raises(UserError, match=r"A\.csv decides on parts of several images \(data\.part\), and .*B\.csv on"):
        against_first(tmp_path, parts, [replace(row, part="") for row in parts])
