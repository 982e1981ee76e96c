import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import rows_of, write_run, write_table
from samples import compose_command, process_environment
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fancnn.errors import UserError
from fancnn.metrics.predictions import read_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.report.report import report, write_report
from fancnn.report.settings import ReportSettings


def made(output: Path, *overrides: str) -> str:
    page = report(compose_command("report", ReportSettings, *overrides, f"output_dir={output}"))
    return page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_trained_run_gets_its_report_and_figures_on_its_board(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    for _ in range(2):
        page = write_report(run)
    assert page == run / "report.html"
    text = page.read_text(encoding="utf-8")
    assert "rest on the test split" in text
    assert "no such file" not in text
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    shown = {tag for tag in events.Tags()["images"] if tag.startswith("report/")}
    assert {"report/confusion", "report/roc", "report/thresholds", "report/learning-curves"} <= shown
    assert len(list(run.glob("*.report"))) == 1, "a second report takes the place of the first"
    assert events.Images("report/roc")[0].encoded_image_string.startswith(b"\x89PNG")


def test_a_run_without_a_board_gets_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of())
    write_report(run)
    assert not list(run.rglob("events*"))


@pytest.mark.slow
def test_a_tables_report_lies_in_the_commands_folder_or_where_it_is_told(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv", rows_of())
    assert "table.csv" in made(tmp_path / "out", f"table={table}")
    assert (tmp_path / "out/report.html").is_file()
    made(tmp_path / "out", f"table={table}", f"output={tmp_path / 'x.html'}")
    assert (tmp_path / "x.html").is_file()


def test_a_table_of_another_program_needs_three_columns(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label,probability\na.png,1,0.2\nb.png,0,0.1\n")
    assert "images that name no split" in made(tmp_path, f"table={table}")


@pytest.mark.slow
def test_said_thresholds_are_those_of_the_whole_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of())
    rows = read_predictions(run / "predictions.csv")
    page = made(tmp_path, f"run={run}", "threshold=0.9", "recheck=0.2")
    passed = sum(row.label == 1 and (row.probability or 0) <= 0.2 for row in rows)
    assert "GO up to 0.2, RECHECK up to 0.9, NG above" in page
    assert f"{passed} of 20 NG parts" in page


@pytest.mark.slow
def test_recheck_alone_lies_below_the_runs_own_threshold(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of(), Thresholds(0.3, 0.8))
    assert "GO up to 0.1, RECHECK up to 0.8, NG above" in made(tmp_path, f"run={run}", "recheck=0.1")
    table = write_table(tmp_path / "table.csv", rows_of())
    assert "GO up to 0.1, RECHECK up to 0.5, NG above" in made(tmp_path, f"table={table}", "recheck=0.1")


@pytest.mark.slow
def test_the_runs_line_is_taken_and_can_be_overruled(tmp_path: Path) -> None:
    costs = {"escape": None, "overkill": None, "look": None}
    line = {"ng_rate": 0.04, "parts_per_shift": 3000, "shifts_per_month": None, "costs": costs}
    run = write_run(tmp_path / "run", rows_of(), line=line)
    assert "3,000 parts a shift, 4 % of them bad" in made(tmp_path, f"run={run}")
    assert "3,000 parts a shift, 1 % of them bad" in made(tmp_path, f"run={run}", "line.ng_rate=0.01")


@pytest.mark.slow
def test_an_older_metrics_json_is_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of())
    metrics = json.loads((run / "metrics.json").read_text())
    old = {name: metrics[name] for name in ("format", "run", "epoch", "epochs", "monitor", "versions", "split_sha256")}
    part = {name: value for name, value in metrics["splits"]["test"].items() if name not in ("intervals", "by_type")}
    (run / "metrics.json").write_text(json.dumps({**old, "version": 1, "threshold": 0.5, "splits": {"test": part}}))
    assert "(95 %:" in made(tmp_path, f"run={run}")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "give either run=.* or table=.*: neither is given"),
        (["run=a", "table=b"], "both are given"),
        (["run=nowhere"], "nowhere does not exist. Expected a run folder"),
        (["run=."], "has no metrics.json: no run, or one that has not ended"),
        (["table=nowhere.csv"], "table='nowhere.csv' is no file. Expected a prediction table"),
        (["table=x.csv", "recheck=1.6"], "recheck=1.6 should be in "),
        (["table=x.csv", "threshold=0.2", "recheck=0.3"], "recheck=0.3 should be from 0 to threshold=0.2"),
        (["table=x.csv", "line.ng_rate=2"], "line.ng_rate=2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told(overrides: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=text):
        made(tmp_path, *overrides)


@pytest.mark.slow
def test_a_report_does_not_wait_for_torch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", rows_of())
    (run / "events.out.tfevents.0").write_bytes(b"")
    code = (
        "import sys; from pathlib import Path; from fancnn.report.report import write_report; "
        f"import fancnn.compare.compare; write_report(Path({str(run)!r})); "
        "assert not {'torch', 'pytorch_lightning', 'sklearn'} & set(sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=process_environment(), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
