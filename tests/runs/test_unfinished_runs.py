"""A run is complete or says that it is not: its command stopped at every step of its end, and begun again."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import SMALL, compose_command, compose_train

import fancnn
from fancnn.compare.candidates import read_candidate
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.tables import read_table
from fancnn.pretrain.pretrain import pretrain
from fancnn.prune.prune import prune
from fancnn.prune.settings import PruneSettings
from fancnn.report.report_data import metrics_of
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
STEPS = ((os, "replace"), (os, "fsync"), (Path, "replace"), (Path, "unlink"), (torch, "save"))


class Killed(BaseException):
    """What no code catches: the nearest thing to a kill inside a process."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Stop the block just before its `step`-th write to the disk, from 0; gives what was written until then."""
    done: list[str] = []

    def stopping(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(done) >= step:
                raise Killed
            done.append(name)
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, stopping(name, getattr(owner, name)))
        yield done


def facts(run: Path) -> dict[str, Any]:
    """What a run comes to, but for where it lies."""
    metrics = json.loads((run / "metrics.json").read_text())
    metrics = {name: value for name, value in metrics.items() if name not in ("run", "checkpoint_sha256")}
    model = fancnn.load(run)
    of = model.metadata
    decided = [of.decision, of.decision_split, of.decision_rule, of.epoch]
    table = (run / "predictions.csv").read_bytes()
    return {"metrics": metrics, "weights": model.weights_sha256, "decision": decided, "table": table}


