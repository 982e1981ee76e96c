"""Thresholds and calibration at the end of a training, and chosen again afterwards."""

import json
import resource
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import compose_command

import fancnn
from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.decide.decide import choose, decide, rule_of
from fancnn.decide.settings import DecideSettings
from fancnn.decisions.threshold_choice import MARGIN, ThresholdChoice, max_f1_threshold, threshold_for_escape_rate
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import Prediction, columns, read_predictions, write_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.settings.choices import ClaimUnit
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
COSTS = ["line.ng_rate=0.05", "line.costs.escape=100", "line.costs.overkill=2", "line.costs.look=1"]


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "copied"))


def decided(run: Path, *overrides: str) -> Thresholds:
    return decide(compose_command("decide", DecideSettings, f"run={run}", *overrides))


def test_a_rule_of_the_training_is_kept_in_the_model_and_used_by_all(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("decision.rule=f1", "model.optimizer.lr=0.01", "trainer.max_epochs=6"))
    run = tmp_path / "run"
    rows = [row for row in read_predictions(run / "predictions.csv") if row.split == "val"]
    expected = max_f1_threshold(*columns(rows)).thresholds
    assert fancnn.load(run).thresholds == expected
    assert json.loads((run / "metrics.json").read_text())["thresholds"] == [expected.lower, expected.upper]
    assert {row.decision for row in rows if row.probability and row.probability > expected.upper} == {"NG"}


def test_another_rule_changes_checkpoint_predictions_and_metrics_together(run: Path) -> None:
    before = fancnn.load(run).thresholds
    thresholds = decided(run, "decision.rule=cost", *COSTS)
    assert thresholds != before
    model, metrics = fancnn.load(run), json.loads((run / "metrics.json").read_text())
    assert model.thresholds == thresholds
    assert metrics["thresholds"] == [thresholds.lower, thresholds.upper]
    assert metrics["decision_split"] == "val"
    for row in read_predictions(run / "predictions.csv"):
        assert row.decision == thresholds.decide(row.probability)


def test_what_is_known_of_the_line_is_known_to_evaluate(run: Path, tmp_path: Path) -> None:
    decided(run, "decision.rule=cost", *COSTS, "line.parts_per_shift=1000")
    given = [f"run={run}", "device=cpu", f"output_dir={tmp_path / 'out'}"]
    found = evaluate_run(compose_command("evaluate", EvaluateSettings, *given)).splits["test"]
    assert found["forecast"]["looks_per_shift"][0] >= 0
    assert found["forecast"]["cost_per_month"] is not None


def test_a_decision_that_was_cut_short_is_noticed_and_can_be_made_again(run: Path) -> None:
    (run / ".deciding").touch()  # as a kill between its three files leaves it
    for use in (fancnn.load, lambda run: certify_settings(run)):
        with pytest.raises(UserError, match="was being decided again when that was stopped: run .*decide again"):
            use(run)
    thresholds = decided(run, "decision.rule=f1")
    assert fancnn.load(run).thresholds == thresholds


@pytest.mark.parametrize("was_cut_short", [False, True])
def test_a_disk_without_room_for_the_checkpoint_leaves_the_run_as_it_was(run: Path, was_cut_short: bool) -> None:
    if was_cut_short:
        (run / ".deciding").touch()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # a file may not grow further, as on a full disk
    try:
        with pytest.raises(UserError, match=r"cannot write .*best.ckpt: File too large"):
            decided(run, "decision.rule=f1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def certify_settings(run: Path) -> None:
    certify(compose_command("certify", CertifySettings, f"run={run}", f"output_dir={run}"))


def test_costs_of_nothing_choose_nothing(run: Path) -> None:
    with pytest.raises(
        UserError, match="line.costs.escape=0.0 and line.costs.overkill=2.0: where one mistake costs nothing"
    ):
        decided(run, "decision.rule=cost", "line.ng_rate=0.1", "line.costs.escape=0", "line.costs.overkill=2")


def test_evaluate_states_what_the_decision_did_of_the_part_that_chose(run: Path, tmp_path: Path) -> None:
    decided(run, "decision.rule=f1")
    given = [f"run={run}", "split=val", "device=cpu", f"output_dir={tmp_path / 'out'}"]
    found = evaluate_run(compose_command("evaluate", EvaluateSettings, *given)).splits["val"]
    assert found["by_type"] == json.loads((run / "metrics.json").read_text())["splits"]["val"]["by_type"]


def test_the_last_checkpoint_stays_as_training_left_it(run: Path) -> None:
    decided(run, "decision.rule=f1")
    assert fancnn.load(run / "checkpoints/last.ckpt", unfinished=True).thresholds.upper == 0.5


def test_a_rule_that_the_images_cannot_carry_changes_nothing(run: Path) -> None:
    before = (run / "metrics.json").read_bytes()
    with pytest.raises(UserError, match=r"6 NG parts cannot prove .* of parts <= 1 % .*: 299 NG parts are needed"):
        decided(run, "decision.rule=escape")
    with pytest.raises(UserError, match="decision.split=train: the run has predictions of test, val alone"):
        decided(run, "decision.split=train")
    assert (run / "metrics.json").read_bytes() == before


def test_too_few_images_for_an_escape_rate_are_told_before_the_training(
    train_settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"escape: in val 6 NG parts cannot prove .*: 299 NG parts are needed"):
        train(train_settings("decision.rule=escape"))
    assert not (tmp_path / "run/checkpoints").exists()
    with pytest.raises(UserError, match="decision.split=test: there is no such split"):
        train(train_settings("decision.split=test"))


def in_lots(run: Path, size: int = 2) -> None:
    """Give each image of a run's table a lot of `size` images of its part."""
    rows = read_predictions(run / "predictions.csv")
    replace_predictions(run, [replace(row, group=f"{row.split} {i // size}") for i, row in enumerate(rows)])


def replace_predictions(run: Path, rows: Sequence[Prediction]) -> None:
    """Give a run other predictions, as if it had always had them."""
    write_predictions(rows, run / "predictions.csv")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "predictions_sha256": None}))


