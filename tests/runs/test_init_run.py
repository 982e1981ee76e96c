"""`init=RUN` and `freeze.layers`: what comes over, what stays, and that such a run goes on exactly."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import SMALL, compose_command, compose_train, write_images

import fancnn
from fancnn import assembly
from fancnn.crossval.crossval import crossval
from fancnn.crossval.settings import CrossvalSettings
from fancnn.errors import UserError
from fancnn.lr_find.lr_find import find_rate
from fancnn.lr_find.settings import LrFindSettings
from fancnn.networks.weights import weights_hash
from fancnn.pretrain.pretrain import pretrain
from fancnn.runs.init_run import find_origin, print_frozen, start_from
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.epoch_log import EpochCsvLogger

Settings = Callable[..., TrainSettings]
Weights = dict[str, torch.Tensor]
QUICK = ("report=false", "logger.tensorboard=null", "calibration=none", "callbacks.early_stopping=null")
NORM = "model.network.norm=batch"
FIRST = "model.network.blocks.0.0.weight"


@pytest.fixture
def train_settings(train_settings: Settings) -> Settings:
    """Without what is drawn for a person."""
    return lambda *overrides, **options: train_settings(*QUICK, *overrides, **options)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """An autoencoder of the tiny network with batch norms."""
    run = tmp_path_factory.mktemp("pretrained") / "run"
    given = [*SMALL, NORM, f"data.root={image_folder}", "logger.tensorboard=null", f"output_dir={run}", "overrides=[]"]
    pretrain(compose_command("pretrain", PretrainSettings, *given))
    return run


def weights(run: Path, name: str = "last.ckpt") -> Weights:
    return torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


def epochs_of(monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """The weights that each epoch of a training ends with, filled while it runs."""
    ends: list[Weights] = []
    plain = EpochCsvLogger.on_train_epoch_end

    def noting(self: EpochCsvLogger, trainer: Any, pl_module: Any) -> None:
        plain(self, trainer, pl_module)
        ends.append({name: value.detach().clone() for name, value in pl_module.state_dict().items()})

    monkeypatch.setattr(EpochCsvLogger, "on_train_epoch_end", noting)
    return ends


def is_block(name: str) -> bool:
    return name.startswith("model.network.blocks")


def test_frozen_layers_are_the_sources_until_the_epoch_said_and_learn_after_it(
    pretrained: Path, train_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Statistics of batch norms among them, and the weights under decay."""
    ends, source = epochs_of(monkeypatch), weights(pretrained, "best.ckpt")
    start = [f"init={pretrained}", "freeze.layers=2", "freeze.until_epoch=2", "optimizer=adamw"]
    train(train_settings(NORM, *start, "trainer.max_epochs=4"))
    said = capsys.readouterr().out
    assert "freeze: blocks.0.0 to blocks.1.1 stay as they start in the first 2 epochs, then learn" in said
    assert said.index("epoch  2/4") < said.index("all layers learn from epoch 3 on") < said.index("epoch  3/4")
    assert "at random" not in said
    blocks = [name for name in ends[0] if is_block(name)]
    assert any("running_mean" in name for name in blocks)
    for end in ends[:2]:
        assert all(torch.equal(end[name], source[name]) for name in blocks)
    for before, after in pairwise(ends[1:]):
        assert not any(torch.equal(before[name], after[name]) for name in blocks)
    others = [name for name in ends[0] if "hidden" in name or "logit" in name]
    assert not any(torch.equal(ends[0][name], ends[1][name]) for name in others)


@pytest.mark.parametrize("averaging", ["none", "ema", "swa"])
def test_layers_that_are_frozen_for_ever_end_as_they_came_averaged_or_not(
    averaging: str, pretrained: Path, train_settings: Settings, tmp_path: Path
) -> None:
    more = ["callbacks.averaging.start_epoch=1"] if averaging == "swa" else []
    options = [f"init={pretrained}", "freeze.layers=all_but_last", f"averaging={averaging}", *more]
    settings = train_settings(NORM, *options)
    train(settings)
    first = start_of(settings)
    source, end = weights(pretrained, "best.ckpt"), weights(tmp_path / "run")
    for name, value in end.items():
        if is_block(name):
            assert torch.equal(value, source[name]), name
        elif "hidden" in name:
            assert torch.equal(value, first[name.removeprefix("model.network.")]), name
        elif "logit" in name:
            assert not torch.equal(value, first[name.removeprefix("model.network.")])


