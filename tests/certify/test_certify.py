import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_run
from samples import compose_command, run_command

import fancnn
from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.decisions.certificates import Certificate
from fancnn.errors import UserError
from fancnn.files.tables import table_writer
from fancnn.metrics.predictions import Prediction, write_predictions

Certify = Callable[..., Certificate]


@pytest.fixture
def run_certify(tmp_path: Path) -> Certify:
    def run(*overrides: str) -> Certificate:
        return certify(compose_command("certify", CertifySettings, *overrides, f"output_dir={tmp_path / 'out'}"))

    return run


def table(path: Path, ng: int) -> Path:
    bad = [Prediction(f"ng/{i}", 0.5 + i / 2 / ng, label=1) for i in range(ng)]
    write_predictions([*bad, *(Prediction(f"go/{i}", i / 500, label=0) for i in range(200))], path)
    return path


def test_a_table_is_certified_by_command_and_the_exit_code_says_whether(tmp_path: Path) -> None:
    for count, code, word in ((299, 0, "granted"), (298, 1, "REFUSED")):
        found = run_command(
            "fancnn.certify", f"table={table(tmp_path / f'{count}.csv', count)}", "looks=1", cwd=tmp_path
        )
        assert found.returncode == code, found.stderr
        assert f"{word} on all: " in found.stdout
        assert "note: it is taken that the model has never seen these images" in found.stdout
    written = sorted(tmp_path.rglob("certificate.json"))
    assert [json.loads(path.read_text())["granted"] for path in written] == [True, False]


def test_a_run_is_certified_on_test_and_on_val_only_with_a_warning(
    run_certify: Certify, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_certify(f"run={trained_run}", "escape=0.9").caveats == ()
    assert "granted on test: escape rate of parts <= " in capsys.readouterr().out
    (caveat,) = run_certify(f"run={trained_run}", "escape=0.9", "split=val").caveats
    assert caveat == "optimistic: 14 of 14 images chose the model's epoch or fitted its calibration"


def test_defect_types_are_bounded_too(run_certify: Certify, trained_run: Path) -> None:
    types = run_certify(f"run={trained_run}", "escape=0.9").by_type
    assert {item.defect_type for item in types} == {"scratch", "stain"}
    assert types[0].bound >= types[1].bound


def test_the_runs_own_threshold_can_be_judged(run_certify: Certify, trained_run: Path) -> None:
    found = run_certify(f"run={trained_run}", "threshold=run", "escape=0.9")
    assert (found.searched, found.thresholds.upper) == (False, 0.5)  # type: ignore[union-attr]
    given = run_certify(f"run={trained_run}", "threshold=0.4", "escape=0.9")
    assert given.caveats[0] == "it is taken that the threshold was fixed before these images were looked at"


def test_a_threshold_chosen_on_the_same_images_is_said(run_certify: Certify, trained_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))
    found = run_certify(f"run={run}", "threshold=run", "escape=0.9", "split=val")
    assert "optimistic: 14 of 14 images chose the model's thresholds" in found.caveats


