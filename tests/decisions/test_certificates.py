import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fancnn.decisions.certificates import Excluded, certified, counted_once, escapes_by_type, write_certificate
from fancnn.errors import UserError
from fancnn.metrics.intervals import upper_bound
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds


def table(ng: int, go: int = 200, split: str = "test", **more: str) -> list[Prediction]:
    bad = [Prediction(f"ng/{i}", 0.5 + 0.4 * i / ng, split=split, label=1, **more) for i in range(ng)]
    return bad + [Prediction(f"go/{i}", 0.6 * i / go, split=split, label=0, **more) for i in range(go)]


def test_299_images_carry_one_percent_and_298_do_not() -> None:
    granted, refused = certified(table(299), 0.01), certified(table(298), 0.01)
    assert granted.granted
    assert granted.bound == pytest.approx(upper_bound(0, 299))
    assert granted.statement.startswith(
        "escape rate of parts <= 0.997 % at 95 % confidence (0 of 299 NG parts pass); overkill "
    )
    assert not refused.granted
    assert refused.thresholds is None
    assert refused.statement.startswith(
        "298 NG parts cannot prove an escape rate of parts <= 1 % at 95 % confidence: 299 NG parts are"
    )


def test_fifty_images_prove_less_than_six_percent() -> None:
    refused = certified(table(50), 0.01)
    assert "5.82 % is the least they could prove" in refused.statement
    assert certified(table(50), 0.0583).granted


def test_more_images_let_the_threshold_rise_and_more_parts_pass() -> None:
    few, many = certified(table(300), 0.02), certified(table(1000), 0.02)
    assert few.thresholds
    assert many.thresholds
    assert many.escapes > few.escapes
    assert many.bound <= 0.02


def test_a_threshold_from_elsewhere_is_judged_as_it_is() -> None:
    found = certified(table(400), 0.01, thresholds=Thresholds.single(0.5039))
    assert (found.searched, found.escapes, found.ng) == (False, 4, 400)
    assert found.bound == pytest.approx(stats.beta.ppf(0.95, 5, 396))
    assert not found.granted
    assert "is all that can be said, and 1 % was asked for (4 of 400 NG parts pass" in found.statement


def test_overkill_has_its_exact_interval() -> None:
    found = certified(table(299), 0.01)
    rejected = sum(row.label == 0 and row.probability > found.thresholds.upper for row in table(299))
    oracle = stats.binomtest(rejected, 200).proportion_ci(0.95, method="exact")
    assert (found.overkill.low, found.overkill.high) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize(
    ("split", "caveat"),
    [
        ("train", "optimistic: some of these images were trained on"),
        ("val", "optimistic: some of these images chose the epoch"),
        ("", "it is taken that the model has never seen these images"),
    ],
)
def test_what_makes_a_claim_optimistic_is_said(split: str, caveat: str) -> None:
    (found,) = certified(table(299, split=split), 0.01).caveats
    assert found.startswith(caveat)
    assert certified(table(299), 0.01).caveats == ()


def item_1(escaping_lot: float = 0.1) -> list[Prediction]:
    """One lot of 400 NG parts that pass at 0.5, and 310 lots of one, of which one passes; lots of GO parts."""
    lots = [("big", escaping_lot)] * 400 + [
        (f"lot {i}", 0.1 if i == 0 and escaping_lot > 0.5 else 0.9) for i in range(310)
    ]
    ng = [Prediction(f"ng/{i}", p, split="test", label=1, group=group) for i, (group, p) in enumerate(lots)]
    go = [
        Prediction(f"go/{i}", 0.6 if i < 6 else 0.2, split="test", label=0, group=f"go {i // 20}") for i in range(200)
    ]
    return ng + go


