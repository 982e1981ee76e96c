"""The registry of scores, and that nothing else has to be told of a score."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from samples import SMALL, compose_command

from fancnn.compare.compare import compare
from fancnn.compare.settings import CompareSettings
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.errors import UserError
from fancnn.metrics.intervals import Interval
from fancnn.metrics.score_registry import SCORES, Measure, Score, monitorable_scores, score
from fancnn.metrics.thresholds import Thresholds
from fancnn.report.report import report
from fancnn.report.settings import ReportSettings
from fancnn.runs.metrics_file import read_metrics
from fancnn.settings.validation import validate_monitor
from fancnn.training.epoch_scores import AT_THRESHOLD, RANKING, direction, epoch_scores

tables = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=30)
LEAST = Score(
    "least probability",
    "the smallest P(NG) of all: made up",
    Measure(
        lambda images: float(images.probabilities.min()) if images.probabilities.size else None,
        lambda images, confidence: Interval(0.0, float(images.probabilities.min())),
    ),
    higher_is_better=False,
    each_epoch=True,
)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
def test_a_score_that_is_added_here_is_found_everywhere(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SCORES, "least", LEAST)
    run = tmp_path / "run"
    keys = [
        "folds=3",
        "monitor=val/least",
        "objective=val/least",
        "overrides=[]",
        "report=false",
        "trainer.max_epochs=1",
    ]
    places = [f"data.root={image_folder}", f"output_dir={run}"]
    objective = crossval(compose_command("crossval", CrossvalSettings, *SMALL, *keys, *places))
    console = capsys.readouterr().out
    metrics = read_metrics(run / "metrics.json")

    assert 0 <= metrics.splits["test"]["least"] == metrics.splits["test"]["intervals"]["least"][1]
    assert (
        (metrics.mean or {})["least"][0]
        == objective
        == pytest.approx(np.mean([f["least"] for f in metrics.folds or ()]))
    )
    assert console.count("least probability") > 3  # of each fold, their mean, and all images together
    assert "val/least" in (run / "fold-1" / "metrics.csv").read_text().splitlines()[0]
    assert read_metrics(run / "fold-1" / "metrics.json").monitor == "val/least"

    page = report(compose_command("report", ReportSettings, f"run={run / 'fold-1'}", f"output_dir={tmp_path}"))
    assert "least probability" in flat(page.read_text())
    assert "the smallest P(NG) of all: made up" in flat(page.read_text())

    places = [f"runs=[{run},{run / 'fold-1'}]", f"output={tmp_path}", f"output_dir={tmp_path}"]
    compared = compare(compose_command("compare", CompareSettings, *places, "split=test"))
    assert "least probability" in capsys.readouterr().out
    assert "least probability" in flat(compared.page.read_text())
    assert json.loads((tmp_path / "compare.json").read_text())["models"]["A"]["scores"]["least"] >= 0


def test_an_epoch_is_chosen_by_scores_that_each_epoch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"loss", "accuracy", "recall", "f1", "specificity", "auroc", "average_precision"} <= {*monitorable_scores()}
    with pytest.raises(UserError, match=r"precision is undefined while nothing is called NG\)\. Scores: val/"):
        validate_monitor("val/precision")
    with pytest.raises(UserError, match="monitor='val/least' is no score that every epoch has"):
        validate_monitor("val/least")
    monkeypatch.setitem(SCORES, "least", LEAST)
    validate_monitor("val/least")
    assert direction("val/least") == "min"
    scores = epoch_scores(torch.tensor([-2.0, 1.0]), torch.tensor([0.0, 1.0]), F.binary_cross_entropy_with_logits, 0.5)
    assert scores["least"] == torch.tensor(-2.0).sigmoid()


def test_what_torchmetrics_computes_is_a_score_of_each_epoch() -> None:
    assert {"loss", *AT_THRESHOLD, *RANKING} <= {name for name, entry in SCORES.items() if entry.each_epoch}


@given(tables, st.floats(0, 1))
def test_scores_stay_within_their_range(table: list[tuple[int, float]], threshold: float) -> None:
    labels, chances = [label for label, _ in table], [chance for _, chance in table]
    for name, value in score(labels, chances, Thresholds(threshold / 2, threshold)).items():
        assert value is None or SCORES[name].lowest <= value <= SCORES[name].highest, name


def test_better_decisions_have_better_scores() -> None:
    labels = [0, 0, 1, 1] * 5
    good, bad = np.tile([0.1, 0.4, 0.9, 0.8], 5), np.tile([0.1, 0.8, 0.4, 0.8], 5)
    better, worse = (score(labels, chances, Thresholds.single(0.5)) for chances in (good, bad))
    for name, entry in SCORES.items():
        if better[name] != worse[name]:
            sign = 1 if entry.higher_is_better else -1
            assert sign * (better[name] or 0) > sign * (worse[name] or 0), name