def curves(run: Path) -> list[dict[str, str]]:
    """Return the rows of `metrics.csv`, but for their seconds."""
    rows = read_table(run / "metrics.csv", ("epoch",), 1)
    assert rows
    return [{name: cell for name, cell in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def trained_not_judged(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped between its last epoch and its decision."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    given = [*SMALL, f"data.root={image_folder}", "decision.rule=f1", "report=false"]
    stopped_at("train.train._judge", lambda: train(compose_train(run, *given)))
    return run


def stopped_at(function: str, work: Callable[[], Any]) -> None:
    """Do `work` until it comes to a function of `fancnn`."""

    def stop(*args: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"fancnn.{function}", stop)
        with pytest.raises(Killed):
            work()


def resumed(run: Path, image_folder: Path, output: Path, *more: str) -> Path:
    given = [*SMALL, f"data.root={image_folder}", "decision.rule=f1", "report=false", f"ckpt={run}"]
    train(compose_train(output, *given, *more))
    return output


@pytest.mark.slow
def test_a_run_stopped_before_its_decision_is_refused_and_is_completed_without_another_epoch(
    trained_not_judged: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        with pytest.raises(UserError, match=r"is not complete: .* This completes it: python -m fancnn.train ckpt="):
            fancnn.load(trained_not_judged / name)
    capsys.readouterr()
    done = resumed(trained_not_judged, image_folder, tmp_path / "done")
    assert "epoch  " not in capsys.readouterr().out.partition("epoch 2 of 2")[0], "nothing was trained"
    whole = tmp_path / "whole"
    train(compose_train(whole, *SMALL, f"data.root={image_folder}", "decision.rule=f1", "report=false"))
    assert facts(done) == facts(whole)
    assert (done / "dynamics.csv").read_bytes() == (whole / "dynamics.csv").read_bytes()
    assert curves(done) == curves(whole)
    assert not run_folders.why_incomplete(done)
    with pytest.raises(UserError, match="nothing is left to do"):
        resumed(done, image_folder, tmp_path / "again")
    here = shutil.copytree(trained_not_judged, tmp_path / "here")
    assert f"ckpt={here} hydra.run.dir={here}" in run_folders.why_incomplete(here)
    assert facts(resumed(here, image_folder, here)) == facts(whole)
    assert not run_folders.why_incomplete(here)


def killed_everywhere(
    start: Path, place: Path, work: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, list[str]]]:
    """Stop `work` on a copy of `start` at each of its steps; gives what lies there, the same content once.

    Args:
        start: A folder.
        place: Where the copies go.
        work: Takes the copy.
        monkeypatch: Of the test.
    """
    known: set[tuple[tuple[str, bytes], ...]] = set()
    for step in range(1000):
        copy = place / str(step)
        shutil.copytree(start, copy)
        try:
            with killed_at(step, monkeypatch) as done:
                work(copy)
        except Killed:
            content = tuple(
                (path.name, path.read_bytes())
                for path in sorted(copy.rglob("*"))
                if path.is_file() and "tfevents" not in path.name
            )
            if content not in known:
                known.add(content)
                yield copy, done
        else:
            assert step == len(done), "nothing is written after the last step"
            return


def complete_or_refused(run: Path, expected: dict[str, Any]) -> bool:
    """Whether a run is complete; then it is the one expected, else whatever reads it says that it is not."""
    if not (why := run_folders.why_incomplete(run)):
        assert facts(run) == expected
        return True
    assert "is not complete" in why or "was being decided again" in why
    for read in (fancnn.load, metrics_of, lambda run: read_candidate(run, "A", 0.5)):
        with pytest.raises(UserError, match="is not complete|was being decided again|no run, or one that was stopped"):
            read(run)
    return False


@pytest.mark.slow
def test_a_training_killed_at_any_step_of_its_end_is_completed_as_if_it_had_not_been(
    trained_not_judged: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = facts(resumed(trained_not_judged, image_folder, tmp_path / "whole"))
    stops = 0
    for run, _ in killed_everywhere(
        trained_not_judged, tmp_path / "killed", lambda run: resumed(run, image_folder, run), monkeypatch
    ):
        stops += 1
        if not complete_or_refused(run, expected):
            assert facts(resumed(run, image_folder, run)) == expected
    assert stops >= 4, "checkpoint, predictions.csv, metrics.json and the mark of the end are four steps at least"


@pytest.mark.slow
def test_a_decision_killed_at_any_step_is_made_again(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def anew(run: Path) -> None:
        decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1"))

    before, whole = facts(trained_run), tmp_path / "whole"
    shutil.copytree(trained_run, whole)
    anew(whole)
    expected = facts(whole)
    for run, _ in killed_everywhere(trained_run, tmp_path / "killed", anew, monkeypatch):
        if (run / run_folders.DECIDING).exists() or facts(run) != before:
            complete_or_refused(run, expected)
            anew(run)
            assert facts(run) == expected


@pytest.mark.slow
def test_an_ensemble_killed_at_any_step_is_refused(
    trained_not_judged: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = resumed(trained_not_judged, image_folder, tmp_path / "one")
    other = shutil.copytree(one, tmp_path / "other")

    def joined(output: Path) -> None:
        given = [f"runs=[{one},{other}]", "decision.rule=f1", f"output_dir={output}"]
        ensemble(compose_command("ensemble", EnsembleSettings, *given))

    (empty := tmp_path / "empty").mkdir()
    joined(whole := tmp_path / "whole")
    for run, done in killed_everywhere(empty, tmp_path / "killed", joined, monkeypatch):
        if not done or not (run / run_folders.UNFINISHED).exists():  # before anything, or after everything
            continue
        if not complete_or_refused(run, facts(whole)):
            assert "Make it again: python -m fancnn.ensemble" in run_folders.why_incomplete(run)


@pytest.mark.slow
def test_a_cross_validation_killed_as_its_folds_come_together_goes_on(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crossed(run: Path) -> None:
        given = [*SMALL, f"data.root={image_folder}", "folds=3", "trainer.max_epochs=1", "report=false"]
        crossval(compose_command("crossval", CrossvalSettings, *given, f"output_dir={run}", "overrides=[]"))

    crossed(whole := tmp_path / "whole")
    table = (whole / "predictions.csv").read_bytes()
    # a fold that was trained and not judged, as a kill leaves it
    run_folders.begin(whole / "fold-2", "crossval", part=True)
    assert "This completes it: python -m fancnn.crossval ckpt=" in run_folders.why_incomplete(whole / "fold-2")
    with pytest.raises(UserError, match="python -m fancnn.crossval ckpt="):
        fancnn.load(whole / "fold-2")
    crossed(whole)
    assert not run_folders.why_incomplete(whole / "fold-2")
    assert (whole / "predictions.csv").read_bytes() == table
    for run, _ in killed_everywhere(whole, tmp_path / "killed", crossed, monkeypatch):
        if not (run / run_folders.UNFINISHED).exists():  # before anything, or after everything
            assert metrics_of(run).splits == metrics_of(whole).splits
            continue
        with pytest.raises(UserError, match="is not complete: python -m fancnn.crossval was stopped there"):
            metrics_of(run)
    crossed(run)
    assert metrics_of(run).splits == metrics_of(whole).splits


@pytest.mark.slow
def test_a_pretraining_killed_at_any_step_of_its_end_is_completed(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["data.image_size=[16,16]", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
    given = ["model=tiny", "task=rotation", *size, f"data.root={image_folder}", "overrides=[]"]

    def learned(run: Path, *more: str) -> None:
        pretrain(compose_command("pretrain", PretrainSettings, *given, f"output_dir={run}", *more))

    stopped_at("pretrain.pretrain._print_result", lambda: learned(tmp_path / "start"))
    for run, _ in killed_everywhere(
        tmp_path / "start", tmp_path / "killed", lambda run: learned(run, f"ckpt={run}"), monkeypatch
    ):
        if (run / run_folders.UNFINISHED).exists():
            assert "python -m fancnn.pretrain ckpt=" in run_folders.why_incomplete(run)
            run_left = run
    run = run_left
    capsys.readouterr()
    train(compose_train(tmp_path / "init", *SMALL, f"data.root={image_folder}", f"init={run}", "report=false"))
    assert "is not complete: python -m fancnn.pretrain was stopped there" in capsys.readouterr().out
    learned(run, f"ckpt={run}")
    assert not run_folders.why_incomplete(run)


@pytest.mark.slow
def test_a_pruning_killed_before_its_curve_goes_on(trained_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "pruned"
    given = compose_command("prune", PruneSettings, f"run={trained_run}", "epochs=1", f"output_dir={output}")
    stopped_at("prune.prune.leave_curve", lambda: prune(given))
    assert "This completes it: python -m fancnn.prune ckpt=" in run_folders.why_incomplete(output)
    assert not run_folders.why_incomplete(output / "keep-0.5"), "what is finished can be used"
    prune(given)
    assert not run_folders.why_incomplete(output)


@pytest.mark.slow
def test_a_training_that_was_stopped_early_and_killed_is_judged_and_not_trained_on(
    image_folder: Path, tmp_path: Path
) -> None:
    given = [*SMALL, f"data.root={image_folder}", "trainer.max_epochs=30", "model.optimizer.lr=0.3", "report=false"]
    given += ["callbacks.early_stopping.patience=2"]
    train(compose_train(tmp_path / "whole", *given))
    stopped_at("train.train._judge", lambda: train(compose_train(tmp_path / "killed", *given)))
    train(compose_train(tmp_path / "done", *given, f"ckpt={tmp_path / 'killed'}"))
    assert facts(tmp_path / "done") == facts(tmp_path / "whole")
    with pytest.raises(UserError, match=r"where it was stopped early.* callbacks.early_stopping=null"):
        train(compose_train(tmp_path / "again", *given, f"ckpt={tmp_path / 'done'}"))


def test_a_stopped_run_can_be_taken_as_it_is(trained_not_judged: Path, image_folder: Path, tmp_path: Path) -> None:
    more = ["trainer.max_epochs=9"]
    with pytest.raises(UserError, match=r"trained for 2 epochs, and trainer.max_epochs=1: none is taken back"):
        resumed(trained_not_judged, image_folder, tmp_path / "less", "trainer.max_epochs=1")
    as_it_is = resumed(trained_not_judged, image_folder, tmp_path / "taken", *more, "trainer.max_epochs=2")
    assert json.loads((as_it_is / "metrics.json").read_text())["epochs"] == 2
