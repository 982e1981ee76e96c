import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from samples import compose_command, run_command

from fancnn.certify.certify import certify
from fancnn.certify.sequential_looks import weights_mark
from fancnn.certify.settings import CertifySettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.decisions.certificates import Certificate
from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction, write_predictions
from fancnn.training.checkpointing import AtomicCheckpointIO

Certify = Callable[..., Certificate]


@pytest.fixture
def run_certify(tmp_path: Path) -> Certify:
    def run(*overrides: str) -> Certificate:
        given = (*overrides, "sequential=true", f"output_dir={tmp_path / 'out'}")
        return certify(compose_command("certify", CertifySettings, *given))

    return run


def table(path: Path, ng: int, escapes: int = 0, group: str = "") -> Path:
    bad = [
        Prediction(f"ng/{i}", 0.1 if i < escapes else 0.9, label=1, group=f"{group}{i // 2}" if group else "")
        for i in range(ng)
    ]
    good = [Prediction(f"go/{i}", i / 250, label=0, group=f"good {i}" if group else "") for i in range(100)]
    write_predictions([*bad, *good], path)
    return path


@pytest.mark.slow
def test_a_table_may_be_certified_again_and_again_while_it_grows(tmp_path: Path) -> None:
    """As a person does it: a command for each look, exit codes as ever."""
    arguments = ("threshold=0.5", "sequential=true", "output=claims/c.json", "looks=1")
    for number, (count, code) in enumerate([(299, 1), (377, 0)], start=1):
        place = table(tmp_path / "table.csv", count)
        answer = run_command("fancnn.certify", f"table={place}", *arguments, cwd=tmp_path)
        assert answer.returncode == code, answer.stderr
        assert (", is all that can be said so far, and 1 % was asked for" in answer.stdout) == (number == 1)
        assert "at 95 % confidence, at any time of looking; overkill " in answer.stdout
    assert "look 2: 299, 377 NG parts" in answer.stdout
    assert "look again, with images added: output=claims/c.json" in answer.stdout
    table(tmp_path / "table.csv", 350)
    answer = run_command("fancnn.certify", f"table={place}", *arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert "27 images of look 2" in answer.stderr + answer.stdout
    certificate = json.loads((tmp_path / "claims/c.json").read_text())
    assert (certificate["granted"], certificate["sequential"], certificate["ng"]) == (True, True, 377)
    assert len(json.loads((tmp_path / "claims/c.looks.json").read_text())["looks"]) == 2


def test_without_sequential_nothing_is_kept_and_the_certificate_says_so(tmp_path: Path) -> None:
    place = table(tmp_path / "t.csv", 299)
    certify(
        compose_command("certify", CertifySettings, f"table={place}", "threshold=0.5", f"output_dir={tmp_path / 'out'}")
    )
    assert not list(tmp_path.rglob("*.looks.json"))
    assert json.loads((tmp_path / "out/certificate.json").read_text())["sequential"] is False


def test_groups_are_what_is_counted_where_there_are_some(run_certify: Certify, tmp_path: Path) -> None:
    found = run_certify(f"table={table(tmp_path / 't.csv', 400, group='lot ')}", "threshold=0.5")
    assert found.ng == 200
    assert "look 1: 200 NG groups" in found.statement
    with pytest.raises(UserError, match="ng/400 was added to group lot 200|another label|missing here"):
        run_certify(f"table={table(tmp_path / 't.csv', 399, group='lot ')}", "threshold=0.5")


def test_a_part_that_comes_late_to_its_group_is_refused(run_certify: Certify, tmp_path: Path) -> None:
    run_certify(f"table={table(tmp_path / 't.csv', 399, group='lot ')}", "threshold=0.5")
    with pytest.raises(UserError, match="ng/399 was added to group lot 199, which look 1 .* only complete groups"):
        run_certify(f"table={table(tmp_path / 't.csv', 400, group='lot ')}", "threshold=0.5")


def test_a_threshold_that_is_searched_is_refused_and_one_that_was_fixed_is_not_kept(
    run_certify: Certify, trained_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="needs a threshold that was fixed before the first look: threshold=run, or"):
        run_certify(f"table={table(tmp_path / 't.csv', 400)}")
    with pytest.raises(UserError, match="claims one that was fixed before: put it into the run first"):
        run_certify(f"run={trained_run}", "threshold=0.5", "store=true")


def test_a_run_is_known_by_its_weights_whatever_its_thresholds(
    run_certify: Certify, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    before = weights_mark(run)
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))
    assert len(before) == 16
    assert weights_mark(run) == before
    run_certify(f"run={run}", "threshold=run", "escape=0.9")
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    next(iter(content["state_dict"].values())).add_(1e-3)
    AtomicCheckpointIO().save_checkpoint(content, run / "checkpoints/best.ckpt")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "checkpoint_sha256": None, "weights_sha256": None}))
    assert weights_mark(run) != before
    with pytest.raises(UserError, match="look of another claim: the model's weights changed"):
        run_certify(f"run={run}", "threshold=run", "escape=0.9")
    assert weights_mark(tmp_path) == ""


def test_the_images_that_chose_the_threshold_are_no_images_for_it(
    run_certify: Certify, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copied"))
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))
    with pytest.raises(UserError, match=r"the run's own was chosen on these very images \(val\)"):
        run_certify(f"run={run}", "threshold=run", "split=val")
