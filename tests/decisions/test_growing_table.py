import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fancnn.decisions.certificates import Certificate, certified
from fancnn.decisions.growing_table import Look, Looks, looked_again, looks_path, read_looks, write_looks
from fancnn.decisions.sequential import sequential_interval, upper_bound_sequential
from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds

HALF = Thresholds.single(0.5)


def ng(count: int, escapes: int = 0, name: str = "ng", **more: str) -> list[Prediction]:
    return [Prediction(f"{name}/{i}", 0.1 if i < escapes else 0.9, split="test", label=1, **more) for i in range(count)]


def go(count: int, overkills: int = 0) -> list[Prediction]:
    return [Prediction(f"go/{i}", 0.9 if i < overkills else 0.1, split="test", label=0) for i in range(count)]


def look(
    earlier: Looks | None,
    rows: Sequence[Prediction],
    thresholds: Thresholds = HALF,
    confidence: float = 0.95,
    unit: str = "part",
    model: str = "",
) -> tuple[Certificate, Looks]:
    once = certified(rows, 0.01, confidence, thresholds, unit="group" if unit == "group" else None)
    return looked_again(earlier, once, rows, unit=unit, model=model, when="2026-01-02", place="a.looks.json")


def test_a_claim_is_granted_as_soon_as_enough_parts_were_added() -> None:
    first, looks = look(None, ng(120))
    assert not first.granted
    assert first.bound == upper_bound_sequential(0, 120)
    assert first.statement == (
        "escape rate of parts <= 3.11 % at 95 % confidence, at any time of looking, is all that can be said so far, "
        "and 1 % was asked for (look 1: 120 NG parts; 0 of 120 NG parts pass; 257 more NG parts without an escape "
        "would do)"
    )
    second, looks = look(looks, ng(299))  # enough for a claim that is looked at once
    assert not second.granted
    third, looks = look(looks, ng(377))
    assert third.granted
    assert third.statement == (
        "escape rate of parts <= 1 % at 95 % confidence, at any time of looking (look 3: 120, 299, 377 NG parts; 0 of "
        "377 NG parts pass)"
    )
    assert [item.ng for item in looks.looks] == [120, 299, 377]
    assert (third.needed, third.bound <= 0.01) == (377, True)


def test_what_is_said_of_more_parts_is_what_they_then_give() -> None:
    found, _ = look(None, ng(400, escapes=2))
    assert "483 more NG parts without an escape would do" in found.statement
    assert look(None, ng(883, escapes=2))[0].granted
    assert not look(None, ng(882, escapes=2))[0].granted


def test_the_overkill_holds_at_any_time_too() -> None:
    found, _ = look(None, ng(400) + go(200, overkills=6))
    assert found.overkill == sequential_interval(6, 200)
    assert "; overkill 3 % of GO parts (0.338 to 8.38 %, likewise; 6 of 200) (look 1" in found.statement


def test_the_very_same_images_again_are_no_new_look() -> None:
    _, looks = look(None, ng(120))
    again, same = look(looks, list(reversed(ng(120))))
    assert same == looks
    assert "(look 1: 120 NG parts" in again.statement


def test_an_image_may_move_to_another_file_if_its_content_is_known() -> None:
    known = [replace(row, pixel_sha256=f"{i:064}") for i, row in enumerate(ng(50))]
    _, looks = look(None, known)
    _, looks = look(looks, [replace(row, path=f"moved/{row.path}") for row in known] + ng(5, name="new"))
    assert [item.ng for item in looks.looks] == [50, 55]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            ng(119) + ng(9, name="new"),
            "1 image of look 1 (2026-01-02) is missing here: a claim that may be looked at any",
        ),
        (ng(100), "20 images of look 1 (2026-01-02) are missing here"),
        (
            ng(120, escapes=1),
            r"1 image of look 1 .* has another label, group or decision now, or fewer copies \(e.g. ng/0\)",
        ),
        ([replace(row, label=0) for row in ng(120)[:3]] + ng(120)[3:], "3 images .* have another label"),
        ([replace(ng(1)[0], path="x"), *ng(120, 1)[:119]], "1 image .* is missing here, and 1 image .* has another"),
    ],
)
def test_a_table_that_lost_or_changed_an_image_is_refused(rows: list[Prediction], text: str) -> None:
    _, looks = look(None, ng(120))
    with pytest.raises(UserError, match=text.replace("1 (2026-01-02)", r"1 \(2026-01-02\)")):
        look(looks, rows)


