import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from samples import SMALL, compose_command

import fancnn
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import read_predictions
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
LEARNS = ["model.optimizer.lr=0.01", "trainer.max_epochs=4"]


@pytest.fixture
def runs(train_settings: Settings, tmp_path: Path) -> list[Path]:
    """Two trainings on one split."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(train_settings(*LEARNS, "data.test_fraction=0.2", output=first))
    train(train_settings(*LEARNS, "seed=1", f"data.split_file={first / 'split.csv'}", output=second))
    return [first, second]


def joined(output: Path, *given: str) -> Path:
    return ensemble(compose_command("ensemble", EnsembleSettings, *given, f"output_dir={output}"))


@pytest.mark.slow
def test_runs_with_one_split_become_one_model_that_scores_as_its_table_says(runs: list[Path], tmp_path: Path) -> None:
    run = joined(tmp_path / "joined", f"runs=[{','.join(map(str, runs))}]", "decision.rule=f1")
    rows = read_predictions(run / "predictions.csv")
    root = Path(json.loads((run / "metrics.json").read_text())["root"])
    found = fancnn.load(run).predict([root / row.path for row in rows])
    np.testing.assert_allclose(found.probabilities, [row.probability for row in rows], atol=1e-5)
    assert fancnn.load(run).calibration.method in ("temperature", "platt")
    assert fancnn.load(run).calibration_ng_rate == 6 / 14
    again = evaluate_run(compose_command("evaluate", EvaluateSettings, f"run={run}", f"output_dir={tmp_path / 'out'}"))
    assert again.splits["test"]["auroc"] == json.loads((run / "metrics.json").read_text())["splits"]["test"]["auroc"]


@pytest.mark.slow
def test_the_folds_of_a_cross_validation_become_one_model(image_folder: Path, tmp_path: Path) -> None:
    given = [
        *SMALL,
        *LEARNS,
        f"data.root={image_folder}",
        "folds=3",
        f"output_dir={tmp_path / 'cv'}",
        "overrides=[]",
        "report=false",
    ]
    crossval(compose_command("crossval", CrossvalSettings, *given))
    escape = ["decision.rule=escape", "decision.escape_rate=0.6"]
    run = joined(tmp_path / "joined", f"runs=[{tmp_path / 'cv'}]", *escape)
    said = "chosen on the predictions of the folds' models; not measured on the ensemble"
    for again in (False, True):  # at once, and chosen again by the rule that is kept
        if again:
            decide(compose_command("decide", DecideSettings, f"run={run}", *escape, "decision.split=test"))
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["decision"] == fancnn.load(run).metadata.decision == said
        assert metrics["decision_rule"]["rule"] == "escape"
        assert fancnn.load(run).thresholds.upper == metrics["thresholds"][1] != 0.5
    model = fancnn.load(run)
    assert len(model.network.members) == 3  # type: ignore[arg-type]
    members = [fancnn.load(tmp_path / f"cv/fold-{number}") for number in (1, 2, 3)]
    image = next(image_folder.rglob("*.png"))
    assert model.calibration_ng_rate == pytest.approx(30 / 70, abs=0.05)  # of each fold's validation, nearly
    mean = np.mean([member.predict(image).probabilities[0] for member in members])
    assert model.predict(image).probabilities[0] == pytest.approx(mean, abs=1e-6)


@pytest.mark.slow
def test_runs_that_do_not_fit_are_refused(runs: list[Path], train_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes two runs or more"):
        joined(tmp_path / "a", f"runs=[{runs[0]}]")
    train(train_settings("seed=7", output=tmp_path / "other"))
    with pytest.raises(UserError, match="the runs have different splits"):
        joined(tmp_path / "b", f"runs=[{runs[0]},{tmp_path / 'other'}]")
    split = f"data.split_file={runs[0] / 'split.csv'}"
    train(train_settings("data.image_size=[20,20]", split, output=tmp_path / "big"))
    with pytest.raises(UserError, match="has preprocess .* they cannot be one model"):
        joined(tmp_path / "c", f"runs=[{runs[0]},{tmp_path / 'big'}]")


@pytest.mark.slow
def test_an_ensemble_cannot_be_trained_on(runs: list[Path], train_settings: Settings, tmp_path: Path) -> None:
    run = joined(tmp_path / "joined", f"runs=[{','.join(map(str, runs))}]")
    with pytest.raises(UserError, match="is an ensemble of 2 runs: go on with one of those"):
        train(train_settings(f"ckpt={run}"))