def test_layers_that_nothing_has_taught_are_told_where_they_are_held(
    pretrained: Path, train_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, untaught in (
        ([], "blocks.0.0, blocks.1.0, hidden.1.0"),
        ([f"init={pretrained}"], "hidden.1.0"),
        (["model.network.first_layer=sobel"], "blocks.1.0, hidden.1.0"),
    ):
        settings = train_settings(NORM, *given, "freeze.layers=3")
        fresh = assembly.model(settings, ("GO", "NG"))
        init = start_from(find_origin(settings), fresh, settings, (1, 1))
        capsys.readouterr()
        print_frozen(fresh, settings, init["layers"] if init else ())
        said = capsys.readouterr().out
        assert "freeze: blocks.0.0 to hidden.1.0 stay as they start to the end" in said
        assert f"warning: freeze: {untaught} start at random" in said


def start_of(settings: TrainSettings) -> Weights:
    """The weights that a training starts with."""
    fresh = assembly.model(settings, ("GO", "NG"))
    start_from(find_origin(settings), fresh, settings, (1, 1))
    return {name: value.clone() for name, value in fresh.network.state_dict().items()}


def test_a_training_can_start_from_a_training_and_says_what_came_over(
    trained_run: Path, train_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On images of another size and preparation: the hidden layer does not fit."""
    other = ["data.image_size=[20,16]", "data.mean=[0.5,0.5,0.5]"]
    train(train_settings(f"init={trained_run}", *other, "model.optimizer.lr=1e-12", "trainer.max_epochs=1"))
    said = " ".join(capsys.readouterr().out.split())
    assert "init: 2 of 4 layers start with those of a training, " in said
    assert "from there: blocks.0.0 to blocks.1.0; fresh: hidden.1.0 to logit" in said
    assert "logit would fit, but come after a fresh layer" in said
    assert "image_size [16, 16] there, [20, 16] here; mean [0.0, 0.0, 0.0] there, [0.5, 0.5, 0.5] here" in said
    source, end = weights(trained_run, "best.ckpt"), weights(tmp_path / "run")
    for name in (FIRST, "model.network.blocks.1.0.bias"):
        torch.testing.assert_close(end[name], source[name], rtol=0, atol=1e-9)
    assert (end["model.network.logit.weight"] - source["model.network.logit.weight"]).abs().max() > 0.01


def test_a_pretraining_gives_what_it_has_learnt_and_no_layer_that_it_has_not(
    pretrained: Path, train_settings: Settings
) -> None:
    settings = train_settings(NORM, f"init={pretrained}")
    found, source = start_of(settings), weights(pretrained, "best.ckpt")
    plain = assembly.model(settings, ("GO", "NG")).network.state_dict()
    for name, value in found.items():
        assert torch.equal(value, source[f"model.network.{name}"] if name.startswith("blocks") else plain[name]), name


@pytest.mark.slow
def test_a_checkpoint_knows_where_it_came_from_and_still_does_when_it_went_on(
    pretrained: Path, train_settings: Settings, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    start = [NORM, f"init={pretrained}"]
    train(train_settings(*start, "trainer.max_epochs=1", output=one))
    train(train_settings(*start, f"ckpt={one}", "trainer.max_epochs=2", output=two))
    path = pretrained / "checkpoints/best.ckpt"
    source = {
        name.removeprefix("model.network."): value
        for name, value in weights(pretrained, "best.ckpt").items()
        if is_block(name)
    }
    for run in (one, two):
        origin = fancnn.load(run).metadata.init
        assert (origin["path"], origin["task"]) == (str(path), "autoencoder")
        assert origin["layers"] == ["blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1"]
        assert origin["weights_sha256"] == weights_hash(source)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3], ids=["before it lets go", "after"])
def test_a_run_goes_on_exactly_across_the_epoch_in_which_layers_begin_to_learn(
    stop: int, pretrained: Path, train_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [NORM, f"init={pretrained}", "freeze.layers=2", "freeze.until_epoch=2", "trainer.max_epochs=5"]
    options += ["schedule=one_cycle", "averaging=ema", "data.batch_size=16", "monitor=train/loss"]
    whole, half, rest = (tmp_path / name for name in ("whole", "half", "rest"))
    ends = epochs_of(monkeypatch)
    train(train_settings(*options, output=whole))
    noting = EpochCsvLogger.on_train_epoch_end

    def stopping(self: EpochCsvLogger, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == stop:
            raise KeyboardInterrupt
        noting(self, trainer, pl_module)

    with monkeypatch.context() as patched:
        patched.setattr(EpochCsvLogger, "on_train_epoch_end", stopping)
        with pytest.raises(SystemExit):
            train(train_settings(*options, output=half))
    begun = len(ends)
    train(train_settings(*options, f"ckpt={half}", output=rest))
    assert begun + 5 - stop == len(ends), "it goes on in the epoch that was stopped"
    assert not torch.equal(ends[4][FIRST], ends[1][FIRST])
    torch.testing.assert_close(ends[-1], ends[4], rtol=0, atol=0)
    for name in ("best.ckpt", "last.ckpt"):
        torch.testing.assert_close(weights(rest, name), weights(whole, name), rtol=0, atol=0)


def test_hand_made_filters_that_stay_are_kept_and_an_output_bias_too(
    trained_run: Path, train_settings: Settings
) -> None:
    by_hand = ["model.network.first_layer=sobel", "model.network.freeze_first_layer=true"]
    settings = train_settings(f"init={trained_run}", *by_hand, "model.output_bias=balanced")
    found = start_of(settings)
    assert torch.equal(
        found["blocks.0.0.weight"], assembly.model(settings, ()).network.state_dict()["blocks.0.0.weight"]
    )
    assert torch.equal(found["blocks.1.0.weight"], weights(trained_run, "best.ckpt")["model.network.blocks.1.0.weight"])
    assert float(found["logit.bias"]) == 0  # as many GO as NG
    plain = start_of(train_settings(f"init={trained_run}", "model.network.freeze_first_layer=true"))
    assert torch.equal(plain["blocks.0.0.weight"], weights(trained_run, "best.ckpt")[FIRST])


def test_a_last_layer_that_tells_other_types_apart_starts_fresh(train_settings: Settings, tmp_path: Path) -> None:
    """Two runs that tell as many types apart, of other names."""
    still = ["model.optimizer.lr=1e-12", "trainer.max_epochs=1", "model.labels=defect_types"]
    roots = [write_images(tmp_path / kind, {"GO": 10, f"NG/{kind}": 8, "NG/x": 8}) for kind in ("chip", "dent")]
    runs = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    train(train_settings(*still, f"data.root={roots[0]}", "seed=5", output=runs[0]))
    for root, run in zip(roots, runs[1:], strict=True):
        train(train_settings(*still, f"data.root={root}", f"init={runs[0]}", output=run))
    logit, source = "model.network.logit.weight", weights(runs[0])
    same, other = (weights(run) for run in runs[1:])
    torch.testing.assert_close(same[logit], source[logit], rtol=0, atol=1e-9)
    torch.testing.assert_close(other[FIRST], source[FIRST], rtol=0, atol=1e-9)
    assert (other[logit] - source[logit]).abs().max() > 0.01


def test_every_fold_starts_from_it(pretrained: Path, image_folder: Path, tmp_path: Path) -> None:
    given = [*SMALL, *QUICK, NORM, f"data.root={image_folder}", f"init={pretrained}", "freeze.layers=2", "folds=3"]
    crossval(compose_command("crossval", CrossvalSettings, *given, f"output_dir={tmp_path / 'folds'}", "overrides=[]"))
    source = weights(pretrained, "best.ckpt")[FIRST]
    for number in (1, 2, 3):
        assert torch.equal(weights(tmp_path / f"folds/fold-{number}")[FIRST], source)


@pytest.mark.slow
def test_the_range_test_starts_where_the_training_would(pretrained: Path, image_folder: Path, tmp_path: Path) -> None:
    def losses(*more: str) -> str:
        given = [
            *SMALL,
            NORM,
            f"data.root={image_folder}",
            f"output_dir={tmp_path}",
            "overrides=[]",
            "steps=20",
            "min_lr=1e-4",
        ]
        find_rate(compose_command("lr_find", LrFindSettings, *given, *more))
        return (tmp_path / "lr_find.csv").read_text()

    plain, begun = losses(), losses(f"init={pretrained}")
    frozen = losses(f"init={pretrained}", "freeze.layers=2")
    assert len({plain, begun, frozen}) == 3


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("freeze.layers=0", "freeze.layers=0 should be null .none., all_but_last, or how many"),
        ("freeze.layers=most", "freeze.layers='most' should be null"),
        ("freeze.layers=4", r"freeze.layers=4: ConvNet has 4 layers with kernels.*Take 3 at most"),
        ("freeze.until_epoch=1", "freeze.until_epoch=1 freezes nothing: say which layers"),
        ("freeze.layers=1|freeze.until_epoch=2", "freeze.until_epoch=2 should be from 1 to below trainer.max_epochs=2"),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused(mistake: str, text: str, train_settings: Settings) -> None:
    with pytest.raises(UserError, match=text):
        assembly.check(train_settings(*mistake.split("|")))


def test_a_start_that_is_none_is_refused(pretrained: Path, tmp_path: Path, image_folder: Path) -> None:
    with pytest.raises(UserError, match="init='nowhere' does not exist. Expected a run folder"):
        train(compose_train(tmp_path / "run", *SMALL, f"data.root={image_folder}", "init=nowhere"))
    with pytest.raises(UserError, match=r"init=.*: no layer of the network fits: .*Take a run of the same model"):
        train(
            compose_train(tmp_path / "run", *SMALL[1:], "model=wide", f"data.root={image_folder}", f"init={pretrained}")
        )
    with pytest.raises(UserError, match="is a run of pretrain: go on with it by .* start with its layers: init="):
        train(compose_train(tmp_path / "run", *SMALL, f"data.root={image_folder}", f"ckpt={pretrained}"))
