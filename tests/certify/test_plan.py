import json
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import compose_command, run_command
from scipy import stats

from fancnn.certify.certify import certify
from fancnn.certify.plan import make_plan
from fancnn.certify.settings import CertifySettings
from fancnn.decisions.sampling_plans import Planned
from fancnn.errors import UserError
from fancnn.metrics.intervals import upper_bound

MakePlan = Callable[..., Planned]


@pytest.fixture
def plan(tmp_path: Path) -> MakePlan:
    def run(*overrides: str) -> Planned:
        given = ("plan=true", "looks=1", *overrides, f"output_dir={tmp_path}")
        return make_plan(compose_command("certify", CertifySettings, *given))

    return run


def test_a_plan_is_made_by_command_before_there_is_an_image(tmp_path: Path) -> None:
    given = ("plan=true", "looks=1", "good=0.001", f"output_dir={tmp_path / 'out'}")
    answer = run_command("fancnn.certify", *given, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    for number in ("299", "473", "628", "74 %", "377 NG parts prove the claim without an escape instead of 299"):
        assert number in answer.stdout
    assert "limiting quality, LQ) at a consumer's risk of 5 %" in answer.stdout
    assert sorted(path.name for path in (tmp_path / "out").glob("plan.*")) == ["plan.html", "plan.json", "plan.png"]
    assert (tmp_path / "out/plan.png").read_bytes().startswith(b"\x89PNG")


def test_the_file_holds_the_plans_and_their_curves(plan: MakePlan, tmp_path: Path) -> None:
    found = plan("accept=[0,5]", "good=0.001")
    content = json.loads((tmp_path / "plan.json").read_text())
    assert (content["format"], content["version"], content["unit"]) == ("fancnn-plan", 1, "part")
    assert [(item["accept"], item["parts"]) for item in content["plans"]] == [(0, 299), (2, 628), (5, 1049)]
    assert content["cheapest"] == 2  # not asked for, and shown
    for item in content["plans"]:
        assert upper_bound(item["accept"], item["parts"]) <= 0.01
        assert item["granted_if_good"] == pytest.approx(stats.binom.cdf(item["accept"], item["parts"], 0.001))
        assert [pair["probability"] for pair in item["rates"]] == pytest.approx([0.95, 0.1, 0.05])
        for pair in item["rates"]:
            granted = stats.binom.cdf(item["accept"], item["parts"], pair["rate"])
            assert granted == pytest.approx(pair["probability"])
        curve = content["oc"]["granted"][str(item["accept"])]
        assert curve == sorted(curve, reverse=True)
        assert curve == pytest.approx(stats.binom.cdf(item["accept"], item["parts"], content["oc"]["rates"]), abs=1e-9)
    assert content["sequential"]["median"] == 377
    assert found.best.accept == 2  # type: ignore[union-attr]


def test_a_plan_is_what_certify_will_hold_the_first_look_to(
    plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plan("looks=null", "accept=[0]")
    assert (found.confidence, found.over_all_looks, found.plans[0].parts) == (0.9697, 0.95, 348)
    text = " ".join(capsys.readouterr().out.split())
    assert "The first look at these images is held to 96.97 %, so that 95 % holds over all looks at them" in text
    assert "looks=1 keeps all of it: 299 NG parts without an escape" in text


def test_a_guess_is_made_where_none_is_said(plan: MakePlan) -> None:
    assert plan("escape=0.02").good == pytest.approx(0.002)


def test_the_page_shows_what_the_console_says(
    plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan("unit=group", "output=" + str(tmp_path / "mine.json"))
    page, said = (tmp_path / "mine.html").read_text(), capsys.readouterr().out
    for text in ("the claim is on the share of groups, not of parts", "628 NG groups and allows 2 to pass"):
        assert text in page
        assert text in said
    assert page.count("<svg") == 2
    assert "Intervals are 95 %" not in page  # as other pages say


def test_a_lot_is_planned_by_itself_and_says_who_counts_it(
    plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plan("lot=500", "accept=[0,6]")
    assert [item.accept for item in found.plans] == [0]  # six of 500 would break the claim
    assert found.plans[0].parts == next(n for n in range(1, 501) if stats.hypergeom.cdf(0, 500, 6, n) <= 0.05)
    said = capsys.readouterr().out
    assert "of the 500 NG parts of the lot" in said
    assert "a claim on the lot alone is for you to count" in said
    assert "the smallest rate that makes the claim false, 6 of 500" in said
    assert json.loads((tmp_path / "plan.json").read_text())["sequential"] is None


def test_a_model_too_near_to_its_claim_has_no_plan_that_is_likely_to_be_granted(
    plan: MakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan("good=0.0099").best is None
    said = capsys.readouterr().out
    assert "No plan of up to 100,000 NG parts is granted with 95 % to a model that lets through 0.99 %" in said


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["table=x.csv"], "plan=true is made before there are images, and table=x.csv is for a claim on some"),
        (["run=x"], "and run=x is for a claim on some"),
        (["sequential=true"], "and sequential=True is for a claim on some"),
        (["threshold=0.5"], "and threshold=0.5 is for a claim on some"),
        (["escape=1"], "escape=1.0: expected a share above 0 and below 1"),
        (["producer=0"], "producer=0.0: expected a share above 0 and below 1"),
        (["good=0.01"], "good=0.01: expected the escape rate that the model is thought to have, from 0 to below"),
        (["good=-1"], "good=-1.0: expected"),
        (["accept=[]"], r"accept=\[\]: expected one to 8 whole numbers"),
        (["accept=[-1]"], r"accept=\[-1\]: expected one to 8 whole numbers"),
        (["lot=0"], "lot=0: expected how many NG parts the lot has"),
        (["lot=50", "accept=[3]"], "among 50 NG parts so many escapes are more than escape=0.01 allows"),
        (["unit=panel"], "unit='panel' is none of"),
    ],
)
def test_mistakes_are_told(overrides: list[str], text: str, plan: MakePlan) -> None:
    with pytest.raises(UserError, match=text):
        plan(*overrides)


@pytest.mark.parametrize("key", ["lot=50", "good=0.001"])
def test_keys_of_a_plan_do_nothing_in_silence(key: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lot= and good= are for a plan before images are collected: say plan=true"):
        certify(compose_command("certify", CertifySettings, "table=x.csv", key, f"output_dir={tmp_path}"))
