"""Several images of a part: the worst stands for it, whatever else is known of them comes along."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.errors import UserError
from fancnn.metrics.parts import by_part, images_of_parts, parts_in_words, uneven_parts, worst_of_parts, worst_places
from fancnn.metrics.predictions import Prediction, with_part_decisions
from fancnn.metrics.thresholds import Thresholds

HALF, TWO = Thresholds.single(0.5), Thresholds(0.3, 0.7)
PARTS = st.sampled_from(["", "a", "b", "c"])
SCORES = st.lists(st.tuples(PARTS, st.sampled_from([0.0, 0.2, 0.31, 0.5, 0.7, 0.71, 1.0])), max_size=12)


def rows_of(scores: list[tuple[str, float]]) -> list[Prediction]:
    """Images of parts; a part whose name is later in the alphabet is NG."""
    return [
        Prediction(f"{place}.png", score, TWO.decide(score), label=int(part > "a"), part=part)
        for place, (part, score) in enumerate(scores)
    ]


@given(SCORES)
def test_the_worst_image_stands_for_its_part(scores: list[tuple[str, float]]) -> None:
    rows = rows_of(scores)
    expected = []  # the highest of those of the same name; one without a name alone
    for part in dict.fromkeys(part or place for place, (part, _) in enumerate(scores)):
        expected.append(max(score for place, (name, score) in enumerate(scores) if part in (name or place, place)))
    found = by_part(rows)
    assert [row.probability for row in found] == expected
    assert by_part(found) == found
    assert [rows[place].path for place in worst_places([row.part for row in rows], [score for _, score in scores])] == [
        row.path for row in found
    ]
    assert sorted(row.path for row in images_of_parts(found, rows)) == sorted(row.path for row in rows)


@given(SCORES, st.sampled_from([HALF, TWO]))
def test_a_part_is_decided_as_its_highest_probability_is(
    scores: list[tuple[str, float]], thresholds: Thresholds
) -> None:
    rows = [replace(row, decision=thresholds.decide(row.probability or 0)) for row in rows_of(scores)]
    decisions = {row.part: row.part_decision for row in with_part_decisions(rows)}
    assert decisions.pop("", "") == ""
    assert decisions == {row.part: thresholds.decide(row.probability or 0) for row in by_part(rows) if row.part}


def test_a_part_of_which_an_image_is_not_known_is_not_known() -> None:
    rows = [
        Prediction("1", 0.1, "GO", label=0, part="a"),
        Prediction("2", None, label=0, part="a", error="cut off"),
        Prediction("3", 0.9, "NG", label=0, part="b"),
        Prediction("4", None, label=0, part="b", error="empty"),
        Prediction("5", 0.9, "NG", label=1, part="c"),
        Prediction("6", 0.8, "NG", part="c"),
    ]
    first, second, third = by_part(rows)
    assert (first.probability, first.error, second.probability, second.error) == (None, "cut off", None, "empty")
    assert (third.probability, third.label) == (0.9, None)
    # one NG image is enough for a decision; without one, that which is missing may be it
    assert [row.part_decision for row in with_part_decisions(rows)] == ["", "", "NG", "NG", "NG", "NG"]
    for expected, decision in ((1, "GO"), (2, "")):  # and so may one that is not there
        assert with_part_decisions(rows[:1], expected)[0].part_decision == decision
        assert {row.part_decision for row in with_part_decisions(rows[4:5], expected)} == {"NG"}


def test_what_a_model_has_seen_of_a_part_is_what_it_has_seen_of_any_of_its_images() -> None:
    def seen(*of_images: str) -> tuple[str, ...] | None:
        (part,) = by_part([Prediction(str(at), 0.5, seen=roles, part="a") for at, roles in enumerate(of_images)])
        return part.roles

    assert seen("none", "none") == ()
    assert seen("none", "weights epoch") == ("weights", "epoch")
    assert seen("weights", "epoch weights") == ("weights", "epoch")
    assert seen("", "none") is None
    assert seen("", "weights") == ("weights",)


def test_a_copy_of_a_part_has_the_same_content_whatever_its_order_and_names() -> None:
    def content(*hashes: str) -> str:
        (part,) = by_part([Prediction(str(at), 0.5, sha256=name, part="a") for at, name in enumerate(hashes)])
        return part.content

    assert content("x", "y") == content("y", "x")
    assert len({content("x", "y"), content("x", "z"), content("x"), content("x", "x"), content("x", "")}) == 5
    assert content("x", "") == ""


def test_a_part_with_two_truths_is_refused_in_words() -> None:
    rows = [Prediction("GO/1", 0.5, label=0, part="p1"), Prediction("NG/1", 0.5, label=1, part="p1")]
    stated = [replace(row, label=1, part_label=row.label) for row in rows]
    for contradicting in (rows, stated):
        with pytest.raises(UserError, match=r"^the part p1 is GO by GO/1 and NG by NG/1: expected one truth of a part"):
            by_part(contradicting)


def test_a_table_may_state_the_truth_of_a_part() -> None:
    rows = [
        Prediction("GO/1", 0.9, label=0, class_name="GO", part="p", part_label=1),
        Prediction("NG/2", 0.2, label=1, class_name="NG", defect_type="chip", part="p", part_label=1),
        Prediction("NG/3", 0.5, label=1, class_name="NG", defect_type="dent", part="p", part_label=1),
    ]
    (part,) = by_part(rows)
    assert (part.path, part.probability, part.label, part.class_name, part.defect_type) == (
        "GO/1",
        0.9,
        1,
        "NG",
        "dent",
    )
    assert by_part([part]) == [part]
    assert by_part(rows[:1])[0].label == 1
    (unknown,) = by_part([rows[1], replace(rows[2], label=None, part_label=None)])
    assert unknown.label is None


@given(SCORES)
def test_a_part_is_ng_if_an_image_is(scores: list[tuple[str, float]]) -> None:
    parts, values = [part for part, _ in scores], [score for _, score in scores]
    labels = [int(score in (0.2, 0.5)) for score in values]
    named = [part or place for place, part in enumerate(parts)]
    expected = {name: max(label for label, own in zip(labels, named, strict=True) if own == name) for name in named}
    worst, truth = worst_of_parts(parts, values, labels)
    assert truth.tolist() == list(expected.values())
    assert worst.tolist() == [values[place] for place in worst_places(parts, values)]


def test_a_missing_image_is_noticed_by_the_others() -> None:
    assert parts_in_words(["a", "b", "a", "b"]) == "2 parts of 2 images"
    assert uneven_parts(["a", "b", "a", "b", ""]) == uneven_parts([]) == uneven_parts(["", ""]) == ""
    assert uneven_parts(["a", "b", "a", "a", "b"]).startswith("parts have 2 to 3 images (b has 2): one may be missing")
