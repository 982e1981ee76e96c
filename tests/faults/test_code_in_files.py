"""Files from strangers are data: whatever they name, nothing of them is run, looked up or written elsewhere."""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from samples import REPOSITORY, SMALL, compose_command, run_command

import fancnn
from fancnn.cli.command import with_earlier_overrides
from fancnn.errors import UserError
from fancnn.export.export import ExportSettings, export
from fancnn.files.trusted_classes import trusted
from fancnn.parity.runtimes import facts_of, runtimes_of
from fancnn.prune.prune import prune
from fancnn.prune.settings import PruneSettings
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train

Settings = Callable[..., TrainSettings]
UNPICKLES = "pytorch_lightning.core.saving._load_from_checkpoint"


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    torch.save(Evil(tmp_path / "ran"), tmp_path / "evil.pt")
    return tmp_path / "evil.pt"


def changed(run: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A run whose checkpoints say something else of themselves."""
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        change(content["fancnn"])
        torch.save(content, path)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps({**metrics, "checkpoint_sha256": None}))
    return run


def networks(tmp_path: Path, pickled: Path) -> list[tuple[Any, str]]:
    """Descriptions of a network that would run something, and what is said of them."""
    emptied = tmp_path / "precious"
    emptied.write_text("data")
    return [
        ({"_target_": "os.system", "command": "true"}, "it needs the network 'os.system', which is none of fancnn's"),
        ({"_target_": "torch.nn.Sequential", "_args_": []}, "it needs the network 'torch.nn.Sequential'"),
        (
            {"_target_": "fancnn.networks.ConvNet", "image_size": {"_target_": UNPICKLES, "checkpoint": str(pickled)}},
            "image_size=.* is no plain value",
        ),
        (
            {
                "_target_": "fancnn.networks.ConvNet",
                "image_size": [16, 16],
                "initializer": "${oc.create:{_target_: torch.load, f: " + str(pickled) + "}}",
            },
            "initializer=.* is no plain value",
        ),
        (
            {"_target_": "fancnn.networks.ConvNet", "image_size": [16, 16], "_recursive_": True},
            "'_recursive_' is no argument of a network",
        ),
        (
            {
                "_target_": "fancnn.networks.Ensemble",
                "members": [{"_target_": "builtins.open", "file": str(emptied), "mode": "w"}],
                "calibrations": [{}],
            },
            "it needs the network 'builtins.open'",
        ),
        ("fancnn.networks.ConvNet", "network: expected names with values"),
        ({"_target_": "fancnn.networks.ConvNet", "image_size": [16, 16], "filters": [10**9]}, "is beyond 1,048,576"),
        ({"_target_": "fancnn.networks.ConvNet", "image_size": [16, 16], "filters": [10**6, 10**6]}, "has the shape"),
        ({"_target_": "fancnn.networks.ConvNet", "image_size": [16, 16], "pixels": 3}, "does not take these arguments"),
    ]


@pytest.mark.slow
def test_the_network_of_a_checkpoint_is_looked_up_and_never_made_by_name(
    run: Path, tmp_path: Path, pickled: Path, train_settings: Settings
) -> None:
    for network, text in networks(tmp_path, pickled):
        changed(run, lambda about, network=network: about.update(network=network))  # type: ignore[misc]
        with pytest.raises(UserError, match=f"best.ckpt.*{text}"):
            fancnn.load(run)
        with pytest.raises(UserError):
            prune(compose_command("prune", PruneSettings, f"run={run}", f"output_dir={tmp_path / 'pruned'}"))
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "precious").read_text() == "data"


@pytest.mark.slow
def test_a_network_of_the_users_own_is_taken_where_the_command_line_names_it(
    train_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "class Flat(nn.Module):\n"
        "    def __init__(self, image_size, **others):\n"
        "        super().__init__()\n"
        "        self.logit = nn.Linear(3 * image_size[0] * image_size[1], 1)\n"
        "    def forward(self, images):\n"
        "        return self.logit(images.flatten(1)).squeeze(1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name = "own_networks.Flat"
    monkeypatch.setattr("fancnn.files.trusted_classes._NAMES", {name})
    train(train_settings("model.network={_target_: " + name + ", image_size: [16, 16]}", output=tmp_path / "own"))
    monkeypatch.setattr("fancnn.files.trusted_classes._NAMES", set())
    with pytest.raises(UserError, match=f"it needs the network '{name}'.*trust={name}"):
        fancnn.load(tmp_path / "own")
    assert fancnn.load(tmp_path / "own", trust=[name]).network.logit.in_features == 768
    assert name in trusted()
    both = f"{REPOSITORY}{os.pathsep}{tmp_path}"
    given = [f"run={tmp_path / 'own'}", "input=.", f"trust={name}"]
    answer = run_command("fancnn.predict", *given, cwd=tmp_path, PYTHONPATH=both)
    assert "input=. holds no images" in answer.stderr  # the model was loaded before


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("optimizer", {"_target_": UNPICKLES, "_partial_": True}, "optimizer._target_='pytorch_lightning.core"),
        ("optimizer", {"_target_": "torch.optim.Adam", "lr": "${oc.env:HOME}"}, "refers to something outside the file"),
        ("loss", {"_target_": "fancnn.training.losses.CrossEntropy", "_convert_": "all"}, "_convert_ is no key"),
    ],
)
def test_the_settings_of_a_checkpoint_are_data_where_it_is_trained_on(
    run: Path, tmp_path: Path, key: str, value: object, text: str
) -> None:
    changed(run, lambda about: about["settings"]["model"].update({key: value}))
    with pytest.raises(UserError, match=text):
        prune(compose_command("prune", PruneSettings, f"run={run}", f"output_dir={tmp_path / 'pruned'}"))


@pytest.mark.parametrize(("group", "name", "key"), [("callbacks", "checkpoint", "dirpath"), ("logger", "it", "x")])
def test_a_checkpoint_cannot_send_what_is_written_elsewhere(
    run: Path, tmp_path: Path, group: str, name: str, key: str
) -> None:
    elsewhere = {
        "_target_": "fancnn.training.epoch_log.EpochCsvLogger",
        "path": str(tmp_path / "elsewhere/metrics.csv"),
    }

    def change(about: dict[str, Any]) -> None:
        about["settings"][group][name] = {
            **about["settings"][group].get(name, elsewhere),
            key: str(tmp_path / "elsewhere"),
        }

    changed(run, change)
    given = [f"run={run}", "keep=0.5", "epochs=1", f"output_dir={tmp_path / 'pruned'}"]
    with pytest.raises(UserError, match="lies outside .*nothing is written there"):
        prune(compose_command("prune", PruneSettings, *given))


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("+hydra.callbacks.x={_target_: torch.load, f: evil.pt, weights_only: false}", "none of this command's keys"),
        ("hydra.run.dir=elsewhere", "none of this command's keys"),
        ("hydra.searchpath=[file://elsewhere]", "none of this command's keys"),
        ("+hydra.job.env_set.PATH=elsewhere", "none of this command's keys"),
        ("data.go_class=${oc.env:HOME}", "is not replayed from a file"),
        ("model.optimizer={_target_: torch.load, f: evil.pt}", "is not replayed from a file"),
        ("+model.optimizer._target_=torch.load", "is not replayed from a file"),
        ("augment=../../evil", "names no option of augment"),
        ("augment=evil", "names no option of augment"),
        (
            "callbacks.history={_target_: fancnn.training.epoch_log.EpochCsvLogger, path: x.csv}",
            "names a place to write to",
        ),
        ("callbacks={history: {'path': x.csv}}", "names a place to write to"),
        ("callbacks.checkpoint={dirpath: x}", "names a place to write to"),
        ("logger.tensorboard={_target_: pytorch_lightning.loggers.TensorBoardLogger, save_dir: x}", "names a place"),
        ("logger.tensorboard.version=/elsewhere", "names a place to write to"),
        ("logger.tensorboard.name=../elsewhere", "names a place to write to"),
        ("+trainer={default_root_dir: x}", "names a place to write to"),
    ],
)
def test_a_run_folder_cannot_put_words_into_the_command_line(tmp_path: Path, override: str, text: str) -> None:
    (tmp_path / "run/.hydra").mkdir(parents=True)
    (tmp_path / "run/.hydra/overrides.yaml").write_text(yaml.safe_dump([override]))
    with pytest.raises(UserError, match="overrides.yaml: ") as told:
        with_earlier_overrides([f"ckpt={tmp_path / 'run'}"], "ckpt", "train", TrainSettings)
    assert text in str(told.value)


def test_a_command_says_so_and_does_nothing(run: Path, pickled: Path, tmp_path: Path) -> None:
    (run / ".hydra").mkdir(exist_ok=True)
    evil = "+hydra.callbacks.x={_target_: torch.load, f: " + str(pickled) + ", weights_only: false}"
    (run / ".hydra/overrides.yaml").write_text(yaml.safe_dump([evil]))
    answer = run_command("fancnn.train", f"ckpt={run}", *SMALL, cwd=tmp_path)
    assert answer.returncode == 1
    assert "is none of this command's keys, and is not replayed" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pt", "run"]


@pytest.mark.slow
def test_a_run_that_says_where_to_write_writes_where_the_user_is(run: Path, image_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (run / ".hydra").mkdir(exist_ok=True)
    own = [f"data.root={image_folder}", "data.test_fraction=0.2", "model.optimizer.lr=0.01", *SMALL]
    hostile = [f"data.cache={elsewhere}", f"output_dir={elsewhere}", f"logger.tensorboard.save_dir={elsewhere}"]
    (run / ".hydra/overrides.yaml").write_text(yaml.safe_dump([*own, *hostile]))
    answer = run_command("fancnn.train", f"ckpt={run}", "trainer.max_epochs=9", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert not elsewhere.exists()


def rewritten(path: Path, out: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A file of `torch.export` with other records, as torch itself writes archives."""
    reader, writer = torch._C.PyTorchFileReader(str(path)), torch._C.PyTorchFileWriter(str(out))
    for name in reader.get_all_records():
        if not name.startswith((".data/", "byteorder")) and name != "version":
            content = change(name, reader.get_record(name))
            writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    return out


@pytest.mark.slow
def test_a_file_of_torch_export_holds_tensors_and_arithmetic_alone(trained_run: Path, tmp_path: Path) -> None:
    given = [f"run={trained_run}", "format=torch", f"output_dir={tmp_path}"]
    assert export(compose_command("export", ExportSettings, *given))
    path, ran = tmp_path / "inspector.pt2", tmp_path / "ran"
    pickle = io.BytesIO()
    torch.save(Evil(ran), pickle)
    unpickled = rewritten(path, tmp_path / "a.pt2", lambda name, old: pickle.getvalue() if name[-3:] == ".pt" else old)
    size = json.dumps(f"__import__('os').mkdir({str(ran)!r})")

    def with_code(name: str, old: bytes) -> bytes:
        text = old.decode() if name.endswith("model.json") else ""
        start = text.find("\"Symbol('")
        return (text[:start] + size + text[text.index(')"', start) + 2 :]).encode() if start >= 0 else old

    evaluated = rewritten(path, tmp_path / "b.pt2", with_code)

    def unsealed(name: str, old: bytes) -> bytes:
        return old.replace(b', "sealed": true', b"") if name.endswith("fancnn") else old

    assert facts_of(rewritten(path, tmp_path / "c.pt2", unsealed)).go_class == "GO"
    for evil, text in (
        (unpickled, "it holds something else than tensors"),
        (evaluated, "a size in it is no arithmetic"),
    ):
        with pytest.raises(UserError, match=f"is damaged or no file of torch.export: {text}"):
            runtimes_of(evil)
    assert not ran.exists()
