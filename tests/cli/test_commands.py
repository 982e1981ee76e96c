"""Commands as a user starts them: processes, exit codes, what they print."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from samples import REPOSITORY, SMALL, process_environment, run_command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import fancnn
from fancnn.__main__ import commands
from fancnn.cli.command import conf_dir
from fancnn.metrics.predictions import read_predictions

COMMANDS = sorted(commands())

HELP_WITHOUT_TORCH = """
import runpy, sys
sys.argv = ["fancnn", "--help"]
try:
    runpy.run_module("fancnn.{name}", run_name="__main__")
finally:
    heavy = {{"torch", "torchvision", "pytorch_lightning", "torchmetrics", "numpy", "PIL"}} & set(sys.modules)
    assert not heavy, heavy
"""


def test_there_is_a_command_for_each_entry_file_and_script() -> None:
    shared = {"console", "run_folder"}  # what entry files have in common
    assert {path.stem for path in conf_dir().glob("*.yaml")} - shared == {*COMMANDS}
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {f"fancnn-{name}": f"fancnn.{name}.__main__:main" for name in COMMANDS}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_with_a_command_to_copy_and_does_not_wait_for_torch(name: str, tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(HELP_WITHOUT_TORCH.format(name=name))
    answer = run_command("ask", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert f"python -m fancnn.{name} " in answer.stdout
    assert "Keys and their values" in answer.stdout


def test_importing_the_package_does_not_import_torch(tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text("import sys, fancnn; assert 'torch' not in sys.modules; print(fancnn.__version__)")
    answer = run_command("ask", cwd=tmp_path)
    assert answer.stdout.strip() == fancnn.__version__, answer.stderr


def test_the_package_lists_its_commands_a_line_each(tmp_path: Path) -> None:
    answer = run_command("fancnn", cwd=tmp_path)
    lines = answer.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == COMMANDS


def test_a_command_after_a_space_is_told_how_it_is_written(tmp_path: Path) -> None:
    answer = run_command("fancnn", "evaluat", "run=a", cwd=tmp_path)
    assert answer.returncode == 1
    assert "evaluat should be written with a dot: python -m fancnn.evaluate run=a" in answer.stderr
    assert run_command("fancnn", "--help", cwd=tmp_path).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["fancnn.train", "data.root=nowhere"], "data.root='nowhere' is no folder"),
        (["fancnn.train", "monitor=val/los"], "monitor='val/los' is no score that every epoch has"),
        (["fancnn.train", "+model.filterz=3"], "configuration: model.filterz: Key 'filterz' not in 'ModelSettings'"),
        (["fancnn.evaluate", "run=nowhere"], "nowhere does not exist. Expected a run folder"),
        (["fancnn.evaluate"], "give either run=outputs/train/<stamp>, or table=predictions.csv"),
        (["fancnn.decide"], "run is missing: say run=..."),
        (["fancnn.train", "decision.rule=cost"], "decision.rule=cost needs line.ng_rate, line.costs.escape"),
        (["fancnn.train", "data.root=/a (b)"], "need quotes of their own inside the shell's"),
        (["fancnn.train", "schedule=null"], "schedule=null is none of constant, cosine"),
        (["fancnn.train", "data.rot=x"], "data.rot=x: train has no key data.rot. Did you mean data.root?"),
        (["fancnn.train", "model=tinny"], "model=tinny is none of basic, deep, "),
        (["fancnn.train", "model=tinny"], "Did you mean tiny?"),
        (["fancnn.train", "hydra.run.dir=/proc/x"], "cannot make the run folder: "),
        (["fancnn.predict", "run=nowhere", "input=."], "nowhere does not exist"),
        (["fancnn.predict", "file=nowhere.onnx", "input=."], "nowhere.onnx does not exist. Expected a file that"),
        (["fancnn.parity", "file=nowhere.onnx"], "run is missing: say run=..."),
        (["fancnn.parity", "run=a", "input=b"], "file is missing: say file=... (--help has examples)"),
        (["fancnn.serve", "file=[a]"], "configuration: file=['a'] should be a text"),
        (["fancnn.serve", "model=a.onnx"], "serve has no key model. An exported file is file=a.onnx"),
        (["fancnn.fans", "root=set", "count=-1"], "count=-1 is out of range"),
        (["fancnn.report"], "give either run=outputs/train/<stamp> or table=predictions.csv: neither is given"),
        (["fancnn.explain"], "run is missing: say run=..."),
        (["fancnn.report", "run=nowhere"], "nowhere does not exist. Expected a run folder"),
        (["fancnn.compare", "nowhere", "nothing"], "nowhere is no run folder with predictions.csv and no table"),
        (["fancnn.compare"], "runs is missing: say runs=..."),
        (["fancnn.pretrain", "data.root=nowhere"], "data.root='nowhere' is no folder. Expected one with images"),
        (["fancnn.describe", "model.outputs=many"], "model.outputs="),
        (["fancnn.describe", "data.image_size=[80]"], "data.image_size=[80] should be two whole numbers"),
        (
            ["fancnn.describe", "model=residual", "data.image_size=[16,16]"],
            "model.network: stage 3 of 3 gets 2x2 pixels",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_ends_in_words_and_not_in_a_traceback(arguments: list[str], text: str, tmp_path: Path) -> None:
    answer = run_command(*arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert text in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "HYDRA_FULL_ERROR" not in answer.stderr
    assert not list(tmp_path.glob("outputs/*/*")), "no empty run is left"


def test_a_disk_that_has_no_room_for_the_settings_of_a_run_is_left_without_that_run(tmp_path: Path) -> None:
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    answer = run_with_sitecustomize(limited, "fancnn.report", "run=nowhere", cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("cannot make the run folder: [Errno 27] File too large. Work where you can write")
    assert not list(tmp_path.glob("outputs/*/*"))


NO_ROOM_FOR_THE_SECOND_JOB = """
import errno, pathlib
from hydra.core import utils
save = utils._save_config
def saved(config, filename, folder):
    if pathlib.Path(folder).parent.name == "1":
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))
    save(config, filename, folder)
