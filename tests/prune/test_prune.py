import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from samples import compose_command, process_environment, run_command

import fancnn
from fancnn.cli.command import checked
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.decisions.line_costs import Costs
from fancnn.decisions.threshold_choice import min_cost_threshold
from fancnn.ensemble.ensemble import ensemble
from fancnn.ensemble.settings import EnsembleSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import columns, read_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.networks.convnet import ConvNet
from fancnn.networks.dependency_groups import channel_groups
from fancnn.prune.prune import prune, shares_of
from fancnn.prune.settings import PruneSettings
from fancnn.runs.metrics_file import read_metrics
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.epoch_log import EpochCsvLogger

Settings = Callable[..., TrainSettings]


def settings_of(output: Path, *given: str) -> PruneSettings:
    return compose_command("prune", PruneSettings, *given, "device=cpu", f"output_dir={output}")


def pruned(output: Path, *given: str) -> Path:
    prune(settings_of(output, *given))
    return output


@pytest.fixture(scope="module")
def half(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run with half of its filters, by the sums of their weights."""
    return pruned(tmp_path_factory.mktemp("half"), f"run={trained_run}", "keep=0.5", "by=l1", "epochs=2")


@pytest.mark.slow
def test_what_is_left_is_a_run_as_any(half: Path, trained_run: Path, tmp_path: Path) -> None:
    run = half / "keep-0.5"
    assert (run / "split.csv").read_bytes() == (trained_run / "split.csv").read_bytes()
    promised = {"predictions.csv", "metrics.json", "metrics.csv", "report.html", "compare.html", "certificate.json"}
    assert promised <= {path.name for path in run.iterdir()}
    kept = OmegaConf.load(run / ".hydra/config.yaml")
    assert asdict(checked(kept, TrainSettings)) == fancnn.load(run).metadata.settings
    network = fancnn.load(run).network
    assert isinstance(network, ConvNet)
    assert [len(network.get_submodule(name).weight) for name in ("blocks.0.0", "blocks.1.0", "hidden.1.0")] == [2, 4, 8]
    again = evaluate_run(compose_command("evaluate", EvaluateSettings, f"run={run}", f"output_dir={tmp_path / 'e'}"))
    assert again.splits["test"]["auroc"] == read_metrics(run / "metrics.json").splits["test"]["auroc"]
    both = f"runs=[{trained_run},{run}]"
    joined = ensemble(compose_command("ensemble", EnsembleSettings, both, f"output_dir={tmp_path / 'j'}"))
    assert fancnn.load(joined).metadata.runs == [str(trained_run.resolve()), str(run.resolve())]


@pytest.mark.slow
def test_it_loads_in_a_process_of_its_own_and_decides_as_its_table_says(half: Path, image_folder: Path) -> None:
    rows = read_predictions(half / "keep-0.5/predictions.csv")[:5]
    run, files = str(half / "keep-0.5"), paths(image_folder, rows)
    code = f"import fancnn; print(*fancnn.load({run!r}).predict({files}).probabilities)"
    answer = subprocess.run(
        [sys.executable, "-c", code], env=process_environment(), capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(
        [float(word) for word in answer.stdout.split()], [row.probability for row in rows], atol=1e-6
    )


def paths(root: Path, rows: list) -> list[str]:
    return [str(root / row.path) for row in rows]


@pytest.mark.slow
def test_before_its_training_it_scores_as_the_original_that_ignores_the_filters_of_least_weight(
    half: Path, trained_run: Path, image_folder: Path
) -> None:
    model, original = fancnn.load(trained_run), fancnn.load(trained_run).network
    for group in channel_groups(original):
        weights = original.get_submodule(group.name).weight.detach().flatten(1).abs().sum(1)
        for name in group.consumers:
            kernel = model.network.get_submodule(name).weight.data
            kernel.view(len(kernel), len(weights), -1)[:, weights.argsort()[: len(weights) // 2]] = 0
    val = [row for row in read_predictions(half / "keep-0.5/predictions.csv") if row.split == "val"]
    chances, labels = model.predict(paths(image_folder, val)).probabilities, np.array([row.label for row in val])
    _, point = json.loads((half / "pruning.json").read_text())["points"]
    assert point["pruned"]["accuracy"] == pytest.approx(np.mean((chances > model.thresholds.upper) == labels))
    by_hand = -np.mean(np.log(np.where(labels == 1, chances, 1 - chances)))
    assert point["pruned"]["loss"] == pytest.approx(by_hand, abs=1e-5)


def test_the_curve_says_what_each_network_costs_and_is_worth(half: Path, trained_run: Path) -> None:
    found = json.loads((half / "pruning.json").read_text())
    assert (found["format"], found["version"], found["by"], found["split"]) == ("fancnn-pruning", 2, "l1", "val")
    original, point = found["points"]
    for item, run in ((original, trained_run), (point, half / "keep-0.5")):
        weights = fancnn.load(run).network.state_dict().values()
        assert item["run"] == str(run.resolve())
        assert item["parameters"] == sum(weight.numel() for weight in weights)
        assert item["bytes"] == 4 * item["parameters"]
        of_run = read_metrics(run / "metrics.json").splits["val"]
        assert item["tuned"] == {name: of_run[name] for name in item["tuned"]}
        assert item["ms"] > 0
        assert item["ms_in_batch"] > 0
    assert point["network"] == {"filters": [2, 4], "hidden": [8]}
    assert point["flops"] < original["flops"]
    assert original["pruned"] is None
    assert set(point["certificates"]) == {"original", "smaller"}
    assert (half / "pruning.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_among_several_shares_one_is_to_be_chosen_before_the_test_part_is_looked_at(
    half: Path, trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pruned(tmp_path / "out", f"run={trained_run}", "keep=[0.25,1,0.75]", "epochs=1")
    assert capsys.readouterr().out.count(f"certificate of {trained_run}\n") == 1
    found = json.loads((run / "pruning.json").read_text())["points"]
    assert [point["keep"] for point in found] == [1.0, 0.75, 0.25]
    assert [point["network"]["filters"] for point in found] == [[4, 8], [3, 6], [1, 2]]
    for share in ("0.75", "0.25"):
        assert {row.split for row in read_predictions(run / f"keep-{share}/predictions.csv")} == {"val"}
        assert json.loads((run / f"keep-{share}/compare.json").read_text())["split"] == "val"
    assert json.loads((half / "keep-0.5/compare.json").read_text())["split"] == "test"


@pytest.mark.slow
def test_its_training_begins_with_what_is_left_and_at_the_lower_rate(
    half: Path, trained_run: Path, tmp_path: Path
) -> None:
    with (half / "keep-0.5/metrics.csv").open() as file:
        assert float(next(csv.DictReader(file))["lr"]) == pytest.approx(0.01 * 0.3)
    run = pruned(tmp_path / "out", f"run={trained_run}", "by=order", "epochs=1", "lr_factor=1e-9")
    original, left = (fancnn.load(at).network.state_dict() for at in (trained_run, run / "keep-0.5"))
    torch.testing.assert_close(left["blocks.1.0.weight"], original["blocks.1.0.weight"][:4, :2], rtol=0, atol=1e-6)
    torch.testing.assert_close(left["logit.weight"], original["logit.weight"][:, :8], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_pruning_that_was_stopped_goes_on_as_one_that_was_not(half: Path, trained_run: Path, tmp_path: Path) -> None:
    given = [f"run={trained_run}", "keep=0.5", "by=l1"]
    run = pruned(tmp_path / "out", *given, "epochs=1") / "keep-0.5"
    (run / "metrics.json").unlink()  # what is written last
    pruned(tmp_path / "out", *given, "epochs=2", f"ckpt={tmp_path / 'out'}")
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(at / "checkpoints" / name, weights_only=True) for at in (run, half / "keep-0.5"))
        torch.testing.assert_close(one["state_dict"], other["state_dict"], rtol=0, atol=0)


def test_a_pruning_that_is_stopped_says_how_to_go_on_with_it_alone(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(EpochCsvLogger, "on_train_epoch_end", stop)
    with pytest.raises(SystemExit):
        pruned(tmp_path / "out", f"run={trained_run}", "by=l1", "epochs=2")
    said = capsys.readouterr().out
    assert f"interrupted; go on with: python -m fancnn.prune ckpt={tmp_path / 'out'}" in said
    assert "fancnn.train" not in said
    assert said.count("go on") == 1


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again(half: Path, trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(half, out)
    (out / ".hydra").mkdir()  # as the command leaves it
    (out / ".hydra/overrides.yaml").write_text(f"- run={trained_run}\n- by=l1\n- epochs=2\n")
    again = run_command("fancnn.prune", f"ckpt={out}", cwd=tmp_path, COLUMNS="80")
    assert again.returncode == 0, again.stderr
    assert "finished before" in again.stdout
    assert "epoch  1/2" not in again.stdout
    last = "keep-0.5/checkpoints/last.ckpt"
    assert (out / last).read_bytes() == (half / last).read_bytes()
    assert "…" not in again.stdout, "nothing is cut off"


@pytest.mark.slow
def test_a_residual_network_with_averaged_weights_and_an_output_for_each_type_is_pruned_too(
    train_settings: Settings, tmp_path: Path
) -> None:
    small = ["model=residual", "model.network.widths=[4,6]", "model.network.stem_stride=1", "model.network.head=both"]
    averaged = ["model.labels=defect_types", "averaging=swa", "callbacks.averaging.start_epoch=2", "schedule=constant"]
    train(train_settings(*small, *averaged, "report=false", output=tmp_path / "run"))
    out = pruned(tmp_path / "out", f"run={tmp_path / 'run'}", "keep=0.5", "by=activation", "epochs=1")
    assert json.loads((out / "pruning.json").read_text())["points"][1]["network"] == {"widths": [2, 3]}
    assert fancnn.load(out / "keep-0.5").predict(np.zeros((8, 8), np.uint8)).decisions[0] in ("GO", "NG")


def test_norms_over_several_channels_and_other_images_are_refused(
    train_settings: Settings, trained_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(train_settings("model.network.norm=group", "trainer.max_epochs=1", "report=false", output=run))
    with pytest.raises(UserError, match="Networks with norm=batch or norm=none can be pruned"):
        pruned(tmp_path / "out", f"run={run}")
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["fancnn"]["split_sha256"] = "another"
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="are not those that .* was trained on: some were changed or are missing"):
        pruned(tmp_path / "out", f"run={run}")


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("keep=0", "keep=0 should be a share above 0 and below 1, or a list of them"),
        ("keep=[1.0]", "keep=\\[1.0\\] should be a share"),
        ("keep=half", "keep=half should be a share"),
        ("by=l3", "by='l3' is none of order, l1, l2, activation, taylor"),
        ("epochs=0", "epochs=0 should be 1 or more"),
        ("lr_factor=0", "lr_factor=0.0 should be above 0"),
        ("escape=2", "escape=2.0: expected a share"),
    ],
)
def test_a_mistake_is_told_before_anything_is_read(mistake: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        settings_of(tmp_path, "run=nowhere", mistake)


def test_each_share_is_taken_once_the_largest_first_and_the_original_is_there_anyway() -> None:
    assert shares_of([0.25, 1, 0.5, 0.25]) == [0.5, 0.25]
    assert shares_of(0.5) == [0.5]


def decided_anew(trained_run: Path, place: Path, *rule: str) -> Path:
    run = Path(shutil.copytree(trained_run, place))
    decide(compose_command("decide", DecideSettings, f"run={run}", *rule))
    return run


@pytest.mark.slow
def test_thresholds_are_chosen_by_the_rule_and_for_the_line_that_the_run_has_now(
    trained_run: Path, tmp_path: Path
) -> None:
    cost = ["decision.rule=cost", "line.ng_rate=0.05", "line.costs.escape=100", "line.costs.overkill=2"]
    run = decided_anew(trained_run, tmp_path / "run", *cost)
    left = pruned(tmp_path / "out", f"run={run}", "by=l1", "epochs=1") / "keep-0.5"
    labels, chances = columns([row for row in read_predictions(left / "predictions.csv") if row.split == "val"])
    expected = min_cost_threshold(labels, chances, Costs(100, 2, None), 0.05).thresholds
    assert fancnn.load(left).thresholds == expected
    assert expected not in (fancnn.load(trained_run).thresholds, fancnn.load(run).thresholds)
    metrics = read_metrics(left / "metrics.json")
    assert (metrics.decision_rule["rule"], metrics.line["ng_rate"]) == ("cost", 0.05)


@pytest.mark.slow
def test_filters_removed_and_trained_are_told_by_one_rule(trained_run: Path, tmp_path: Path) -> None:
    run = decided_anew(trained_run, tmp_path / "run", "decision.threshold=0")
    out = pruned(tmp_path / "out", f"run={run}", "by=l1", "epochs=1")
    original, point = json.loads((out / "pruning.json").read_text())["points"]
    everything = read_metrics(trained_run / "metrics.json").splits["val"]["go"]
    assert [item["overkills"] for item in (original["tuned"], point["pruned"], point["tuned"])] == [everything] * 3


@pytest.mark.slow
def test_thresholds_whose_rule_is_not_known_stay_and_that_is_said(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = decided_anew(trained_run, tmp_path / "run", "decision.threshold=0.4", "decision.recheck=0.3")
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["fancnn"]["decision_rule"]  # as decided before rules were kept
    torch.save(checkpoint, path)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "checkpoint_sha256": None}))
    out = pruned(tmp_path / "out", f"run={run}", "by=l1", "epochs=1")
    assert fancnn.load(out / "keep-0.5").thresholds == Thresholds(0.3, 0.4)
    assert "is not kept with it, so they stay: GO up to 0.3, RECHECK up to 0.4" in capsys.readouterr().out
