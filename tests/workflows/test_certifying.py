import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import compose_command, run_command

import fancnn
from fancnn.errors import UserError
from fancnn.inspection.certificates import Certificate
from fancnn.inspection.predictions import Prediction, write_predictions
from fancnn.settings import CertifySettings, DecideSettings
from fancnn.workflows.certifying import certify
from fancnn.workflows.deciding import decide

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
        assert "note: it is taken that the model has never seen these pictures" in found.stdout
    written = sorted(tmp_path.rglob("certificate.json"))
    assert [json.loads(path.read_text())["granted"] for path in written] == [True, False]


def test_a_run_is_certified_on_test_and_on_val_only_with_a_warning(
    run_certify: Certify, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_certify(f"run={trained_run}", "escape=0.9").caveats == ()
    assert "granted on test: escape rate <= " in capsys.readouterr().out
    (caveat,) = run_certify(f"run={trained_run}", "escape=0.9", "part=val").caveats
    assert caveat.startswith("optimistic: some of these pictures chose the epoch")


def test_defect_types_are_bounded_too(run_certify: Certify, trained_run: Path) -> None:
    types = run_certify(f"run={trained_run}", "escape=0.9").by_type
    assert {item.defect_type for item in types} == {"scratch", "stain"}
    assert types[0].bound >= types[1].bound


def test_the_runs_own_threshold_can_be_judged(run_certify: Certify, trained_run: Path) -> None:
    found = run_certify(f"run={trained_run}", "threshold=run", "escape=0.9")
    assert (found.searched, found.thresholds.upper) == (False, 0.5)  # type: ignore[union-attr]
    given = run_certify(f"run={trained_run}", "threshold=0.4", "escape=0.9")
    assert given.caveats[0] == "it is taken that the threshold was fixed before these pictures were looked at"


def test_a_threshold_chosen_on_the_same_pictures_is_said(
    run_certify: Certify, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))
    found = run_certify(f"run={run}", "threshold=run", "escape=0.9", "part=val")
    assert found.caveats[0].startswith("optimistic: this threshold was chosen on these pictures")


def test_a_certified_threshold_can_be_kept(run_certify: Certify, trained_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    found = run_certify(f"run={run}", "escape=0.9", "store=true")
    assert fancnn.load(run).thresholds == found.thresholds
    assert json.loads((run / "metrics.json").read_text())["decision"].startswith("certified: escape rate <= ")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([], "say run=outputs/train/<stamp>, or table=predictions.csv"),
        (["table=x.csv", "escape=0"], "escape=0.0: expected a share above 0 and below 1"),
        (["table=x.csv", "unit=panel"], "unit='panel' is none of picture, group"),
        (["table=x.csv", "part=all"], "part='all' is none of train, val, test"),
        (["table=x.csv", "store=true"], "store=true keeps the threshold in a run's model: say run="),
        (["table=x.csv"], "cannot read the table x.csv: No such file"),
        (["run=nowhere"], "cannot read nowhere/metrics.json: No such file"),
    ],
)
def test_mistakes_are_told(overrides: list[str], text: str, run_certify: Certify) -> None:
    with pytest.raises(UserError, match=text):
        run_certify(*overrides)


def test_a_threshold_that_is_none_is_told(run_certify: Certify, tmp_path: Path) -> None:
    place = table(tmp_path / "t.csv", 20)
    texts = {"high": "threshold='high' should be a number, run, or null", "run": "say run=", "2": "should be in "}
    for value, text in texts.items():
        with pytest.raises(UserError, match=text):
            run_certify(f"table={place}", f"threshold={value}")
    with pytest.raises(UserError, match="part=val: .* has no parts alone"):
        run_certify(f"table={place}", "part=val")
