"""Files of two runs in one folder: what is read of one model is never said of another."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from samples import compose_command

import fancnn
from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.compare.compare import compare
from fancnn.compare.settings import CompareSettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.evaluate_table import evaluate_table
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.explain.explain import explain
from fancnn.explain.settings import ExplainSettings
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings
from fancnn.report.report import report
from fancnn.report.settings import ReportSettings
from fancnn.training.checkpointing import AtomicCheckpointIO

FILES = ("split_sha256", "checkpoint_sha256", "predictions_sha256")
MIXED = r"Files of two runs lie in one folder"
Use = Callable[[Path, Path], object]


def decide_on(run: Path, place: Path) -> None:
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))


def report_of(run: Path, place: Path) -> None:
    report(compose_command("report", ReportSettings, f"run={run}", f"output_dir={place}"))


def certify_run(run: Path, place: Path) -> None:
    certify(compose_command("certify", CertifySettings, f"run={run}", f"output_dir={place}"))


def compare_runs(run: Path, place: Path) -> None:
    compare(compose_command("compare", CompareSettings, f"runs=[{run},{run}]", f"output_dir={place}"))


def evaluate_its_table(run: Path, place: Path) -> None:
    given = [f"table={run / 'predictions.csv'}", f"output_dir={place}"]
    evaluate_table(compose_command("evaluate", EvaluateSettings, *given))


def evaluate_it(run: Path, place: Path) -> None:
    evaluate_run(compose_command("evaluate", EvaluateSettings, f"run={run}", "device=cpu", f"output_dir={place}"))


def predict_by_it(run: Path, place: Path) -> None:
    given = [f"run={run}", f"input={run}", f"output={place / 'out.csv'}", f"output_dir={place}"]
    predict(compose_command("predict", PredictSettings, *given))


def explain_it(run: Path, place: Path) -> None:
    explain(compose_command("explain", ExplainSettings, f"run={run}", "device=cpu", f"output_dir={place}"))


OF_TABLES: tuple[Use, ...] = (decide_on, report_of, certify_run, compare_runs)
OF_MODELS: tuple[Use, ...] = (evaluate_it, predict_by_it, explain_it, lambda run, place: fancnn.load(run))


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock"}


def test_every_file_of_a_run_names_its_weights(trained_run: Path, tmp_path: Path) -> None:
    weights = fancnn.load(trained_run).weights_sha256
    assert json.loads((trained_run / "metrics.json").read_text())["weights_sha256"] == weights
    with (trained_run / "predictions.csv").open() as file:
        assert {row["weights_sha256"] for row in csv.DictReader(file)} == {weights}
    certify_run(trained_run, tmp_path)
    assert json.loads((tmp_path / "certificate.json").read_text())["weights_sha256"] == weights


def test_a_checkpoint_that_another_has_replaced_is_noticed_by_whatever_reads_the_run(run: Path, tmp_path: Path) -> None:
    path = run / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    next(value for value in content["state_dict"].values() if value.is_floating_point()).add_(0.5)
    AtomicCheckpointIO().save_checkpoint(content, path)
    before = contents(run)
    for use in (*OF_TABLES, *OF_MODELS):
        with pytest.raises(UserError, match=f"best.ckpt .*metrics.json.*{MIXED}"):
            use(run, tmp_path / "out")
    assert contents(run) == before


@pytest.mark.parametrize("name", ["predictions.csv", "metrics.json"])
def test_a_table_of_other_weights_is_noticed_by_whatever_reads_it(name: str, run: Path, tmp_path: Path) -> None:
    path, weights = run / name, fancnn.load(run).weights_sha256
    path.write_text(path.read_text().replace(weights, "0" * 64))
    for use in (*OF_TABLES, evaluate_its_table, *(OF_MODELS if name == "metrics.json" else ())):
        with pytest.raises(UserError, match=f"metrics.json.* of 000000000000|weights 000000000000.*{MIXED}"):
            use(run, tmp_path / "out")


def test_the_table_of_another_model_is_no_table_of_a_run(run: Path, tmp_path: Path) -> None:
    weights = fancnn.load(run).weights_sha256
    table = tmp_path / "other.csv"
    table.write_text((run / "predictions.csv").read_text().replace(weights, "f" * 64))
    given = [f"run={run}", f"table={table}", f"output_dir={tmp_path}"]
    with pytest.raises(UserError, match=f"other.csv is of the weights ffffffffffff.* and .*metrics.json.*{MIXED}"):
        certify(compose_command("certify", CertifySettings, *given))


def test_tables_of_before_that_name_no_weights_are_read_as_before(run: Path, tmp_path: Path) -> None:
    weights = fancnn.load(run).weights_sha256
    table, metrics = run / "predictions.csv", run / "metrics.json"
    table.write_text(table.read_text().replace(weights, "").replace(",weights_sha256", ",unknown"))
    plain = json.loads(metrics.read_text())
    metrics.write_text(json.dumps({name: value for name, value in plain.items() if not name.endswith(FILES)}))
    for use in (decide_on, evaluate_its_table):
        use(run, tmp_path / "out")


def test_a_table_that_was_edited_is_no_table_of_its_run(run: Path, tmp_path: Path) -> None:
    table = run / "predictions.csv"
    table.write_text(table.read_text().replace("0.", "0.9", 1))
    for use in (*OF_TABLES, evaluate_its_table):
        with pytest.raises(
            UserError, match=r"predictions.csv is not the table that .*metrics.json is of: .* table=COPY"
        ):
            use(run, tmp_path / "out")
    copied = shutil.copy(table, tmp_path / "mine.csv")
    evaluate_table(compose_command("evaluate", EvaluateSettings, f"table={copied}", f"output_dir={tmp_path / 'out'}"))


def test_the_split_of_another_run_is_not_taken(run: Path, tmp_path: Path) -> None:
    table = run / "split.csv"
    table.write_text(table.read_text().replace(",train,", ",test,", 1))
    for use in (report_of, compare_runs, evaluate_it):
        with pytest.raises(UserError, match="split.csv is not the split that its run was trained on"):
            use(run, tmp_path / "out")