def test_a_claim_on_groups_says_so_and_is_refused_where_more_parts_are_seen_to_pass() -> None:
    refused = certified(item_1(), 0.02, thresholds=Thresholds.single(0.5))
    assert (refused.unit, refused.method, refused.granted) == ("group", "exact binomial of groups", False)
    assert refused.bound <= 0.02  # one group of 311
    assert (refused.ng, refused.escapes, refused.ng_parts, refused.escaped_parts) == (311, 1, 710, 400)
    assert refused.statement.startswith(
        "by part 56.3 % are seen to pass and 2 % was asked for, whatever the groups say: escape rate of groups <= "
        "1.52 % at 95 % confidence (1 of 311 groups with NG parts has one that passes; by part 400 of 710 NG parts "
        "pass, of which nothing is promised); overkill 3 % of GO parts ("
    )
    assert "6 of 200, in 1 of 10 groups)" in refused.statement
    assert (refused.overkills, refused.go, refused.rejected_parts, refused.go_parts) == (1, 10, 6, 200)
    searched = certified(item_1(), 0.02)  # a lower threshold passes fewer parts, and the claim on groups still holds
    assert searched.granted
    assert searched.escaped_parts <= 0.02 * 710
    assert searched.thresholds is not None
    assert searched.thresholds.lower < 0.1


def test_a_claim_on_groups_is_granted_where_the_parts_do_not_say_otherwise() -> None:
    granted = certified(item_1(escaping_lot=0.95), 0.02, thresholds=Thresholds.single(0.5))
    assert granted.granted
    assert "(1 of 311 groups with NG parts has one that passes; by part 1 of 710 NG parts pass" in granted.statement


def test_a_claim_on_parts_in_groups_takes_the_largest_group_of_the_line() -> None:
    rows = item_1(escaping_lot=0.95)
    with pytest.raises(UserError, match=r"unit=part: 11 groups have several images.*largest_group=...*unit=group"):
        certified(rows, 0.02, unit="part")
    with pytest.raises(UserError, match="largest_group=40: the group big has 400 NG parts"):
        certified(rows, 0.02, largest_group=40)
    found = certified(rows, 0.9, thresholds=Thresholds.single(0.5), largest_group=400)
    assert (found.unit, found.method, found.largest_group) == ("part", "betting on lots", 400)
    assert (
        found.bound > certified([replace(row, group="") for row in rows], 0.9, thresholds=Thresholds.single(0.5)).bound
    )
    assert "(1 of 710 NG parts pass, in 1 of 311 groups; it is taken that no group of the line has more than 400)" in (
        found.statement
    )
    assert "groups like these, of 2.28 NG parts each, are needed" in certified(rows, 0.02, largest_group=400).statement


