import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from samples import SMALL, compose_command, run_command
from scipy import stats

from fancnn.crossval.crossval import crossval, mean_over_folds
from fancnn.crossval.settings import CrossvalSettings
from fancnn.decisions.threshold_choice import threshold_for_escape_rate
from fancnn.errors import UserError
from fancnn.metrics.predictions import read_predictions
from fancnn.metrics.thresholds import Thresholds

Run = Callable[..., float | None]


def crossvalidate(image_folder: Path, output: Path, *overrides: str) -> float | None:
    given = [*SMALL, f"data.root={image_folder}", "folds=3", f"output_dir={output}", "overrides=[]", "report=false"]
    return crossval(compose_command("crossval", CrossvalSettings, *given, *overrides))


@pytest.fixture
def run_crossval(image_folder: Path, tmp_path: Path) -> Run:
    """Cross-validate in `tmp_path / "run"`."""
    return partial(crossvalidate, image_folder, tmp_path / "run")


@pytest.fixture(scope="module")
def finished(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float | None]:
    """A finished cross-validation, to be copied, and its objective."""
    output = tmp_path_factory.mktemp("finished") / "run"
    return output, crossvalidate(image_folder, output)


def test_every_image_has_one_prediction_by_a_model_that_has_not_seen_it(
    finished: tuple[Path, float | None],
) -> None:
    run, objective = finished
    rows = read_predictions(run / "predictions.csv")
    assert len({row.path for row in rows}) == len(rows) == 70
    assert {row.split for row in rows} == {"test"}
    for number in (1, 2, 3):
        own = {row.path: row for row in read_predictions(run / f"fold-{number}/predictions.csv")}
        tested = [row for row in rows if row.path in own and own[row.path].split == "test"]
        assert tested
        assert all(row.probability == own[row.path].probability for row in tested)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["splits"]["test"]["images"] == 70
    if objective is not None:
        assert objective == pytest.approx(np.mean([fold["f1"] for fold in metrics["folds"]]))


def test_after_a_kill_finished_folds_are_kept_and_the_others_end_as_they_would_have(
    finished: tuple[Path, float | None], run_crossval: Run, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished[0], tmp_path / "run"))
    whole, first = (run / "predictions.csv").read_bytes(), (run / "fold-1/metrics.json").stat().st_mtime_ns
    (run / "fold-2/metrics.json").unlink()  # as after a kill between its first epoch and its end
    (run / "fold-2/predictions.csv").unlink()
    (run / "fold-2/checkpoints/last.ckpt").unlink()
    shutil.rmtree(run / "fold-3")
    run_crossval()
    assert (run / "predictions.csv").read_bytes() == whole
    assert (run / "fold-1/metrics.json").stat().st_mtime_ns == first
    with pytest.raises(UserError, match=r"fold-1/split.csv has other images or other folds than now"):
        run_crossval("seed=5")


@pytest.mark.slow
def test_a_test_part_is_left_alone(run_crossval: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_crossval("data.test_fraction=0.2")
    assert "14 images of the test split are left alone" in capsys.readouterr().out
    assert len(read_predictions(tmp_path / "run/predictions.csv")) == 56


@pytest.mark.slow
def test_a_rule_speaks_of_one_set_of_thresholds_for_the_whole_table(
    run_crossval: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_crossval("decision.rule=escape", "decision.escape_rate=0.6", "model.optimizer.lr=0.01", "trainer.max_epochs=4")
    rows = read_predictions(tmp_path / "run/predictions.csv")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    thresholds = Thresholds(*metrics["thresholds"])
    assert (
        thresholds
        == threshold_for_escape_rate(
            [row.probability for row in rows if row.label == 1],
            0.6,
            go_probabilities=[row.probability for row in rows if row.label == 0],
        ).thresholds
    )
    assert [row.decision for row in rows] == [thresholds.decide(row.probability or 0) for row in rows]
    test = metrics["splits"]["test"]
    assert sum(row.decision == "NG" for row in rows) == test["ng_found"] + test["overkills"]
    said = (
        "chosen on the predictions of the folds' models; not measured on any one model, and each fold's own thresholds "
        "are in its folder"
    )
    assert (metrics["decision"], metrics["decision_split"]) == (said, "test")
    assert metrics["decision_rule"]["rule"] == "escape"
    assert said in capsys.readouterr().out


@pytest.mark.slow
def test_a_rule_that_the_whole_table_cannot_carry_leaves_the_thresholds_as_configured(
    run_crossval: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_crossval("decision.rule=escape", "decision.escape_rate=0.6")

    def none(*given: object) -> None:
        raise UserError("3 of 3 NG parts have probability 0")

    monkeypatch.setattr("fancnn.crossval.crossval.choose_on", none)
    run_crossval("decision.rule=escape", "decision.escape_rate=0.6")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["decision"] == "fixed, since decision.rule=escape could not choose"
    assert (metrics["thresholds"], metrics["decision_split"]) == ([0.5, 0.5], None)
    assert "warning: 3 of 3 NG parts have probability 0" in capsys.readouterr().out


def test_folds_have_no_order(run_crossval: Run) -> None:
    with pytest.raises(UserError, match="data.split_method=ordered has no folds"):
        run_crossval("data.split_method=ordered")


@pytest.mark.slow
def test_the_command_goes_on_in_the_same_folder(image_folder: Path, tmp_path: Path) -> None:
    quick = [*SMALL, f"data.root={image_folder}", "folds=3", "trainer.max_epochs=1", "report=false"]
    begun = run_command("fancnn.crossval", *quick, "hydra.run.dir=cross val", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    again = run_command("fancnn.crossval", "ckpt='cross val'", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished before") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["cross val"]


def test_the_mean_has_students_interval_with_nadeau_and_bengios_variance() -> None:
    values = [0.8, 0.85, 0.9, 0.7, 0.95]
    found = mean_over_folds(values)
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * np.sqrt(1 / 5 + 1 / 3)
    assert found == pytest.approx((np.mean(values), np.mean(values) - half, np.mean(values) + half))
    assert mean_over_folds(values, 0.7, 0.9)[1:] == (0.7, 0.9)  # type: ignore[index]
    assert mean_over_folds([0.5, None, 0.5]) is None