utils._save_config = saved
"""


@pytest.mark.slow
def test_a_disk_that_fills_within_a_sweep_ends_it_in_words(tmp_path: Path) -> None:
    arguments = ["fancnn.train", "-m", "seed=-1,-2"]
    answer = run_with_sitecustomize(NO_ROOM_FOR_THE_SECOND_JOB, *arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert "job 0 (seed=-1) failed" in answer.stderr
    assert "/1/.hydra: No space left on device. What was whole before is as it was. Make room" in answer.stderr
    assert "Traceback" not in answer.stderr


def run_with_sitecustomize(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that begins with `code`."""
    site = cwd / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(code)
    path = process_environment()["PYTHONPATH"]
    return run_command(*arguments, cwd=cwd, fresh=True, PYTHONPATH=f"{site}{os.pathsep}{path}")


@pytest.mark.slow
def test_torch_and_torchvision_that_do_not_fit_are_explained(tmp_path: Path) -> None:
    broken = tmp_path / "site" / "torchvision"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    path = process_environment()["PYTHONPATH"]
    answer = run_command("fancnn.train", cwd=tmp_path, PYTHONPATH=f"{broken.parent}{os.pathsep}{path}")
    assert answer.returncode == 1
    assert "torch and torchvision are installed but do not fit each other" in answer.stderr
    assert "pip install torch torchvision" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_predict_tells_by_its_exit_code_whether_all_were_read(
    trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    good, bad = image_folder / "GO/000.png", tmp_path / "bad.png"
    bad.write_bytes(b"")
    arguments = ["fancnn.predict", f"run={trained_run}", "output=table.csv"]
    assert run_command(*arguments, f"input={good}", cwd=tmp_path).returncode == 0
    assert run_command(*arguments, f"input={tmp_path}", cwd=tmp_path).returncode == 2
    assert [row.path for row in read_predictions(tmp_path / "table.csv")] == [str(bad)]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_by_its_name_alone(image_folder: Path, tmp_path: Path) -> None:
    begun = [*SMALL, f"data.root={image_folder}", "trainer.max_epochs=1", "report=false"]
    first = run_command("fancnn.train", *begun, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    (run,) = (tmp_path / "outputs/train").iterdir()
    for place in (run.relative_to(tmp_path), run / "checkpoints/last.ckpt"):
        answer = run_command("fancnn.train", f"ckpt={place}", "trainer.max_epochs=2", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert "epoch  2/2" in answer.stdout
        assert "epoch  1/2" not in answer.stdout


@pytest.mark.slow
def test_a_sweep_can_be_compared_in_tensorboards_table(image_folder: Path, tmp_path: Path) -> None:
    sweep = ["model.optimizer.lr=1e-2,1e-3", f"data.root={image_folder}", "trainer.max_epochs=1", "report=false"]
    answer = run_command("fancnn.train", "-m", *SMALL, *sweep, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    found = {}
    for run in sorted((tmp_path / "outputs/train").glob("*/[01]")):
        events = EventAccumulator(str(run))
        events.Reload()
        metadata = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        parameters = HParamsPluginData.FromString(metadata).session_start_info.hparams
        rate = parameters["model.optimizer.lr"].number_value
        found[rate] = events.Scalars("val_best/f1")[-1].value
    assert set(found) == {1e-2, 1e-3}
    assert all(0 <= value <= 1 for value in found.values())


@pytest.mark.slow
def test_a_failing_job_of_a_sweep_is_said_at_once_and_ends_in_an_error(image_folder: Path, tmp_path: Path) -> None:
    sweep = [f"data.root={image_folder}", "trainer.max_epochs=1", "model.optimizer.lr=-1,1e-3", "report=false"]
    answer = run_command("fancnn.train", "-m", *SMALL, *sweep, cwd=tmp_path)
    assert answer.returncode == 1
    assert "job 0 (" in answer.stderr
    assert "failed: model.optimizer: Invalid learning rate: -1" in answer.stderr
    assert list((tmp_path / "outputs/train").glob("*/1/metrics.json")), "the other job has run"


@pytest.mark.slow
def test_processes_in_a_sweep_are_refused(image_folder: Path, tmp_path: Path) -> None:
    """Each process would start the whole sweep again."""
    several = ["trainer.devices=2", "trainer.strategy=ddp", f"data.root={image_folder}"]
    answer = run_command("fancnn.train", "-m", *SMALL, *several, cwd=tmp_path)
    assert answer.returncode == 1
    assert "cannot be swept with --multirun" in answer.stderr


@pytest.mark.slow
def test_two_processes_train_one_model_and_leave_one_run(image_folder: Path, tmp_path: Path) -> None:
    several = ["trainer.devices=2", "trainer.strategy=ddp", f"data.root={image_folder}"]
    answer = run_command("fancnn.train", *SMALL, *several, cwd=tmp_path, fresh=True)
    assert answer.returncode == 0, answer.stderr
    (run,) = (tmp_path / "outputs/train").iterdir()
    assert len([row for row in read_predictions(run / "predictions.csv") if row.split == "val"]) == 14
    assert fancnn.load(run).metadata.epoch in (1, 2)
    assert answer.stdout.count("epoch  1/2") == 1
    assert (run / "dynamics.csv").is_file()  # one process looks inside, and the other does not wait for it


@pytest.mark.slow
def test_a_command_leaves_at_once_with_its_output_and_its_code(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,label,probability\na,1,0.9\nb,0,0.1\n")
    for arguments, code in ((("fancnn.evaluate",), 0), (("fancnn.certify", "escape=0.01"), 1)):
        answer = run_command(*arguments, f"table={table}", cwd=tmp_path, fresh=True)
        assert answer.returncode == code, answer.stderr
        last = answer.stdout.strip().splitlines()[-1]
        assert last.startswith(("predictions.csv and metrics.json: ", "certificate: "))


@pytest.mark.slow
def test_a_program_that_calls_a_command_goes_on_after_it(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(
        "import atexit, sys\nfrom fancnn.cache.__main__ import main\natexit.register(print, 'last words')\n"
        "sys.argv[1:] = []\nmain()\nsys.exit(7)\n"
    )
    answer = run_command("caller", cwd=tmp_path)
    assert answer.returncode == 7, answer.stderr
    assert answer.stdout.endswith("last words\n")
