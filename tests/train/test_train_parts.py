"""Parts of several images, from the training to whatever judges and uses what it leaves."""

import csv
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from samples import SMALL, compose_command, compose_train, write_part_images
from scipy.special import logit

import fancnn
from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.compare.compare import compare
from fancnn.compare.settings import CompareSettings
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.data.labeled_images import read_split
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.export.export import export
from fancnn.export.settings import ExportSettings
from fancnn.metrics.predictions import Prediction, read_predictions
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings
from fancnn.prune.prune import prune
from fancnn.prune.settings import PruneSettings
from fancnn.report.report import report
from fancnn.report.settings import ReportSettings
from fancnn.train.train import train

PART = r"data.part='part-\d+'"


@pytest.fixture(scope="module")
def part_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 GO and 30 NG parts of three images, of which one shows the defect."""
    return write_part_images(tmp_path_factory.mktemp("parts"), {"GO": 40, "NG/scratch": 15, "NG/stain": 15})


@pytest.fixture(scope="module")
def part_run(tmp_path_factory: pytest.TempPathFactory, part_images: Path) -> Path:
    """A finished run on `part_images`; tests read it and leave it as it is."""
    output = tmp_path_factory.mktemp("trained") / "run"
    learns = ["model.optimizer.lr=0.01", "trainer.max_epochs=8", "data.test_fraction=0.3", "decision.rule=f1"]
    train(compose_train(output, *SMALL, *learns, f"data.root={part_images}", PART))
    return output


def worst_of(rows: list[Prediction]) -> dict[str, Prediction]:
    """The image of each part with the highest probability."""
    worst: dict[str, Prediction] = {}
    for row in rows:
        if row.part not in worst or (row.probability or 0) > (worst[row.part].probability or 0):
            worst[row.part] = row
    return worst


def of_split(run: Path, split: str) -> list[Prediction]:
    return [row for row in read_predictions(run / "predictions.csv") if row.split == split]


def test_scores_counts_and_intervals_are_of_parts(part_run: Path) -> None:
    metrics = json.loads((part_run / "metrics.json").read_text())
    lower = metrics["thresholds"][0]
    for split, parts in (("val", 14), ("test", 21)):
        rows, of = of_split(part_run, split), metrics["splits"][split]
        worst = worst_of(rows).values()
        assert (of["images"], of["parts"], of["go"] + of["ng"], of["interval_unit"]) == (
            3 * parts,
            parts,
            parts,
            "part",
        )
        assert (len(rows), len(worst)) == (3 * parts, parts)
        assert of["escapes"] == sum(row.label == 1 and (row.probability or 0) <= lower for row in worst)
        assert of["overkills"] == sum(row.label == 0 and (row.probability or 0) > lower for row in worst)
        losses = [np.log(row.probability if row.label else 1 - (row.probability or 0)) for row in worst]
        assert of["loss"] == pytest.approx(-np.mean(losses))
        assert {item["defect_type"]: item["ng_parts"] for item in of["by_type"]} == dict(
            Counter(row.defect_type for row in worst if row.label)
        )
    assert {
        split: {row.part for row in of_split(part_run, split)}
        & {image.part for image in read_split(part_run / "split.csv") if image.split != split}
        for split in ("val", "test")
    } == {"val": set(), "test": set()}


def test_the_epoch_the_calibration_and_the_threshold_are_chosen_by_parts(part_run: Path) -> None:
    model, metrics = fancnn.load(part_run), json.loads((part_run / "metrics.json").read_text())
    assert (model.part, model.part_images) == (r"part-\d+", 3)
    worst = list(worst_of(of_split(part_run, "val")).values())
    assert model.calibration.ng_rate == sum(row.label or 0 for row in worst) / len(worst)
    with (part_run / "metrics.csv").open() as file:
        epoch = list(csv.DictReader(file))[metrics["epoch"] - 1]
    own = [(logit(row.probability) - (model.calibration.intercept or 0)) / model.calibration.slope for row in worst]
    losses = [np.logaddexp(0, -value if row.label else value) for value, row in zip(own, worst, strict=True)]
    assert float(epoch["val/loss"]) == pytest.approx(np.mean(losses), rel=1e-4)
    best = metrics["splits"]["val"]["f1"]
    for threshold in {row.probability or 0 for row in worst}:
        found = sum(row.label == 1 and (row.probability or 0) > threshold for row in worst)
        called = sum((row.probability or 0) > threshold for row in worst)
        assert 2 * found / (called + sum(row.label or 0 for row in worst)) <= best + 1e-9


@pytest.mark.slow
def test_images_that_are_sorted_one_by_one_teach_by_themselves_and_are_judged_by_part(
    part_images: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(part_images, tmp_path / "images")
    for path in [*root.glob("NG/*/*.png")]:
        if not path.stem.endswith("cam1"):  # one image of each bad part stays
            path.rename(root / "GO" / path.name)
    settings = [*SMALL, "report=false", f"data.root={root}", "data.test_fraction=0.3", PART]
    with pytest.raises(UserError, match="puts images of several classes into one part: part-040"):
        train(compose_train(tmp_path / "run", *settings))
    train(compose_train(tmp_path / "run", *settings, "data.part_labels=any_ng"))
    of = json.loads((tmp_path / "run/metrics.json").read_text())["splits"]["test"]
    assert [of[name] for name in ("images", "parts", "go", "ng")] == [63, 21, 12, 9]
    assert sum(item["ng_parts"] for item in of["by_type"]) == 9
    rows = of_split(tmp_path / "run", "test")
    assert Counter((row.label, row.part_label) for row in rows) == {(0, 0): 36, (0, 1): 18, (1, 1): 9}
    given = [f"run={tmp_path / 'run'}", f"data.root={root}", f"output_dir={tmp_path / 'out'}", "device=cpu"]
    splits = evaluate_run(compose_command("evaluate", EvaluateSettings, *given)).splits
    assert [splits["all"][name] for name in ("images", "parts", "go", "ng")] == [210, 70, 40, 30]
    with pytest.raises(UserError, match=r"data\.part_labels=any_ng is for parts of several images"):
        compose_train(tmp_path / "other", "data.part_labels=any_ng", f"data.root={root}")


def test_the_table_says_what_the_part_is_decided(part_run: Path) -> None:
    lower = json.loads((part_run / "metrics.json").read_text())["thresholds"][0]
    rows = read_predictions(part_run / "predictions.csv")
    worst = worst_of(rows)
    assert {row.part_decision for row in rows} == {"GO", "NG"}
    for row in rows:
        assert row.part_decision == ("NG" if (worst[row.part].probability or 0) > lower else "GO")


@pytest.mark.parametrize("model", ["run", pytest.param("exported", marks=pytest.mark.slow)])
def test_predict_decides_parts_with_their_images_one_after_the_other(
    model: str, part_run: Path, part_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    which = f"run={part_run}"
    if model == "exported":
        export(compose_command("export", ExportSettings, which, f"output_dir={tmp_path}"))
        which = f"file={tmp_path / 'inspector.onnx'}"
    for path in part_images.rglob("*.png"):  # a folder for each camera
        place = tmp_path / "new" / path.stem.partition("_")[2] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (tmp_path / "new/cam1/part-003_cam1.png").write_bytes(b"")
    (tmp_path / "new/cam2/part-005_cam2.png").unlink()
    output = tmp_path / "found.csv"
    given = [which, f"input={tmp_path / 'new'}", f"output={output}", "device=cpu", f"output_dir={tmp_path}"]
    counts = predict(compose_command("predict", PredictSettings, *given))
    rows = read_predictions(output)
    parts = [row.part for row in rows]
    assert parts == sorted(parts)
    assert Counter(Counter(parts).values()) == {3: 69, 2: 1}
    known = {row.part: row.part_decision for row in read_predictions(part_run / "predictions.csv")}
    found = {row.part: row.part_decision for row in rows}
    changed = {"part-003", "part-005"}
    assert {part: found[part] for part in known.keys() - changed} == {
        part: decision for part, decision in known.items() if part not in changed
    }
    assert found["part-003"] == ("NG" if any(row.decision == "NG" for row in rows if row.part == "part-003") else "")
    assert found["part-005"] == ("NG" if any(row.decision == "NG" for row in rows if row.part == "part-005") else "")
    assert (counts.parts.total(), counts.unread) == (70, 1)
    printed = capsys.readouterr().out
    assert "70 parts of 2 to 3 images: " in printed
    assert "warning: 1 part has fewer images than the 3 of each part in training, e.g. part-005: NG, or no" in printed


def test_an_expression_of_ones_own_names_the_parts_of_new_images(
    part_run: Path, trained_run: Path, part_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def parts_of(run: Path, *more: str) -> list[str]:
        given = [f"run={run}", f"input={part_images / 'GO'}", f"output={tmp_path / 'found.csv'}", *more]
        predict(compose_command("predict", PredictSettings, *given, "device=cpu", f"output_dir={tmp_path}"))
        return [row.part for row in read_predictions(tmp_path / "found.csv")]

    assert set(parts_of(part_run, r"part='cam\d'")) == {"cam0", "cam1", "cam2"}
    assert "note: the model's thresholds" not in capsys.readouterr().out
    assert set(parts_of(trained_run)) == {""}
    assert len(set(parts_of(trained_run, r"part='part-\d+'"))) == 40
    assert "note: the model's thresholds and its P(NG) are of single images" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"part='side.d' names no part for 120 of 120 images: part-000_cam0\.png"):
        parts_of(part_run, "part='side.d'")
    with pytest.raises(UserError, match=r"part='\(' is no regular expression"):
        parts_of(part_run, "part='('")


def test_a_certificate_counts_parts(part_run: Path, tmp_path: Path) -> None:
    given = [f"run={part_run}", "escape=0.5", f"output={tmp_path / 'certificate.json'}", f"output_dir={tmp_path}"]
    certificate = certify(compose_command("certify", CertifySettings, *given))
    worst = worst_of(of_split(part_run, "test")).values()
    assert (certificate.ng, certificate.go) == (
        sum(row.label == 1 for row in worst),
        sum(row.label == 0 for row in worst),
    )
    assert certificate.thresholds is not None
    passed = sum(row.label == 1 and (row.probability or 0) <= certificate.thresholds.lower for row in worst)
    assert certificate.escapes == passed
    assert any(
        note.startswith("of 21 parts in 63 images the worst image of a part decides") for note in certificate.caveats
    )


def test_an_evaluation_of_another_folder_is_of_its_parts(part_run: Path, tmp_path: Path) -> None:
    root = write_part_images(tmp_path / "other", {"GO": 5, "NG": 4}, cameras=2, seed=1)
    given = [f"run={part_run}", f"data.root={root}", f"output_dir={tmp_path / 'out'}", "device=cpu"]
    splits = evaluate_run(compose_command("evaluate", EvaluateSettings, *given)).splits
    assert [splits["all"][name] for name in ("images", "parts", "go", "ng")] == [18, 9, 5, 4]
    (root / "NG/part-000_cam9.png").write_bytes((root / "GO/part-000_cam0.png").read_bytes())
    with pytest.raises(UserError, match=r"puts images of several classes into one part: part-000 .*GO.*NG"):
        evaluate_run(compose_command("evaluate", EvaluateSettings, *given))


@pytest.mark.slow
def test_the_report_says_that_it_is_of_parts(part_run: Path, tmp_path: Path) -> None:
    given = [f"run={part_run}", f"output={tmp_path / 'report.html'}", f"output_dir={tmp_path}"]
    text = report(compose_command("report", ReportSettings, *given)).read_text()
    assert "(21 parts in 63 images, 12 GO and 9 NG)" in text
    assert "Of each part the worst image decides" in text


def test_thresholds_are_chosen_again_by_parts(part_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(part_run, tmp_path / "run")
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.threshold=0.99", "decision.rule=fixed"))
    of = json.loads((run / "metrics.json").read_text())["splits"]["test"]
    assert (of["parts"], of["escapes"]) == (
        21,
        sum(row.label == 1 and (row.probability or 0) <= 0.99 for row in worst_of(of_split(run, "test")).values()),
    )
    assert {row.part_decision for row in of_split(run, "test")} == {
        row.decision for row in worst_of(of_split(run, "test")).values()
    }


@pytest.mark.slow
def test_models_of_parts_are_compared_and_joined(part_run: Path, part_images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    split = f"data.split_file={part_run / 'split.csv'}"
    train(compose_train(other, *SMALL, "seed=1", "report=false", f"data.root={part_images}", split, PART))
    given = [f"runs=[{part_run},{other}]", f"output={tmp_path / 'compared'}", f"output_dir={tmp_path / 'compared'}"]
    compare(compose_command("compare", CompareSettings, *given))
    found = json.loads((tmp_path / "compared/compare.json").read_text())
    assert [found[name] for name in ("images", "go", "ng", "unit")] == [21, 12, 9, "part"]
    assert found["pairs"][0]["not_compared"] == []
    assert found["models"]["B"]["scores"]["images"] == 63
    assert "21 parts (12 GO, 9 NG)" in (tmp_path / "compared/compare.html").read_text()
    runs = f"runs=[{part_run},{other}]"
    joined = ensemble(compose_command("ensemble", EnsembleSettings, runs, f"output_dir={tmp_path / 'joined'}"))
    assert fancnn.load(joined).part == r"part-\d+"
    assert json.loads((joined / "metrics.json").read_text())["splits"]["test"]["parts"] == 21


@pytest.mark.slow
def test_folds_keep_parts_whole_and_judge_them(part_images: Path, tmp_path: Path) -> None:
    given = [*SMALL, "folds=3", "report=false", f"data.root={part_images}", PART, f"output_dir={tmp_path / 'folds'}"]
    crossval(compose_command("crossval", CrossvalSettings, *given, "overrides=[]"))
    metrics = json.loads((tmp_path / "folds/metrics.json").read_text())
    assert [metrics["splits"]["test"][name] for name in ("images", "parts", "go", "ng")] == [210, 70, 40, 30]
    for fold in (1, 2, 3):
        splits = defaultdict(set)
        for image in read_split(tmp_path / f"folds/fold-{fold}/split.csv"):
            splits[image.part].add(image.split)
        assert {len(of_part) for of_part in splits.values()} == {1}


@pytest.mark.slow
def test_a_smaller_network_is_judged_by_parts(part_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "pruned"
    given = [f"run={part_run}", "keep=0.5", "epochs=1", "device=cpu", f"output_dir={output}"]
    prune(compose_command("prune", PruneSettings, *given))
    first, second = json.loads((output / "pruning.json").read_text())["points"]
    assert first["tuned"]["escapes"] == json.loads((part_run / "metrics.json").read_text())["splits"]["val"]["escapes"]
    wrong = second["pruned"]["escapes"] + second["pruned"]["overkills"]
    assert round(14 * (1 - second["pruned"]["accuracy"])) == wrong, "of 14 parts, not of 42 images"


def test_a_promise_that_takes_more_parts_is_refused_before_the_training(
    train_settings: Callable[..., object], part_images: Path
) -> None:
    given = [f"data.root={part_images}", PART, "decision.rule=overkill", "decision.overkill_rate=0.02"]
    with pytest.raises(UserError, match="in val 8 GO parts cannot carry"):
        train(train_settings(*given))  # type: ignore[arg-type]
