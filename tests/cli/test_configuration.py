"""Every option of every group can be built, and every mistake is told by its key."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from samples import SMALL, compose_train

from fancnn import assembly
from fancnn.cli.command import checked, conf_dir
from fancnn.decide.settings import DecideSettings
from fancnn.errors import UserError
from fancnn.export.settings import ExportSettings
from fancnn.fans.settings import RenderSettings
from fancnn.parity.settings import ParitySettings
from fancnn.predict.settings import PredictSettings
from fancnn.surfaces.settings import RenderSurfacesSettings
from fancnn.training.quiet_lightning import quiet_lightning

OPTIONS = sorted((path.parent.name, path.stem) for path in conf_dir().glob("*/*.yaml"))
OF_OTHERS = (
    "callbacks",
    "logger",
    "fans",
    "surfaces",
    "image_data",
    "image_size",
    "task",
)  # composed by files, or of pretraining
CHOSEN = [(group, option) for group, option in OPTIONS if group not in OF_OTHERS]


def override(group: str, option: str, root: Path) -> list[str]:
    """Return the option, with what it takes beside it."""
    more = [f"data.root={root}"] if option == "folder" else []
    if (group, option) == ("windows", "default"):
        more = ["model=patches", "plant=default"]
    return [f"{group}={option}", *more]


def chosen() -> list[Any]:
    """Every group and option; those of packages that are not installed are left out, and say so."""
    missing = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
    return [pytest.param(*item, marks=[missing] if item == ("model", "timm") else []) for item in CHOSEN]


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), chosen())
def test_every_option_can_be_built(group: str, option: str, tmp_path: Path) -> None:
    settings = compose_train(tmp_path, *override(group, option, tmp_path), "trainer.accelerator=cpu")
    assembly.check(settings)
    assert assembly.trainer(settings).max_epochs == settings.trainer["max_epochs"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("group", "option"), [item for item in chosen() if item.values[0] == "model"])
def test_every_model_trains(group: str, option: str, precision: str, tmp_path: Path) -> None:
    """One step moves the first and the last kernel, and leaves numbers."""
    settings = compose_train(tmp_path, f"{group}={option}", "data.image_size=[48,40]")
    classifier = assembly.classifier(settings, assembly.model(settings, ("GO", "NG")), {}).train()
    optimizer = classifier.configure_optimizers()["optimizer"]
    kernels = [weight for weight in classifier.model.parameters() if weight.ndim > 1]
    before = [kernels[0].clone(), kernels[-1].clone()]
    images = torch.randint(0, 256, (6, 3, 48, 40), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        classifier.training_step((images, torch.tensor([0.0, 1, 0, 1, 0, 1])), 0).backward()
    optimizer.step()
    for old, now in zip(before, (kernels[0], kernels[-1]), strict=True):
        assert not torch.equal(old, now)
    assert all(bool(weight.isfinite().all()) for weight in classifier.parameters())


def test_the_default_has_every_callback_and_logger_there_is(tmp_path: Path) -> None:
    settings = compose_train(tmp_path)
    for group, used in (("callbacks", settings.callbacks), ("logger", settings.logger)):
        found = set(used) - {"averaging"}  # a group of its own fills it
        assert found == {option for of, option in OPTIONS if of == group}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"), [("callbacks.checkpoint", 2), ("callbacks.early_stopping", 1), ("logger.tensorboard", 1)]
)
def test_callbacks_and_loggers_can_be_null(name: str, count: int, tmp_path: Path) -> None:
    group, key = name.split(".")
    everything = compose_train(tmp_path, "trainer.accelerator=cpu")
    less = compose_train(tmp_path, f"{name}=null", "trainer.accelerator=cpu")
    counts = [
        len(getattr(assembly.trainer(settings), group if group == "callbacks" else "loggers"))
        for settings in (everything, less)
    ]
    assert counts[0] - counts[1] == count, key


def test_a_recipe_wins_over_everything_but_the_command_line(tmp_path: Path) -> None:
    assert compose_train(tmp_path, "experiment=original").schedule["epochs_per_decade"] is None  # type: ignore[index]
    louder = compose_train(tmp_path, "experiment=original", "data.split_method=stratified")
    assert louder.data.split_method == "stratified"


@pytest.mark.parametrize(
    ("name", "schema", "overrides"),
    [
        ("decide", DecideSettings, ["run=somewhere"]),
        ("predict", PredictSettings, ["input=images", "run=somewhere"]),
        ("export", ExportSettings, ["run=somewhere"]),
        ("parity", ParitySettings, ["file=inspector.onnx", "run=somewhere", "input=images"]),
        ("fans", RenderSettings, ["root=somewhere"]),
        ("surfaces", RenderSurfacesSettings, ["root=somewhere"]),
    ],
)
def test_entry_files_fit_their_settings_and_ask_for_what_is_missing(
    name: str, schema: type, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("somewhere", "images", "inspector.onnx"):
        Path(place).mkdir()
    output = ["output_dir=out"] if name in ("predict", "export") else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert isinstance(checked(compose(name, overrides=[*overrides, *output]), schema), schema)
        with pytest.raises(UserError, match=rf"(^|\n  ){overrides[0].split('=')[0]} is missing: say "):
            checked(compose(name, overrides=output), schema)


MISTAKES = [
    ("monitor=val/los", "monitor='val/los' is no score that every epoch has. Scores: val/accuracy, .*val/loss, train/"),
    ("objective=train/f1", "objective='train/f1' is no score of validation"),
    ("monitor=val/precision", "monitor='val/precision' .*undefined while nothing is called NG"),
    ("trainer.precision=bf16-true", "trainer.precision=bf16-true is none of auto, 32, "),
    ("trainer.max_epochs=0", "trainer.max_epochs=0 should be a whole number, 1 or more"),
    ("trainer.accelerator=abacus", "trainer: .*abacus"),
    ("+trainer.epochs=3", "trainer: .*unexpected keyword argument 'epochs'. It takes: .*max_epochs"),
    ("+model.filterz=3", "configuration: .*filterz"),
    ("+model.network.filterz=3", "model.network: .*'filterz'.*[.?] It takes: image_size, filters, "),
    ("+speed=3", "configuration: .*speed"),
    ("data.batch_size=many", "configuration: data.batch_size='many' should be a whole number"),
    ("data.batch_size=0", "data.batch_size=0 should be 1 or more"),
    ("data.image_size=[80]", "data.image_size=\\[80\\] should be two whole numbers"),
    ("data.image_size=[4,4]", "model.network: block 1 of 2 gets 4x4|model.network: block 2 of 2 gets 1x1"),
    ("model.network.pooling=min", "model.network: pooling='min' is none of max, average, strided"),
    ("model.network.hidden=128", "model.network: hidden=128 must be a list of numbers, e.g. \\[128\\]"),
    ("model.network.first_layer=canny", "model.network: first_layer='canny' is none of null, sobel, "),
    ("model.network.initializer=glorot", "model.network: initializer='glorot' is none of glorot_normal, "),
    ("data.split_method=random", "data.split_method='random' is none of stratified, ordered, grouped, hashed"),
    ("data.split_method=grouped", "data.split_method=grouped needs data.group"),
    ("data.on_bad_file=ignore", "data.on_bad_file='ignore' is none of error, skip"),
    ("data.resize=crop", "data.resize='crop' is none of squash, pad"),
    ("decision.threshold=1.5", "decision.threshold=1.5 should be in \\[0, 1\\]"),
    ("decision.recheck=0.7", "decision.recheck=0.7 should be from 0 to threshold=0.5"),
    ("decision.rule=best", "decision.rule='best' is none of fixed, f1, cost, escape, overkill"),
    ("decision.overkill_rate=0", "decision.overkill_rate=0.0: expected a share above 0 and below 1"),
    ("decision.rule=cost", "needs line.ng_rate, line.costs.escape, line.costs.overkill: "),
    ("decision.escape_rate=1", "decision.escape_rate=1.0: expected a share above 0 and below 1"),
    ("line.ng_rate=2", "line.ng_rate=2.0: expected a share above 0 and below 1"),
    ("line.parts_per_shift=0", "line.parts_per_shift=0: expected a whole number of parts, at least 1"),
    ("line.costs.look=-1", "line.costs.look=-1.0: expected the cost of a part, a number from 0"),
    ("calibration=beta", "calibration='beta' is none of auto, none, temperature, platt, isotonic"),
    ("model.optimizer.lr=-1", "model.optimizer: Invalid learning rate: -1"),
    ("+model.optimizer.momentun=0.9", "model.optimizer: .*momentun.*It takes: params, lr"),
    ("model.optimizer._partial_=false", "model.optimizer"),
    ("seed=-1", "seed=-1 should be from 0 to"),
    ("augment_preview=true", "augment_preview=true has nothing to show: .*augment=light"),
    ("augment=light|augment.border=wrap", "augment.border='wrap' is none of reflection, edge, or a grey level"),
    ("augment=light|+augment.shift=3", "configuration: .*shift"),
    ("augment=light|augment.transforms.shift.share=2", "augment.transforms.shift: share=2 should be a number from 0"),
    ("augment=part|+augment.transforms.rotation.degres=2", "augment.transforms.rotation: .*It takes: degrees, prob"),
    ("augment=light|+augment.transforms.blur=3", "augment.transforms.blur=3 should be a _target_ and its arguments"),
    ("augment=light|augment.transforms.shift._target_=os.system", "augment.transforms.shift: _target_='os.system' is"),
    (
        "augment=light|+augment.transforms.it._target_=torch.nn.Identity",
        "augment.transforms: Identity is none. Expected those of fancnn.augmentation",
    ),
    ("data.sampler=random", "data.sampler='random' is none of shuffled, balanced, undersampled"),
    ("model.output_bias=equal", "model.output_bias='equal' is none of balanced"),
    ("model.loss.smoothing=1", "model.loss: smoothing=1 should be from 0 to below 1"),
    ("model.loss.pos_weight=heavy", "model.loss: pos_weight='heavy' should be null, balanced, or a number above 0"),
    ("+model.loss.weight=2", "model.loss: .*'weight'. It takes: smoothing, pos_weight, neg_weight"),
    ("regularization.l2=-1", "regularization.l2=-1.0 should be 0 .none. or above"),
    ("+schedule.total=2", "schedule: .*'total'. It takes: optimizer, epochs_per_decade"),
    ("callbacks.checkpoint.monitor=val/zzz", "callbacks.checkpoint: monitor='val/zzz' is no score"),
    ("callbacks.early_stopping.patience=-1", "callbacks.early_stopping: patience=-1 should be 1 or more"),
    ("schedule.epochs_per_decade=0", "schedule: epochs_per_decade=0 should be above 0"),
    (
        "+model.network.outputs=2",
        "model.network.outputs=2: say model.labels=binary, softmax or defect_types",
    ),
    ("model.labels=three", "model.labels='three' is none of binary, softmax, defect_types"),
    (
        "model.labels=softmax|model.network={_target_: torch.nn.Flatten}",
        "model.outputs needs 2 logits for each image, and Flatten does not take how many. .*model.labels=binary",
    ),
    ("model.loss.pos_weight=[1,0]", "model.loss: pos_weight=\\[1, 0\\] should be null, balanced, or a number above 0"),
    ("model.network._target_=os.system", "model.network: _target_='os.system' is not allowed"),
    (
        "model.network._target_=fancnn.cli.command.sys.exit",
        "model.network: _target_='fancnn.cli.command.sys.exit' is not allowed",
    ),
    (
        "model.network._target_=fancnn.networks.ConvNett",
        "model.network: _target_='fancnn.networks.ConvNett' cannot be found",
    ),
    ("model.network._target_=fancnn.images.contact_sheet.contact_sheet", "model.network"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("mistake", "text"), MISTAKES, ids=[mistake for mistake, _ in MISTAKES])
def test_a_mistake_is_told_by_its_key_before_anything_is_read(mistake: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.compile(text, re.DOTALL)):
        _check(compose_train(tmp_path, "trainer.accelerator=cpu", *mistake.split("|")))


def test_a_misspelt_key_without_plus_is_refused_by_hydra(tmp_path: Path) -> None:
    with pytest.raises(HydraException, match="data.batchsize"):
        compose_train(tmp_path, "data.batchsize=3")


def _check(settings: object) -> None:
    assembly.check(settings)  # type: ignore[arg-type]
    assembly.trainer(settings)  # type: ignore[arg-type]


TRAINING = ("averaging", "loss", "optimizer", "regularization", "schedule")
BENT = {  # options whose default does nothing in one epoch, or nothing at all
    "swa": ["callbacks.averaging.start_epoch=1"],
    "default": ["regularization.l1=1e-4", "regularization.l2=1e-4"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), [chosen for chosen in CHOSEN if chosen[0] in TRAINING])
def test_every_option_of_training_trains_a_step(group: str, option: str, image_folder: Path, tmp_path: Path) -> None:
    more = [
        "trainer.max_epochs=1",
        "+trainer.limit_train_batches=1",
        f"data.root={image_folder}",
        *BENT.get(option, []),
    ]
    settings = compose_train(tmp_path, *SMALL, f"{group}={option}", *more)
    quiet_lightning()
    data = assembly.datamodule(settings.data, image_folder, 0)
    data.setup()
    fresh = assembly.model(settings, data.classes, data.class_counts())
    before = [weight.detach().clone() for weight in fresh.parameters()]
    trainer = assembly.trainer(replace(settings, callbacks={"averaging": settings.callbacks["averaging"]}, logger={}))
    trainer.fit(assembly.classifier(settings, fresh, {}, data.class_counts()), data)
    assert trainer.global_step == 1
    assert all(bool(weight.isfinite().all()) for weight in fresh.parameters())
    assert not all(torch.equal(weight, old) for weight, old in zip(fresh.parameters(), before, strict=True))