def test_a_certified_threshold_can_be_kept(run_certify: Certify, trained_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    found = run_certify(f"run={run}", "escape=0.9", "store=true")
    assert fancnn.load(run).thresholds == found.thresholds
    assert json.loads((run / "metrics.json").read_text())["decision"].startswith("certified: escape rate of parts <= ")


def test_images_that_the_weights_have_seen_have_an_exit_code_of_their_own(tmp_path: Path) -> None:
    rows = [
        Prediction(
            f"ng/{i}", 0.5 + i / 1000, label=1, seen="weights" if i < 19 else "none", sha256=f"{i + 1:064x}"[::-1]
        )
        for i in range(400)
    ]
    write_predictions(rows, tmp_path / "seen.csv")
    found = run_command("fancnn.certify", f"table={tmp_path / 'seen.csv'}", cwd=tmp_path)
    assert found.returncode == 3, found.stderr
    assert "REFUSED on all: 19 of 400 images have trained the model's weights" in found.stdout
    (written,) = tmp_path.rglob("certificate.json")
    refused = json.loads(written.read_text())
    assert (refused["refusal"], refused["look"]) == ("seen", None)  # nothing was learnt of these images
    written.unlink()
    left = run_command("fancnn.certify", f"table={tmp_path / 'seen.csv'}", "exclude_seen=true", cwd=tmp_path)
    assert left.returncode == 0, left.stderr
    assert "note: 19 images that trained the weights are left out" in left.stdout
    (written,) = tmp_path.rglob("certificate.json")
    assert json.loads(written.read_text())["look"] == 1


def test_the_file_says_what_was_counted_of_which_model_and_table(
    run_certify: Certify, trained_run: Path, tmp_path: Path
) -> None:
    run_certify(f"run={trained_run}", "escape=0.9")
    found = json.loads((tmp_path / "out/certificate.json").read_text())
    for name, file in (("checkpoint", "checkpoints/best.ckpt"), ("table", "predictions.csv")):
        assert found[f"{name}_sha256"] == hashlib.sha256((trained_run / file).read_bytes()).hexdigest()
    assert (found["version"], found["unit"], found["method"], found["groups"]) == (3, "part", "exact binomial", 0)
    assert found["excluded"] == dict.fromkeys(found["excluded"], 0)
    assert found["scope"].startswith("it holds for parts drawn as these were")
    run_certify(f"table={trained_run / 'predictions.csv'}", "escape=0.9")
    assert json.loads((tmp_path / "out/certificate.json").read_text())["checkpoint_sha256"] is None


def test_a_stored_threshold_leaves_the_hashes_of_the_files_as_they_are_then(
    run_certify: Certify, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    run_certify(f"run={run}", "escape=0.9", "store=true")
    found = json.loads((tmp_path / "out/certificate.json").read_text())
    assert found["checkpoint_sha256"] == hashlib.sha256((run / "checkpoints/best.ckpt").read_bytes()).hexdigest()


def test_ng_files_that_could_not_be_read_are_counted_though_they_have_no_row(
    run_certify: Certify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", rows_of(100))
    with table_writer(run / "skipped.csv", ("path", "reason"), 1) as add:
        for path in ("NG/scratch/a.png", "NG/b.png", "test/NG/c.png", "train/NG/d.png", "GO/e.png", "test/GO/f.png"):
            add({"path": path, "reason": "it is empty"})
    found = run_certify(f"run={run}", "escape=0.5")
    assert found.excluded.unread_ng_files == 3  # those of train are not of this part
    assert "note: optimistic: 3 files in NG folders could not be read and have no row" in capsys.readouterr().out
    assert run_certify(f"run={run}", f"table={run / 'predictions.csv'}", "escape=0.5").excluded.unread_ng_files == 0


def test_what_several_models_scored_is_never_granted(run_certify: Certify, tmp_path: Path) -> None:
    said = "each image was scored by one model that had not seen it; no one model scored them all"
    run = write_run(tmp_path / "run", rows_of(100, shift=9), scored_by=said)
    for given in ([f"run={run}"], [f"table={run / 'predictions.csv'}"], [f"run={run}", "store=true"]):
        found = run_certify(*given, "escape=0.5")
        assert (found.granted, found.refusal) == (False, "several models")
        assert found.statement.startswith(said)
    elsewhere = Path(shutil.copy(run / "predictions.csv", tmp_path / "alone.csv"))
    assert run_certify(f"table={elsewhere}", "escape=0.5").refusal is None


def test_console_and_file_name_the_unit(
    run_certify: Certify, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [replace(row, group=f"lot {i // 4}") for i, row in enumerate(rows_of(400, shift=8))]
    write_predictions(rows, tmp_path / "lots.csv")
    run_certify(f"table={tmp_path / 'lots.csv'}", "escape=0.05")
    console = capsys.readouterr().out
    assert "granted on test: escape rate of groups <= " in console
    assert "by part " in console
    assert "bounds are of groups and hold together at 95 % confidence" in console
    run_certify(f"table={tmp_path / 'lots.csv'}", "escape=0.2", "largest_group=2")
    assert "granted on test: escape rate of parts <= 20 % at 9" in capsys.readouterr().out
    found = json.loads((tmp_path / "out/certificate.json").read_text())
    assert (found["unit"], found["largest_group"], found["method"]) == ("part", 2, "betting on lots")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "say run=outputs/train/<stamp>, or table=predictions.csv"),
        (["table=x.csv", "escape=0"], "escape=0.0: expected a share above 0 and below 1"),
        (["table=x.csv", "unit=panel"], "unit='panel' is none of part, group"),
        (["table=x.csv", "largest_group=0"], "largest_group=0: expected the most NG parts that one group"),
        (["table=x.csv", "split=all"], "split='all' is none of train, val, test"),
        (["table=x.csv", "store=true"], "store=true keeps the threshold in a run's model: say run="),
        (["table=x.csv"], "table='x.csv' is no file. Expected a prediction table"),
        (["run=nowhere"], "nowhere does not exist. Expected a run folder"),
    ],
)
def test_mistakes_are_told(overrides: list[str], text: str, run_certify: Certify) -> None:
    with pytest.raises(UserError, match=text):
        run_certify(*overrides)


def test_a_threshold_that_is_none_is_told(run_certify: Certify, tmp_path: Path) -> None:
    place = table(tmp_path / "t.csv", 20)
    texts = {"high": "threshold='high' should be a number in ", "run": "say run=", "2": "should be a number in "}
    for value, text in texts.items():
        with pytest.raises(UserError, match=text):
            run_certify(f"table={place}", f"threshold={value}")
    with pytest.raises(UserError, match="split=val: .* has no splits alone"):
        run_certify(f"table={place}", "split=val")