def test_a_promise_counts_what_a_certificate_counts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_lots(run)
    rule = ["decision.rule=escape", "decision.escape_rate=0.8"]
    by_group = decided(run, *rule)
    assert "escape rate of groups <= " in json.loads((run / "metrics.json").read_text())["decision"]
    rows = [row for row in read_predictions(run / "predictions.csv") if row.split == "val"]
    ng = [row for row in rows if row.label == 1]
    assert (
        by_group
        == threshold_for_escape_rate(
            [row.probability for row in ng],
            0.8,
            groups=[row.group for row in ng],
            unit="group",
            go_probabilities=[row.probability for row in rows if row.label == 0],
        ).thresholds
    )
    with pytest.raises(UserError, match="decision.unit=part: .* groups have several images"):
        decided(run, *rule, "decision.unit=part")
    by_lot = decided(run, "decision.rule=escape", "decision.escape_rate=0.9", "decision.largest_group=2")
    kept = json.loads((run / "metrics.json").read_text())
    assert "escape rate of parts <= 90 %" in kept["decision"]
    assert kept["decision_rule"]["largest_group"] == 2
    assert fancnn.load(run).thresholds == by_lot
    capsys.readouterr()
    certificate = certify(
        compose_command("certify", CertifySettings, f"run={run}", "split=val", "escape=0.8", f"output_dir={run}")
    )
    assert (certificate.unit, certificate.thresholds) == ("group", by_group)


def test_units_that_prove_nothing_are_told_before_the_training(train_settings: Settings) -> None:
    grouped = [
        "decision.rule=escape",
        "decision.escape_rate=0.5",
        "data.split_method=grouped",
        r"data.group='\d\d(?=\d)'",
    ]
    train_settings(*grouped)
    with pytest.raises(UserError, match=r"in val \d groups with NG parts cannot prove .* of groups <= 10 %"):
        train(train_settings(*grouped, "decision.escape_rate=0.1"))
    with pytest.raises(UserError, match="decision.unit=part: .* groups have several images"):
        train(train_settings(*grouped, "decision.unit=part"))
    with pytest.raises(UserError, match="decision.unit=group is for decision.rule=escape"):
        train(train_settings("decision.unit=group"))
    with pytest.raises(UserError, match="decision.unit='lot' is none of part, group"):
        train(train_settings("decision.rule=escape", "decision.unit=lot"))


def test_rules_that_were_kept_before_there_were_units_can_be_chosen_again(run: Path) -> None:
    decided(run, "decision.rule=escape", "decision.escape_rate=0.6")
    model = fancnn.load(run)
    kept = dict(model.metadata.decision_rule)
    del kept["unit"], kept["largest_group"]
    model.metadata = replace(model.metadata, decision_rule=kept)
    settings = compose_command("decide", DecideSettings, f"run={run}").decision
    rule, note = rule_of(model, settings)
    assert (rule.rule, rule.escape_rate, rule.unit, rule.largest_group, note) == ("escape", 0.6, None, None, "")


