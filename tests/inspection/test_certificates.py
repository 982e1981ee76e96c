import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fancnn.errors import UserError
from fancnn.inspection.certificates import certified, escapes_by_type, write_certificate
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import upper_bound
from fancnn.inspection.predictions import Prediction


def table(ng: int, go: int = 200, split: str = "test", **more: str) -> list[Prediction]:
    bad = [Prediction(f"ng/{i}", 0.5 + 0.4 * i / ng, split=split, label=1, **more) for i in range(ng)]
    return bad + [Prediction(f"go/{i}", 0.6 * i / go, split=split, label=0, **more) for i in range(go)]


def test_299_pictures_carry_one_percent_and_298_do_not() -> None:
    granted, refused = certified(table(299), 0.01), certified(table(298), 0.01)
    assert granted.granted
    assert granted.bound == pytest.approx(upper_bound(0, 299))
    assert granted.statement.startswith("escape rate <= 0.997 % at 95 % confidence; overkill ")
    assert not refused.granted
    assert refused.thresholds is None
    assert refused.statement.startswith("298 NG parts cannot prove an escape rate of 1 % at 95 % confidence: 299 are")


def test_fifty_pictures_prove_less_than_six_percent() -> None:
    refused = certified(table(50), 0.01)
    assert "5.82 % is the least they could prove" in refused.statement
    assert certified(table(50), 0.0583).granted


def test_more_pictures_let_the_threshold_rise_and_more_parts_pass() -> None:
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
        ("train", "optimistic: some of these pictures were trained on"),
        ("val", "optimistic: some of these pictures chose the epoch"),
        ("", "it is taken that the model has never seen these pictures"),
    ],
)
def test_what_makes_a_claim_optimistic_is_said(split: str, caveat: str) -> None:
    (found,) = certified(table(299, split=split), 0.01).caveats
    assert found.startswith(caveat)
    assert certified(table(299), 0.01).caveats == ()


def test_groups_can_be_what_is_counted() -> None:
    rows = [replace(row, group=str(i // 3)) for i, row in enumerate(table(900, go=0))]
    by_picture = certified(rows, 0.01, unit="picture")
    assert any("300 groups" in caveat for caveat in by_picture.caveats)
    by_group = certified(rows, 0.01)  # where there are groups, they are what is counted
    assert (by_group.ng, by_group.caveats) == (300, ())
    assert by_group.thresholds.lower < by_picture.thresholds.lower
    with pytest.raises(UserError, match="unit=group needs a group for each picture"):
        certified(table(10), 0.01, unit="group")


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
    assert (content["format"], content["version"], content["granted"]) == ("fancnn-certificate", 1, True)
    assert content["thresholds"]["lower"] == content["thresholds"]["upper"]
    assert np.isclose(content["bound"], upper_bound(0, 299))


def test_recheck_may_begin_where_the_claim_ends() -> None:
    found = certified(table(299), 0.01, recheck_above=0.8)
    assert found.thresholds.upper == 0.8
    assert found.thresholds.lower < 0.5
    assert found.rechecked > 0


def test_what_was_not_scored_and_what_stands_twice_is_not_passed_over_in_silence() -> None:
    unread = [Prediction(f"unread/{i}", None, label=1, split="test", error="empty") for i in range(5)]
    assert any("5 NG pictures have no probability" in caveat for caveat in certified(table(299) + unread, 0.01).caveats)
    with pytest.raises(UserError, match="ng/0 stands 299 times"):
        certified([replace(row, path="ng/0") for row in table(299, go=0)], 0.01)


def test_a_claim_that_rejects_most_good_parts_is_called_of_little_use() -> None:
    rows = [replace(row, probability=0.6) if row.label == 0 else row for row in table(299)]
    assert certified(rows, 0.01).caveats == ("of little use as it is: 200 of 200 good parts would be rejected",)
