import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import compose_command, write_images

from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.evaluate_table import evaluate_table
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import read_predictions
from fancnn.report.report import report
from fancnn.report.settings import ReportSettings
from fancnn.runs.metrics_file import read_metrics

Evaluate = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def run_evaluate(trained_run: Path, tmp_path: Path) -> Evaluate:
    def run(*overrides: str) -> dict[str, dict[str, Any]]:
        given = [f"run={trained_run}", "device=cpu", f"output_dir={tmp_path / 'out'}", *overrides]
        return evaluate_run(compose_command("evaluate", EvaluateSettings, *given)).splits

    return run


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_runs_own_part_gives_metrics_json_again(part: str, run_evaluate: Evaluate, trained_run: Path) -> None:
    before = json.loads((trained_run / "metrics.json").read_text())["splits"][part]
    again = run_evaluate(f"split={part}")[part]
    assert again["by_type"] == before["by_type"]
    assert numbers(again) == pytest.approx(numbers(before), abs=1e-6)
    assert again["intervals"].keys() == before["intervals"].keys()
    for name, interval in before["intervals"].items():
        assert again["intervals"][name] == pytest.approx(interval, abs=1e-6), name


def test_test_is_taken_where_there_is_one(run_evaluate: Evaluate, tmp_path: Path) -> None:
    assert set(run_evaluate()) == {"test"}
    assert {row.split for row in read_predictions(tmp_path / "out/predictions.csv")} == {"test"}


def test_another_folder_is_scored_by_the_names_the_run_knows(
    run_evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "other", {"GO": 5, "NG": 4, "unknown": 3})
    assert run_evaluate(f"data.root={root}")["all"]["images"] == 9
    assert "left out, since the run has no such class: unknown (3)" in capsys.readouterr().out


