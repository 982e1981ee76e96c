"""How often test images were looked at: counted, said, and spent by certificates."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samples import SMALL, compose_command, run_command

from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.compare.compare import compare
from fancnn.compare.settings import CompareSettings
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.decisions.certificates import Certificate
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.evaluate_table import evaluate_table
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import Prediction, read_predictions, write_predictions
from fancnn.report.report import report
from fancnn.report.settings import ReportSettings
from fancnn.runs.looks import Ledger
from fancnn.settings.choices import DecisionRule, SplitName
from fancnn.settings.groups import DecisionSettings, validate_promise
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
Certify = Callable[..., Certificate]


@pytest.fixture
def run_certify(tmp_path: Path) -> Certify:
    def run(*overrides: str) -> Certificate:
        return certify(compose_command("certify", CertifySettings, *overrides, f"output_dir={tmp_path / 'out'}"))

    return run


def certificate_json(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "out/certificate.json").read_text())


def metrics(run: Path) -> Any:
    return json.loads((run / "metrics.json").read_text())


def table(path: Path, ng: int, *, model: int = 0) -> Path:
    """A table of `ng` bad and 200 good images that are known by their content, scored by one model or another."""
    bad = [Prediction(f"ng/{i}", 0.5 + i / 2 / ng, label=1) for i in range(ng)]
    good = [Prediction(f"go/{i}", i / 500 + model / 1e6, label=0) for i in range(200)]
    write_predictions([replace(row, sha256=f"{abs(hash_of(row.path)):064x}") for row in (*bad, *good)], path)
    return path


def hash_of(path: str) -> int:
    kind, number = path.split("/")
    return (int(number) + 1 + (1 << 20) * (kind == "ng")) << 192  # the first eight bytes are what is kept


def commands(ledger: Ledger) -> list[str]:
    return [look.question.command for look in ledger.looks()]


@pytest.mark.slow
def test_two_trainings_are_two_looks_and_each_certificate_has_what_its_number_leaves(
    train_settings: Settings, run_certify: Certify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("data.test_fraction=0.2", "report=true")
    split = f"data.split_file={tmp_path / 'first/split.csv'}"
    train(train_settings(*settings, output=tmp_path / "first"))
    assert "test: look 1 at these images\n" in capsys.readouterr().out
    train(train_settings(*settings, "seed=1", split, output=tmp_path / "second"))
    assert re.search(
        r"test: look 2 at these images \(1 before: 1 model, the last on [\d-]{10}\)", capsys.readouterr().out
    )
    first, second = (metrics(tmp_path / name)["looks"] for name in ("first", "second"))
    assert (first["number"], first["before"], first["earlier"]) == (1, 0, [])
    assert (second["number"], second["before"], second["models"], second["shared"]) == (2, 1, 1, second["images"])
    assert second["earlier"][0]["model"] == metrics(tmp_path / "first")["weights_sha256"][:12]

    page = (tmp_path / "first/report.html").read_text()
    assert "the test split, which was used to choose nothing: look 1 at these images" in page
    page = (tmp_path / "second/report.html").read_text()
    assert "the test split; look 2 at these images (1 before: 1 model" in page
    assert "used to choose nothing" not in page

    spent = []
    for name in ("second", "first"):
        found = run_certify(f"run={tmp_path / name}", "escape=0.9")
        spent.append((certificate_json(tmp_path)["look"], certificate_json(tmp_path)["confidence_spent"]))
        assert found.confidence == certificate_json(tmp_path)["confidence"] == 0.95
        assert certificate_json(tmp_path)["looks_planned"] is None
        assert any(caveat.startswith("it holds whichever of the models looked at so far") for caveat in found.caveats)
    # each is asked under the number that its training has taken: 1 - 0.05 * 6 / (pi * number) ** 2, rounded up
    assert spent == [(2, 0.99241), (1, 0.9697)]
    said = "look 1 of 2 at these images (1 other since): held to 96.97 %, so that 95 % holds over all looks"
    assert said in found.statement
    run_certify(f"run={tmp_path / 'first'}", "escape=0.8")  # another claim is another question
    assert certificate_json(tmp_path)["look"] == 3
    run_certify(f"run={tmp_path / 'first'}", "escape=0.9")  # the same again is not
    assert certificate_json(tmp_path)["look"] == 1


@pytest.mark.slow
def test_a_report_that_is_made_later_knows_of_the_looks_since(
    trained_run: Path, tmp_path: Path, run_certify: Certify
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    evaluate(tmp_path, f"run={run}")
    rows = read_predictions(run / "predictions.csv")
    write_predictions([replace(row, probability=0.5) for row in rows], tmp_path / "other.csv")
    evaluate(tmp_path, f"table={tmp_path / 'other.csv'}")
    page = report(compose_command("report", ReportSettings, f"run={run}", f"output_dir={tmp_path}"))
    assert "look 1 of 2 at these images (1 other since), so later results may have guided choices" in page.read_text()


def evaluate(tmp_path: Path, *overrides: str) -> Any:
    settings = compose_command("evaluate", EvaluateSettings, *overrides, f"output_dir={tmp_path / 'evaluated'}")
    (evaluate_run if settings.run else evaluate_table)(settings)
    return metrics(tmp_path / "evaluated")["looks"]


def test_the_same_model_by_whatever_command_is_one_look(
    trained_run: Path, tmp_path: Path, run_certify: Certify, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, f"run={trained_run}")["number"] == 1
    assert "test: look 1 at these images\n" in capsys.readouterr().out
    assert evaluate(tmp_path, f"table={trained_run / 'predictions.csv'}", "split=test")["number"] == 1
    run_certify(f"table={trained_run / 'predictions.csv'}", "split=test", "escape=0.9")
    assert certificate_json(tmp_path)["look"] == 1
    assert commands(Ledger()) == ["evaluate", "evaluate", "certify"]


def test_the_same_training_again_makes_the_same_model_and_is_not_counted_twice(
    train_settings: Settings, tmp_path: Path
) -> None:
    for _ in range(2):
        train(train_settings("data.test_fraction=0.2"))
        assert metrics(tmp_path / "run")["looks"]["number"] == 1
    assert [look.number for look in Ledger().looks()] == [1, 1]


def test_a_training_that_goes_on_scores_another_model_and_that_is_counted(
    train_settings: Settings, tmp_path: Path
) -> None:
    train(train_settings("data.test_fraction=0.2"))
    train(train_settings("data.test_fraction=0.2", f"ckpt={tmp_path / 'run'}", "trainer.max_epochs=4"))
    assert metrics(tmp_path / "run")["looks"]["number"] == 2


def test_neither_scoring_validation_nor_a_certificate_on_it_is_a_look(
    trained_run: Path, tmp_path: Path, run_certify: Certify
) -> None:
    assert evaluate(tmp_path, f"run={trained_run}", "split=val") is None
    assert Ledger().looks() == []
    found = run_certify(f"run={trained_run}", "split=val", "escape=0.9")
    assert "of validation images, which the training has looked at throughout" in found.statement
    assert certificate_json(tmp_path)["look"] is None
    assert Ledger().looks() == []


def test_a_table_that_grows_is_one_question_without_a_model_too(tmp_path: Path, run_certify: Certify) -> None:
    for count in (50, 120, 120):
        given = [f"table={table(tmp_path / f'{count}.csv', count)}", "threshold=0.5", "sequential=true"]
        run_certify(*given, f"output={tmp_path / 'claim/certificate.json'}")
        content = json.loads((tmp_path / "claim/certificate.json").read_text())
        assert (content["look"], content["confidence_spent"]) == (1, 0.9697)
    assert len(json.loads((tmp_path / "claim/certificate.looks.json").read_text())["looks"]) == 2


def test_a_promise_on_test_images_is_a_certificate(trained_run: Path) -> None:
    decision = DecisionSettings(DecisionRule.escape, SplitName.test, 0.5, None, 1.0, 0.01, 0.95)
    with pytest.raises(UserError, match="what test images promise is a certificate, which counts how often"):
        validate_promise(decision)
    given = [f"run={trained_run}", "decision.rule=escape", "decision.split=test"]
    with pytest.raises(UserError, match="what test images promise is a certificate"):
        decide(compose_command("decide", DecideSettings, *given))


def test_another_folder_that_shares_images_knows_of_earlier_looks(
    trained_run: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(tmp_path, f"run={trained_run}")
    other = Path(shutil.copytree(image_folder, tmp_path / "other"))
    rows = read_predictions(trained_run / "predictions.csv")
    write_predictions([replace(row, probability=0.5) for row in rows], tmp_path / "constant.csv")
    tested = sum(row.split == "test" for row in rows)
    assert evaluate(tmp_path, f"table={tmp_path / 'constant.csv'}")["number"] == 2
    found = evaluate(tmp_path, f"run={trained_run}", f"data.root={other}")
    assert (found["number"], found["images"], found["shared"]) == (1, 70, tested)
    said = f"all: look 1 of 2 at these images (1 other since; they share {tested} of the 70 images)"
    assert said in capsys.readouterr().out


def test_choosing_thresholds_on_the_test_split_is_a_question_of_its_own(
    trained_run: Path, tmp_path: Path, run_certify: Certify
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    for part in ("val", "test"):
        decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1", f"decision.split={part}"))
    (look,) = Ledger().looks()
    assert look.question.claim is not None
    assert look.question.claim.startswith("rule=f1, split=test")
    run_certify(f"run={run}", "escape=0.9")
    assert certificate_json(tmp_path)["look"] == 2


def test_a_comparison_looks_with_each_model_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = [table(tmp_path / f"{model}.csv", 20, model=model) for model in range(2)]
    listed = "runs=[" + ",".join(f'"{place}"' for place in places) + "]"
    page = compare(compose_command("compare", CompareSettings, listed, f"output_dir={tmp_path / 'out'}")).page
    said = capsys.readouterr().out
    assert "A: look 1 at these images\n" in said
    assert "B: look 2 at these images (1 before: 1 model, the last on " in said
    assert "; look 2 at these images (1 before" in page.read_text()
    models = json.loads((tmp_path / "out/compare.json").read_text())["models"]
    assert [models[letter]["looks"]["number"] for letter in "AB"] == [1, 2]


@pytest.mark.slow
def test_folds_are_no_looks_and_an_ensemble_of_one_split_is(
    train_settings: Settings, image_folder: Path, tmp_path: Path
) -> None:
    runs = [tmp_path / "0", tmp_path / "1"]
    for seed, run in enumerate(runs):
        split = [f"data.split_file={runs[0] / 'split.csv'}"] if seed else []
        train(train_settings("data.test_fraction=0.2", f"seed={seed}", *split, output=run))
    listed = "runs=[" + ",".join(f'"{run}"' for run in runs) + "]"
    output = tmp_path / "joined"
    ensemble(compose_command("ensemble", EnsembleSettings, listed, f"output_dir={output}"))
    assert metrics(output)["looks"]["number"] == 3
    before = len(Ledger().looks())
    folder = tmp_path / "crossed"
    small = [*SMALL, f"data.root={image_folder}", "trainer.max_epochs=1", "folds=3", "score_test=false", "report=false"]
    crossval(compose_command("crossval", CrossvalSettings, *small, f"output_dir={folder}", "overrides=[]"))
    assert len(Ledger().looks()) == before
    assert metrics(folder)["looks"] is metrics(folder)["weights_sha256"] is None


@pytest.mark.slow
def test_a_sweep_leaves_the_test_split_alone_unless_told(image_folder: Path, tmp_path: Path) -> None:
    sweep = ["-m", "seed=0,1", *SMALL, f"data.root={image_folder}", "trainer.max_epochs=1", "data.test_fraction=0.2"]
    answer = run_command("fancnn.train", *sweep, "report=false", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("the test split is not scored in a sweep: score_test=true scores it") == 2
    runs = sorted((tmp_path / "outputs/train").glob("*/[01]"))
    assert [(set(metrics(run)["splits"]), metrics(run)["looks"]) for run in runs] == [({"val"}, None)] * 2
    assert Ledger().looks() == []


def test_a_single_look_that_was_planned_has_all_of_the_confidence_and_is_the_last(
    tmp_path: Path, run_certify: Certify
) -> None:
    place = table(tmp_path / "t.csv", 299)
    granted = run_certify(f"table={place}", "looks=1")
    assert granted.granted
    assert granted.statement.endswith("look 1 at these images: held to 95 %, so that 95 % holds for the one planned")
    assert (certificate_json(tmp_path)["looks_planned"], certificate_json(tmp_path)["confidence_spent"]) == (1, 0.95)
    assert run_certify(f"table={place}", "looks=1") == granted  # asked again it is the same look
    assert run_certify(f"table={place}") == granted  # and the plan is kept without a word
    another = table(tmp_path / "u.csv", 299, model=1)
    with pytest.raises(UserError, match="looks=1: this is look 2 at these images .*none is left of those planned"):
        run_certify(f"table={another}", "looks=1")
    with pytest.raises(
        UserError, match="looks=9: the first certificate on these images .* planned looks=1, and a plan"
    ):
        run_certify(f"table={another}", "looks=9")
    assert len(Ledger().looks()) == 3, "what was refused has shown nothing"


def test_without_a_plan_the_first_look_takes_348_images_and_not_299(tmp_path: Path, run_certify: Certify) -> None:
    assert not run_certify(f"table={table(tmp_path / 'few.csv', 347)}").granted
    assert not run_certify(f"table={table(tmp_path / 'more.csv', 348)}").granted, "the second look takes more"
    shutil.rmtree(Ledger().folder)
    assert run_certify(f"table={tmp_path / 'more.csv'}").granted


def test_a_plan_that_comes_after_the_looks_is_refused(tmp_path: Path, run_certify: Certify) -> None:
    for model in range(3):
        evaluate(tmp_path, f"table={table(tmp_path / f'{model}.csv', 40, model=model)}")
    with pytest.raises(UserError, match="looks=2: this is look 3 at these images .* or leave looks out"):
        run_certify(f"table={tmp_path / '2.csv'}", "looks=2")
    run_certify(f"table={tmp_path / '2.csv'}", "looks=4", "escape=0.2")
    assert certificate_json(tmp_path)["confidence_spent"] == pytest.approx(1 - 0.05 / 4)
    with pytest.raises(UserError, match="planned looks=4"):
        run_certify(f"table={tmp_path / '1.csv'}", "looks=5")


def test_collecting_until_it_is_granted_is_a_new_look_each_time(tmp_path: Path, run_certify: Certify) -> None:
    for number, ng in enumerate((100, 200, 300), start=1):
        run_certify(f"table={table(tmp_path / f'{ng}.csv', ng)}")
        assert certificate_json(tmp_path)["look"] == number


def test_where_images_are_not_known_that_is_said(
    tmp_path: Path, run_certify: Certify, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [replace(row, sha256="") for row in read_predictions(table(tmp_path / "t.csv", 299))]
    write_predictions(rows, tmp_path / "unnamed.csv")
    found = run_certify(f"table={tmp_path / 'unnamed.csv'}", "looks=1")
    assert found.granted
    assert "how often these images were looked at is not known: the table has no sha256 of them" in found.caveats
    assert "taken for the first time, and held to 95 %, so that 95 % holds if that is true" in found.statement
    assert certificate_json(tmp_path)["look"] is None
    assert evaluate(tmp_path, f"table={tmp_path / 'unnamed.csv'}") is None
    assert "note: how often these images were looked at is not known" in capsys.readouterr().out
    assert Ledger().looks() == []
    half = [replace(row, sha256="") if row.label else row for row in read_predictions(tmp_path / "t.csv")]
    write_predictions(half, tmp_path / "half.csv")
    caveats = run_certify(f"table={tmp_path / 'half.csv'}", "looks=1").caveats
    assert any("not known: the table has no sha256 of 299 of them" in caveat for caveat in caveats)


def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, run_certify: Certify, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FANCNN_CACHE", str(tmp_path / "file/cache"))
    place = table(tmp_path / "t.csv", 299)
    assert evaluate(tmp_path, f"table={place}") is None
    said = capsys.readouterr().out
    assert "warning: how often these images were looked at is not known, and this look is not written down" in said
    found = run_certify(f"table={place}", "looks=1")
    assert "how often these images were looked at is not known" in found.caveats


def test_a_damaged_ledger_stops_a_certificate_and_no_evaluation(
    tmp_path: Path, run_certify: Certify, capsys: pytest.CaptureFixture[str]
) -> None:
    place = table(tmp_path / "t.csv", 299)
    evaluate(tmp_path, f"table={place}")
    file = Ledger().folder / "looks.jsonl"
    file.write_text("nonsense\n" + file.read_text())
    with pytest.raises(UserError, match="looks.jsonl is damaged in line 1"):
        run_certify(f"table={place}", "looks=1")
    assert evaluate(tmp_path, f"table={place}") is None
    assert "this look is not written down: " in capsys.readouterr().out
    assert file.read_text().startswith("nonsense\n"), "it is left for a person to mend"


def test_the_number_of_looks_is_checked(tmp_path: Path, run_certify: Certify) -> None:
    with pytest.raises(UserError, match="looks=0: expected how many looks are planned, 1 or more"):
        run_certify(f"table={table(tmp_path / 't.csv', 20)}", "looks=0")


def test_candidates_that_are_compared_one_after_the_other_are_told_of_one_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, name in enumerate("abc"):
        table(tmp_path / f"{name}.csv", 30, model=model)
    said = []
    for name in "bc":
        given = [f"runs=[{tmp_path / 'a.csv'},{tmp_path / name}.csv]", f"output_dir={tmp_path / name}"]
        compare(compose_command("compare", CompareSettings, *given))
        out = " ".join(capsys.readouterr().out.split())
        said.append("More models than these were looked at on these images" in out)
    assert said == [False, True]