def test_copies_promise_nothing_more(run: Path) -> None:
    rows = read_predictions(run / "predictions.csv")
    copies = [
        replace(row, path=f"{n}/{row.path}", pixel_sha256=f"{i:064x}") for i, row in enumerate(rows) for n in range(9)
    ]
    replace_predictions(run, copies)
    with pytest.raises(UserError, match="6 NG parts cannot prove"):
        decided(run, "decision.rule=escape", "decision.escape_rate=0.1")


@pytest.mark.slow
def test_calibration_changes_probabilities_and_no_order(train_settings: Settings, tmp_path: Path) -> None:
    learns = ["model.optimizer.lr=0.01", "trainer.max_epochs=6"]
    for method in ("none", "temperature", "platt"):
        train(train_settings(f"calibration={method}", *learns, output=tmp_path / method))
    _, raw = columns(read_predictions(tmp_path / "none" / "predictions.csv"))
    logits = np.log(raw / (1 - raw))
    for method in ("temperature", "platt"):
        _, warm = columns(read_predictions(tmp_path / method / "predictions.csv"))
        assert not np.allclose(raw, warm)
        np.testing.assert_array_equal(np.argsort(raw), np.argsort(warm))
        model = fancnn.load(tmp_path / method)
        np.testing.assert_allclose(model.calibration.probabilities(logits), warm, atol=1e-9)
        assert model.calibration.method == method
    assert fancnn.load(tmp_path / "platt").calibration_ng_rate == 6 / 14
    assert fancnn.load(tmp_path / "none").calibration_ng_rate is None


def test_too_few_images_for_isotonic_calibration_are_said(
    train_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    train(train_settings("calibration=isotonic"))
    assert "warning: calibration: isotonic needs 1000 images" in capsys.readouterr().out


def test_an_overkill_rate_counts_copies_once_and_groups_by_their_worst_part(run: Path) -> None:
    settings = compose_command(
        "decide", DecideSettings, f"run={run}", "decision.rule=overkill", "decision.overkill_rate=0.5"
    )
    scores, labels = [0.1, 0.2, 0.3, 0.9], [0, 0, 0, 1]

    def chosen(groups: list[str], contents: list[str]) -> ThresholdChoice:
        return choose(settings.decision, settings.line, labels, scores, groups, contents)

    alone, copied = chosen([""] * 4, [*"abcd"]), chosen([""] * 4, [*"abbd"])
    assert alone.thresholds.upper == pytest.approx(0.2, abs=2 * MARGIN)  # the second of three: 2 / 4
    assert copied.thresholds.upper == pytest.approx(0.3, abs=2 * MARGIN)  # the first of two: 1 / 3
    assert "overkill rate of parts <= 50 % expected (1 of 3 GO parts rejected)" in alone.reason
    grouped = chosen(["lot1", "lot2", "lot2", "lot3"], [*"abcd"])
    assert grouped.thresholds.upper == pytest.approx(0.3, abs=2 * MARGIN)
    assert "overkill rate of groups <= 50 % expected (0 of 2 groups have a GO part" in grouped.reason
    settings.decision.unit = ClaimUnit.part
    by_part = chosen(["lot1", "lot2", "lot2", "lot3"], [*"abcd"])
    assert by_part.thresholds == alone.thresholds
    assert by_part.reason.endswith(
        "(1 of 3 GO parts rejected); parts of one group are alike, so that no bound is stated"
    )


def test_an_overkill_rate_is_chosen_by_a_training_and_again_by_decide(train_settings: Settings, tmp_path: Path) -> None:
    train(train_settings("decision.rule=overkill", "decision.overkill_rate=0.2", "data.val_fraction=0.5"))
    run = tmp_path / "run"
    first = fancnn.load(run).thresholds
    rows = [row for row in read_predictions(run / "predictions.csv") if row.split == "val" and row.label == 0]
    assert len(rows) == 20
    assert sum(row.decision == "NG" for row in rows) == 3  # the fourth of 20: 4 / 21
    again = decided(run, "decision.rule=overkill", "decision.overkill_rate=0.1")
    assert again.upper > first.upper
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["decision"].startswith("overkill rate of parts <= 10 % expected (1 of 20 GO parts rejected); <= ")
    assert metrics["decision_rule"]["overkill_rate"] == 0.1


def test_too_few_good_images_for_an_overkill_rate_are_refused_before_the_training(train_settings: Settings) -> None:
    with pytest.raises(UserError, match="in val 8 GO parts cannot carry .* <= 5 %: 19 are needed.*data.val_fraction"):
        train(train_settings("decision.rule=overkill", "decision.overkill_rate=0.05"))