@pytest.mark.parametrize(("ng", "said"), [(2, True), (15, False)])
def test_a_folder_of_another_mix_is_told(
    ng: int, said: bool, run_evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_evaluate(f"data.root={write_images(tmp_path / 'other', {'GO': 20, 'NG': ng})}")
    expected = "note: P(NG) is for parts mixed like the validation images, 0.429 NG, and here 0.0909 are: loss, Brier"
    assert (expected in capsys.readouterr().out) == said


def test_names_of_another_folder_can_be_translated(run_evaluate: Evaluate, tmp_path: Path) -> None:
    root = write_images(tmp_path / "other", {"OK": 5, "bad": 4})
    found = run_evaluate(f"data.root={root}", "data.class_names={OK: GO, bad: NG}")["all"]
    assert (found["go"], found["ng"]) == (5, 4)


def test_thresholds_of_the_command_line_carry_no_proof_of_those_they_replace(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = Path(shutil.copytree(trained_run, tmp_path / "run")), tmp_path / "out"
    rule = ["decision.rule=escape", "decision.escape_rate=0.6"]
    decide(compose_command("decide", DecideSettings, f"run={run}", *rule))
    proof = "escape rate of parts <= "
    assert proof in capsys.readouterr().out
    given = [f"run={run}", "split=val", "device=cpu", f"output_dir={out}"]
    evaluate_run(compose_command("evaluate", EvaluateSettings, *given))
    assert proof in json.loads((out / "metrics.json").read_text())["decision"]
    capsys.readouterr()
    evaluate_run(compose_command("evaluate", EvaluateSettings, *given, "threshold=0.9"))
    metrics = json.loads((out / "metrics.json").read_text())
    assert [metrics[name] for name in ("decision", "decision_split", "decision_rule")] == [
        "fixed: given on the command line",
        None,
        None,
    ]
    page = report(compose_command("report", ReportSettings, f"run={out}", f"output_dir={out}")).read_text()
    for text in (capsys.readouterr().out, page, (out / "metrics.json").read_text()):
        assert "escape rate of parts" not in text
        assert "Threshold rule" not in text
    assert "fixed: given on the command line" in page


def test_a_folder_with_good_parts_alone_has_undefined_scores(
    run_evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_evaluate(f"data.root={write_images(tmp_path / 'other', {'GO': 5})}")["all"]
    assert found["recall"] is None
    assert "no NG images among them" in capsys.readouterr().out
    assert found["auroc"] is None
    assert found["specificity"] is not None


def test_a_part_of_another_folder(run_evaluate: Evaluate, tmp_path: Path) -> None:
    root = write_images(tmp_path / "other", {"train/GO": 2, "train/NG": 2, "test/GO": 3, "test/NG": 1})
    assert run_evaluate(f"data.root={root}", "split=test")["test"]["images"] == 4
    assert set(run_evaluate(f"data.root={root}")) == {"train", "test"}


def test_unreadable_files_of_another_folder_have_a_row_with_the_reason(run_evaluate: Evaluate, tmp_path: Path) -> None:
    root = write_images(tmp_path / "other", {"GO": 3, "NG": 3})
    (root / "NG/001.png").write_bytes(b"")
    assert run_evaluate(f"data.root={root}")["all"]["images"] == 5
    rows = {row.path: row for row in read_predictions(tmp_path / "out/predictions.csv")}
    assert rows["NG/001.png"].probability is None
    assert rows["NG/001.png"].error.startswith("empty")
    assert json.loads((tmp_path / "out/metrics.json").read_text())["unread"] == 1


def test_images_of_the_training_among_the_scored_are_said(
    run_evaluate: Evaluate, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_evaluate(f"data.root={image_folder}")
    assert "42 of these 70 images trained the weights" in " ".join(capsys.readouterr().out.split())


def test_the_runs_part_is_found_again_where_its_images_have_moved(
    run_evaluate: Evaluate, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(image_folder, tmp_path / "moved"))
    before = json.loads((trained_run / "metrics.json").read_text())["splits"]["val"]
    assert numbers(run_evaluate(f"data.root={moved}", "split=val")["val"]) == pytest.approx(numbers(before), abs=1e-6)


def test_a_checkpoint_alone_scores_another_folder(trained_run: Path, tmp_path: Path) -> None:
    alone = shutil.copy(trained_run / "checkpoints/best.ckpt", tmp_path / "model.ckpt")
    root = write_images(tmp_path / "other", {"GO": 5, "NG": 4})
    given = [f"run={alone}", f"data.root={root}", f"output_dir={tmp_path / 'out'}"]
    found = evaluate_run(compose_command("evaluate", EvaluateSettings, *given))
    assert found.splits["all"]["images"] == 9


def test_images_that_have_changed_since_are_refused(trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(image_folder, tmp_path / "moved"))
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    import torch

    path = run / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    content["fancnn"]["root"] = str(moved)
    torch.save(content, path)
    row = next(row for row in read_predictions(run / "predictions.csv") if row.split == "val")
    (moved / row.path).unlink()
    given = [f"run={run}", f"output_dir={tmp_path / 'out'}", "split=val"]
    with pytest.raises(UserError, match=rf"1 of \d+ images under .*moved are not what .*{row.path} \(no such file"):
        evaluate_run(compose_command("evaluate", EvaluateSettings, *given))


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("split=validation", "split='validation' is none of train, val, test"),
        ("data.class_names={OK: fine}", "the run has no class fine. It has: GO, NG"),
        ("device=abacus", "device='abacus' is none of auto, cpu, cuda"),
    ],
)
def test_mistakes_are_said(override: str, text: str, run_evaluate: Evaluate, image_folder: Path) -> None:
    with pytest.raises(UserError, match=text):
        run_evaluate(override, f"data.root={image_folder}")


def test_a_folder_without_a_known_class_is_said_with_the_way_out(run_evaluate: Evaluate, tmp_path: Path) -> None:
    root = write_images(tmp_path / "other", {"OK": 2, "bad": 2})
    with pytest.raises(UserError, match=r"Found: OK \(2\), bad \(2\).*'data.class_names={OK: GO, bad: NG}'"):
        run_evaluate(f"data.root={root}")


def evaluated(tmp_path: Path, *overrides: str) -> dict[str, dict[str, Any]]:
    given = [*overrides, f"output_dir={tmp_path / 'out'}"]
    return evaluate_table(compose_command("evaluate", EvaluateSettings, *given)).splits


def test_the_table_of_any_model_is_scored_by_itself(tmp_path: Path) -> None:
    table = tmp_path / "peer.csv"
    table.write_text("path,label,probability\na,1,0.9\nb,1,0.4\nc,0,0.6\nd,0,0.1\n")
    found = evaluated(tmp_path, f"table={table}")["all"]
    assert (found["escapes"], found["overkills"]) == (1, 1)
    looser = evaluated(tmp_path, f"table={table}", "threshold=0.7", "recheck=0.3")["all"]
    assert (looser["escapes"], looser["overkills"], looser["ng_rechecked"], looser["go_rechecked"]) == (0, 0, 1, 1)
    rows = read_predictions(tmp_path / "out/predictions.csv")
    assert [row.decision for row in rows] == ["NG", "RECHECK", "RECHECK", "GO"]
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["run"], metrics["thresholds"]) == (None, [0.3, 0.7])


def test_a_forecast_follows_from_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "peer.csv"
    table.write_text("path,label,probability\na,1,0.9\nb,1,0.4\nc,0,0.6\nd,0,0.1\n")
    line = ["line.ng_rate=0.1", "line.parts_per_shift=1000"]
    found = evaluated(tmp_path, f"table={table}", *line)["all"]["forecast"]
    assert found["escapes_per_shift"][0] == pytest.approx(50)
    assert found["cost_per_month"] is None
    assert "what the line may expect" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "give either run=outputs/train/<stamp>, or table=predictions.csv"),
        (["run=a", "table=b"], "give either run="),
        (["table=nowhere.csv"], "table='nowhere.csv' is no file. Expected a prediction table"),
        (["table=nowhere.csv", "line.ng_rate=3"], "line.ng_rate=3.0: expected a share"),
    ],
)
def test_what_to_score_must_be_said(overrides: list[str], text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        evaluated(tmp_path, *overrides)


def test_images_that_come_in_groups_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "lots.csv"
    table.write_text("path,label,probability,group\na,1,0.9,x\nb,1,0.4,x\nc,0,0.6,y\nd,0,0.1,y\n")
    assert evaluated(tmp_path, f"table={table}")["all"]["groups"] == 2
    found = " ".join(capsys.readouterr().out.split())
    assert "intervals are for parts and rest on 2 groups, whose parts may be alike" in found
    assert "all NG parts are of one group: what hangs on them alone has no interval" in found


def test_a_table_without_truth_cannot_be_scored(tmp_path: Path) -> None:
    table = tmp_path / "new.csv"
    table.write_text("path,label,probability\na,,0.9\n")
    with pytest.raises(UserError, match="has no row with a label and a probability"):
        evaluated(tmp_path, f"table={table}")


def test_a_run_can_be_scored_at_other_thresholds(run_evaluate: Evaluate) -> None:
    assert run_evaluate("threshold=1")["test"]["ng_found"] == 0
    with pytest.raises(UserError, match="^recheck=0.9 should be from 0 to threshold=0.5"):
        run_evaluate("recheck=0.9")


def test_what_is_found_is_held_against_masks(
    cell_run: Path, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "other", {"GO": 8, "NG": 12}, seed=5)
    for path in sorted((root / "NG").iterdir()):
        with Image.open(path) as image:
            bright = np.asarray(image).min(2) == 250
        (tmp_path / "masks/NG").mkdir(parents=True, exist_ok=True)
        Image.fromarray(bright.astype(np.uint8) * 255).save(tmp_path / "masks/NG" / path.name)
    given = [f"data.root={root}", f"data.masks={tmp_path / 'masks'}", "device=cpu", f"output_dir={tmp_path / 'out'}"]
    evaluate_run(compose_command("evaluate", EvaluateSettings, f"run={cell_run}", *given))
    masks = read_metrics(tmp_path / "out/metrics.json").masks
    assert masks is not None
    assert (masks["images"], masks["defects"]) == (12, 12)
    assert masks["pointed"] >= 10  # squares are bright, and nothing else is
    assert masks["pointed_by_chance"] < 0.7
    assert f"masks: the hottest region lies on the defect in {masks['pointed']} of 12 images" in capsys.readouterr().out
    with pytest.raises(UserError, match="this model judges images as wholes, and says of none where its defect is"):
        evaluate_run(compose_command("evaluate", EvaluateSettings, f"run={trained_run}", *given))
    with pytest.raises(UserError, match="data.masks needs run="):
        compose_command("evaluate", EvaluateSettings, f"table={tmp_path / 'out/predictions.csv'}", *given)
