import json
from pathlib import Path

import pytest

from fancnn.decisions.line_costs import Line
from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.metrics_file import RunMetrics, read_metrics, split_metrics, write_metrics

HALF = Thresholds.single(0.5)


def lots(*, named: bool = True) -> list[Prediction]:
    """20 lots of 10 parts, each lot decided alike; 2 of 10 bad lots pass."""
    return [
        Prediction(
            f"{lot}/{part}", 0.9 if lot % 2 and lot > 3 else 0.1, label=lot % 2, group=f"lot {lot}" if named else ""
        )
        for lot in range(20)
        for part in range(10)
    ]


def test_parts_of_lots_have_wider_intervals_and_say_their_unit(tmp_path: Path) -> None:
    line = Line(ng_rate=0.02, parts_per_shift=1000, shifts_per_month=40)
    grouped, alone = (split_metrics(lots(named=named), HALF, line) for named in (True, False))
    assert (grouped["interval_unit"], alone["interval_unit"]) == ("group", "image")
    assert alone["interval_note"] is None
    for name in ("recall", "escape_rate", "accuracy", "f1", "auroc", "average_precision", "brier"):
        (low, high), (lower, higher) = alone["intervals"][name], grouped["intervals"][name]
        assert higher - lower > 1.5 * (high - low), name
        assert grouped[name] == alone[name], name
    (_, low, high), (_, lower, higher) = (of["forecast"]["escapes_per_shift"] for of in (alone, grouped))
    assert higher - lower > 1.5 * (high - low)
    write_metrics(tmp_path / "metrics.json", RunMetrics(splits={"test": grouped}))
    assert read_metrics(tmp_path / "metrics.json").splits["test"] == grouped


@pytest.mark.parametrize("version", [1, 2])
def test_older_files_are_read(version: int, tmp_path: Path) -> None:
    part = {"images": 2, "accuracy": 1.0, "escape_rate": 0.0}
    thresholds = {"threshold": 0.4} if version == 1 else {"thresholds": [0.4, 0.4]}
    content = {"format": "fancnn-metrics", "version": version, **thresholds, "splits": {"test": part}}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    found = read_metrics(tmp_path / "metrics.json")
    assert (found.thresholds, found.splits["test"]) == ((0.4, 0.4), part)


def test_newer_files_are_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"format": "fancnn-metrics", "version": 99, "splits": {}}))
    with pytest.raises(UserError, match="has format version 99; this fancnn reads up to 4: update it"):
        read_metrics(tmp_path / "metrics.json")


def test_what_was_written_is_read_again_and_null_is_what_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    known = RunMetrics(run="/run", epoch=2, classes=["GO", "NG"], go_class="GO", decision_rule=None, warnings=[])
    write_metrics(path, known)
    assert read_metrics(path) == known
    plain = json.loads(path.read_text())
    assert (plain["decision_rule"], plain["weights_sha256"], plain["looks"]) == (None, None, None)
    assert plain["warnings"] == []
    assert not {"seen_complete", "decided_again", "folds", "checkpoint_sha256"} & set(plain)
    write_metrics(path, RunMetrics())
    assert "decision_rule" not in json.loads(path.read_text())
    assert read_metrics(path) == RunMetrics()


def test_the_weights_that_scored_are_those_of_one_model_or_not_known() -> None:
    assert RunMetrics(weights_sha256="a").scored_by_one == "a"
    assert RunMetrics(weights_sha256="a", scored_by="each image by another").scored_by_one is None
    assert RunMetrics().scored_by_one is None