def test_groups_take_a_lower_threshold_than_parts_that_are_none() -> None:
    rows = [replace(row, group=str(i // 3)) for i, row in enumerate(table(900, go=0))]
    by_group = certified(rows, 0.01)  # where there are groups, they are what is counted
    assert (by_group.ng, by_group.ng_parts, by_group.groups, by_group.caveats) == (300, 900, 300, ())
    alone = certified([replace(row, group="") for row in rows], 0.01)
    assert (alone.unit, alone.ng, alone.groups) == ("part", 900, 0)
    assert by_group.thresholds.lower < alone.thresholds.lower
    with pytest.raises(UserError, match="unit=group needs a group for each image"):
        certified(table(10), 0.01, unit="group")


def test_a_type_that_is_never_the_worst_of_its_lot_is_bounded_as_any_other() -> None:
    scores = {"dent": (0.1, 0.9), "chip": (0.2, 0.95)}
    rows = [
        Prediction(f"{lot}/{name}", passed if lot < 60 else found, label=1, group=str(lot), defect_type=name)
        for lot in range(300)
        for name, (passed, found) in scores.items()
    ]
    by_type = {item.defect_type: item for item in escapes_by_type(rows, Thresholds.single(0.5))}
    assert (by_type["chip"].unit, by_type["chip"].escapes, by_type["chip"].ng) == ("group", 60, 300)
    assert by_type["chip"].bound == by_type["dent"].bound > 0.2
    assert (by_type["chip"].escaped_parts, by_type["chip"].ng_parts) == (60, 300)


def test_types_have_bounds_of_their_own_the_worst_first() -> None:
    rows = table(100, defect_type="scratch") + [
        Prediction(f"stain/{i}", p, label=1, defect_type="stain") for i, p in enumerate([0.1, 0.7, 0.8])
    ]
    worst, other = escapes_by_type(rows, Thresholds.single(0.4))
    assert (worst.defect_type, worst.ng, worst.escapes) == ("stain", 3, 1)
    assert (other.escapes, other.bound) == (0, pytest.approx(stats.beta.ppf(1 - 0.05 / 2, 1, 100)))
    searched = escapes_by_type(rows, Thresholds.single(0.4), searched=True)
    assert all(wide.bound > narrow.bound for wide, narrow in zip(searched, (worst, other), strict=True))


def test_without_ng_parts_there_is_nothing_to_certify() -> None:
    with pytest.raises(UserError, match="about NG parts, and there are none"):
        certified(table(0), 0.01)


def test_a_certificate_is_written_with_its_version(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    write_certificate(path, certified(table(299), 0.01), {"part": "test"})
    content = json.loads(path.read_text())
    assert (content["format"], content["version"], content["granted"]) == ("fancnn-certificate", 3, True)
    assert content["thresholds"]["lower"] == content["thresholds"]["upper"]
    assert np.isclose(content["bound"], upper_bound(0, 299))


def test_recheck_may_begin_where_the_claim_ends() -> None:
    found = certified(table(299), 0.01, recheck_above=0.8)
    assert found.thresholds.upper == 0.8
    assert found.thresholds.lower < 0.5
    assert found.rechecked > 0


def test_what_does_not_count_and_what_stands_twice_is_said() -> None:
    unread = [Prediction(f"unread/{i}", None, label=1, split="test", error="empty") for i in range(5)]
    unlabelled = [Prediction(f"new/{i}", 0.01, split="test") for i in range(120)]
    found = certified(table(299) + unread + unlabelled, 0.01, unread_ng_files=25)
    assert found.excluded == Excluded(without_label=120, without_probability=5, unread_ng_files=25)
    for text in (
        "optimistic: 120 images without a label do not count; NG parts may be among them",
        "optimistic: 5 NG images have no probability",
        "optimistic: 25 files in NG folders could not be read and have no row",
    ):
        assert any(caveat.startswith(text) for caveat in found.caveats)
    with pytest.raises(UserError, match="ng/0 stands 299 times"):
        certified([replace(row, path="ng/0") for row in table(299, go=0)], 0.01)


def test_copies_of_an_image_count_once() -> None:
    images = [replace(row, pixel_sha256=f"{i:064x}") for i, row in enumerate(table(30, go=20))]
    copies = [
        replace(row, path=f"copy {number} of {row.path}", probability=min(1.0, row.probability + 0.01 * number))
        for row in images
        for number in range(10)
    ]
    found = certified(copies, 0.2)
    assert (found.ng_parts, found.go_parts, found.excluded.copies) == (30, 20, 450)
    assert any(caveat.startswith("450 copies of other images do not count") for caveat in found.caveats)
    assert certified(images, 0.2).thresholds.lower == pytest.approx(found.thresholds.lower, abs=0.02)
    assert min(row.probability for row in counted_once(copies) if row.label == 1) == min(
        row.probability for row in copies if row.label == 1
    )
    assert max(row.probability for row in counted_once(copies) if row.label == 0) == max(
        row.probability for row in copies if row.label == 0
    )
    (caveat,) = certified([replace(row, pixel_sha256="", probability=0.7) for row in copies], 0.2).caveats[:1]
    assert caveat.startswith("copies cannot be recognized: 500 of 500 images have exactly the same probability")


@pytest.mark.parametrize(
    ("role", "caveat"),
    [
        ("epoch calibration", "optimistic: 299 of 499 images chose the model's epoch or fitted its calibration"),
        ("thresholds", "optimistic: 299 of 499 images chose the model's thresholds"),
        ("none", ""),
    ],
)
def test_what_the_model_says_it_has_seen_is_said(role: str, caveat: str) -> None:
    rows = [replace(row, seen=role if row.label else "none", split="") for row in table(299)]
    found = certified(rows, 0.02, thresholds=Thresholds.single(0.3))
    assert found.caveats[:1] == ((caveat,) if caveat else ())


def test_images_that_the_weights_have_seen_refuse_the_claim_or_are_left_out() -> None:
    rows = [replace(row, seen="weights epoch" if i < 40 else "none") for i, row in enumerate(table(400))]
    refused = certified(rows, 0.02)
    assert (refused.granted, refused.refusal, refused.bound) == (False, "seen", 1.0)
    assert refused.statement.startswith("40 of 600 images have trained the model's weights")
    assert "exclude_seen=true" in refused.statement
    left = certified(rows, 0.02, exclude_seen=True)
    assert (left.granted, left.ng, left.excluded.seen) == (True, 360, 40)
    assert left.caveats[0] == "40 images that trained the weights are left out"
    nothing = certified(table(400), 0.02, exclude_seen=True)
    assert nothing.caveats[0].startswith("exclude_seen=true leaves out nothing")
    with pytest.raises(UserError, match="none among these images: the weights have seen all 600 others"):
        certified([replace(row, seen="weights") for row in rows], 0.02, exclude_seen=True)


def test_of_images_that_several_models_scored_nothing_is_claimed() -> None:
    found = certified(table(400), 0.02, scored_by="each image was scored by one model")
    assert (found.granted, found.refusal) == (False, "several models")
    assert found.statement.startswith("each image was scored by one model, so that a claim would be of no one model")


def test_what_the_claim_takes_of_a_person_is_said() -> None:
    found = certified(table(299), 0.01, thresholds=Thresholds(0.0, 1.0))
    assert found.granted
    assert found.assumes_person == 299
    assert (
        "299 of 299 NG parts go to a person (RECHECK), and the claim takes it that the person misses none"
        in found.statement
    )
    assert "of little use as it is: 199 of 200 good parts would go to a person" in found.caveats
    assert found.scope.startswith("it holds for parts drawn as these were: the same product, camera and light")


def test_a_claim_that_rejects_most_good_parts_is_called_of_little_use() -> None:
    rows = [replace(row, probability=0.6 + i / 1e6) if row.label == 0 else row for i, row in enumerate(table(299))]
    assert certified(rows, 0.01).caveats == ("of little use as it is: 200 of 200 good parts would be rejected",)


def test_an_image_with_two_labels_is_said() -> None:
    rows = [replace(row, sha256=f"{i + 1:064x}"[::-1]) for i, row in enumerate(table(299))]
    twice = replace(rows[0], path="go/copy", label=0)
    assert "both as GO and as NG, one of them wrongly, and are counted as both: 1" in " ".join(
        certified([*rows, twice], 0.01).caveats
    )
    assert certified(rows, 0.01).caveats == ()


def test_of_several_images_of_a_part_the_worst_is_counted() -> None:
    parts = table(299)
    images = [
        replace(row, path=f"{row.path}/{camera}", part=row.path, probability=(row.probability or 0) * (camera == 1))
        for row in parts
        for camera in range(3)
    ]
    of_parts, alone = certified(images, 0.01), certified(parts, 0.01)
    assert (of_parts.granted, of_parts.ng, of_parts.go) == (True, 299, 200)
    assert (of_parts.thresholds, of_parts.statement) == (alone.thresholds, alone.statement)
    assert (
        "of 499 parts in 1,497 images the worst image of a part decides: it holds for parts of" in of_parts.caveats[0]
    )
    unread = [replace(row, probability=None) if row.path == "ng/0/2" else row for row in images]
    refused = certified(unread, 0.01)
    assert (refused.granted, refused.ng, refused.excluded.without_probability) == (False, 298, 1)
    assert "optimistic: 1 NG parts have no probability and do not count; hard ones may be among them" in refused.caveats
    seen = [replace(row, seen="weights" if row.path == "go/7/0" else "none") for row in images]
    assert certified(seen, 0.01).statement.startswith("1 of 499 parts have trained the model's weights")
    assert certified(seen, 0.01, exclude_seen=True).go == 199