def test_a_copy_that_is_taken_away_is_missed() -> None:
    twice = [replace(row, pixel_sha256="same") for row in ng(2)] + ng(118, name="other")
    _, looks = look(None, twice)
    with pytest.raises(UserError, match="1 image of look 1 .* has another"):
        look(looks, twice[1:])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"thresholds": Thresholds.single(0.4)}, "thresholds NG above 0.5 before and NG above 0.4 now"),
        ({"confidence": 0.9}, "confidence 95 % before and 90 % now"),
        ({"model": "b"}, "the model's weights changed"),
        ({"unit": "group"}, "unit part before and group now"),
    ],
)
def test_another_claim_does_not_go_on_with_the_looks_of_this_one(changes: dict[str, object], text: str) -> None:
    rows = [replace(row, group=row.path) for row in ng(120)]
    _, looks = look(None, rows, model="a")
    with pytest.raises(UserError, match=f"a.looks.json holds 1 look of another claim: {text}"):
        look(looks, rows, **{"model": "a", **changes})  # type: ignore[arg-type]


def test_a_model_that_one_look_does_not_know_is_no_other_one() -> None:
    _, looks = look(None, ng(120), model="a")
    _, looks = look(looks, ng(130), model="")
    with pytest.raises(UserError, match="weights changed"):
        look(looks, ng(140), model="b")


def test_groups_are_counted_whole() -> None:
    lots = [replace(row, group=f"lot {i // 4}") for i, row in enumerate(ng(400))]
    first, looks = look(None, lots, unit="group")
    assert (first.ng, first.bound) == (100, upper_bound_sequential(0, 100))
    seen = "look 1: 100 NG groups; 0 of 100 groups with NG parts have one that passes; by part 0 of 400 NG parts pass"
    assert seen in first.statement
    more = [replace(row, group=f"later {i // 4}") for i, row in enumerate(ng(40, name="new"))]
    assert look(looks, lots + more, unit="group")[0].ng == 110
    late = replace(ng(1, name="late")[0], group="lot 7")
    with pytest.raises(UserError, match=r"late/0 was added to group lot 7, which look 1 .* only complete groups"):
        look(looks, [*lots, late], unit="group")


def test_parts_of_one_group_are_not_counted_one_by_one() -> None:
    lots = [replace(row, group=f"lot {i // 4}") for i, row in enumerate(ng(400))]
    once = certified(lots, 0.01, 0.95, HALF)
    with pytest.raises(UserError, match="groups of up to 4: parts of a group are alike, .* unit=group counts groups"):
        looked_again(None, once, lots, unit="part", model="", when="", place="")


def test_a_searched_threshold_is_refused_with_the_reason() -> None:
    searched = certified(ng(400), 0.01)
    with pytest.raises(UserError, match="moves from look to look, and the claim would be of another one each time"):
        looked_again(None, searched, ng(400), unit="part", model="", when="", place="")


def test_types_that_appear_later_do_not_change_the_bounds_of_those_before() -> None:
    scratches, stains = ng(100, name="a", defect_type="scratch"), ng(50, name="b", defect_type="blot")
    first, looks = look(None, scratches)
    second, looks = look(looks, scratches + stains)
    assert looks.types == ("scratch", "blot")  # by appearance, not by name
    bounds = {item.defect_type: item.bound for item in second.by_type}
    assert bounds["scratch"] == first.by_type[0].bound
    assert bounds["blot"] > upper_bound_sequential(0, 50)


def test_what_is_refused_once_stays_refused() -> None:
    rows = ng(400)
    refused = replace(certified(rows, 0.01, 0.95, HALF), granted=False, statement="for another reason")
    found, looks = looked_again(None, refused, rows, unit="part", model="", when="", place="")
    assert (found.granted, found.statement, looks.looks[0].granted) == (False, "for another reason", False)


def test_what_must_hold_is_said() -> None:
    first, looks = look(None, ng(120))
    second, _ = look(looks, ng(130))
    assert first.caveats[-1].endswith("that images are only ever added is checked from the next look on")
    assert second.caveats[-1] == (
        "it holds at any look if NG parts are added as they come, and none for how it was decided; the 120 images of "
        "the look before are all here, unchanged"
    )


def test_looks_come_back_as_they_were_written_and_hold_no_names(tmp_path: Path) -> None:
    _, looks = look(None, ng(30, defect_type="stain") + go(5), model="mark")
    path = looks_path(tmp_path / "certificate.json")
    assert read_looks(path) is None
    write_looks(path, looks)
    assert (path.name, read_looks(path)) == ("certificate.looks.json", looks)
    content = json.loads(path.read_text())
    assert (content["format"], content["version"], len(content["images"])) == ("fancnn-looks", 1, 35)
    assert all(len(mark) == 24 for mark in content["images"])
    assert "ng/0" not in path.read_text()
    assert looks.looks == (Look("2026-01-02", 30, 0, 5, 0, 0.01, looks.looks[0].bound, False),)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "cannot read .*x.looks.json: it is damaged: expected JSON .*Expected the looks so far"),
        ('{"format": "else"}', "does not hold the looks of a certificate: its format is not fancnn-looks"),
        ('{"format": "fancnn-looks", "version": 2}', "has format version 2; this fancnn reads up to 1"),
    ],
)
def test_a_file_of_looks_that_is_none_is_told(text: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "x.looks.json").write_text(text)
    with pytest.raises(UserError, match=error):
        read_looks(tmp_path / "x.looks.json")
