"""From a run to the line: the file, the comparison, and decisions where torch is not installed."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import onnx
import pytest
from samples import REPOSITORY, compose_command, run_command

import fancnn
from fancnn.errors import UserError
from fancnn.export import export as exporting
from fancnn.export.export import export
from fancnn.export.settings import ExportSettings
from fancnn.inference.export_metadata import KEY
from fancnn.metrics.predictions import Prediction, read_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.parity.parity import parity
from fancnn.parity.runtimes import facts_of
from fancnn.parity.settings import ParitySettings
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings
from fancnn.runs import checkpoints
from fancnn.system.installation import REQUIRED, explained_imports

LINE = ("onnxruntime", "pillow", "numpy", "hydra-core")  # the requirements of a line's computer, as the README has them


@pytest.fixture(scope="module")
def line_computer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with those four and what they require, and nothing else.

    It is made of links to what is installed here, since tests have no network; `python -S` sees no other packages.
    """
    folder = tmp_path_factory.mktemp("line")
    wanted, linked = list(LINE), set[str]()
    while wanted:
        name = wanted.pop()
        if name in linked:
            continue
        linked.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another system
        for file in found.files or ():
            top, target = file.parts[0], folder / file.parts[0]
            if top not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(found.locate_file(top))
        required = [item for item in found.requires or () if "extra ==" not in item]
        wanted += [re.split(r"[^A-Za-z0-9_.-]", item)[0] for item in required]
    return folder


def on_the_line(packages: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{REPOSITORY}"}
    command = [sys.executable, "-S", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)


def rows_by(tmp_path: Path, *given: str) -> list[Prediction]:
    output = tmp_path / "table.csv"
    predict(compose_command("predict", PredictSettings, *given, f"output={output}", f"output_dir={tmp_path}"))
    return read_predictions(output)


def test_a_computer_without_torch_predicts_the_table_that_the_run_gives(
    line_computer: Path, exported: Path, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    answer = on_the_line(
        line_computer,
        *("-m", "fancnn.predict", f"file={exported}", f"input={image_folder}", "output=line.csv"),
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stderr
    by_run = run_command(
        "fancnn.predict", f"run={trained_run}", f"input={image_folder}", "output=run.csv", cwd=tmp_path
    )
    assert by_run.returncode == 0, by_run.stderr
    ours, theirs = (read_predictions(tmp_path / f"{name}.csv") for name in ("line", "run"))
    assert [row.path for row in ours] == [row.path for row in theirs]
    assert [row.decision for row in ours] == [row.decision for row in theirs]
    assert {row.decision for row in ours} == {"GO", "NG"}
    assert [row.probability for row in ours] == pytest.approx([row.probability for row in theirs], abs=1e-4)


def test_that_computer_has_no_torch_and_names_a_file_that_it_cannot_read(
    line_computer: Path, exported: Path, tmp_path: Path
) -> None:
    for name in ("torch", "scipy", "rich", "simplejpeg", "pytorch_lightning"):
        assert not list(line_computer.glob(f"{name}*")), name
    (tmp_path / "bad.png").write_bytes(b"")
    answer = on_the_line(line_computer, "-m", "fancnn.predict", f"file={exported}", "input=bad.png", cwd=tmp_path)
    assert answer.returncode == 2, answer.stderr
    assert "1 file: 0 GO, 0 NG, 1 could not be read" in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "needs"),
    [
        ("predict run=a input=b", "torch"),
        ("export run=a", "torch"),
        ("train", "pytorch-lightning"),
        ("evaluate table=a.csv", "scipy"),
    ],
)
def test_that_computer_says_what_a_command_needs_which_it_has_not(
    command: str, needs: str, line_computer: Path, tmp_path: Path
) -> None:
    for name in ("a", "b", "a.csv"):
        (tmp_path / name).touch()
    answer = on_the_line(line_computer, "-m", *f"fancnn.{command}".split(), cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.strip() == (
        f"this command needs {needs}, which is not installed: pip install fancnn; a line's computer without it "
        "predicts and serves with file=FILE.onnx"
    )
    assert not list(tmp_path.glob("outputs/*/*"))


def test_every_requirement_is_told_and_a_missing_module_of_ours_is_no_requirement() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[^a-z0-9-]", item)[0] for item in project["dependencies"]}
    assert {*REQUIRED.values()} == required - {"hydra-core", "omegaconf"}, "without these no command starts"
    with pytest.raises(ModuleNotFoundError, match="No module named 'fancnn.gone'"), explained_imports():
        importlib.import_module("fancnn.gone")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "give either run=.*, or file=FILE.onnx as `python -m fancnn.export` writes it: neither is given"),
        (["run=a", "file=b"], "both are given"),
        (["file=gone.onnx"], "gone.onnx does not exist. Expected a file that"),
        (["file={tmp}/there.onnx", "device=cuda"], "device=cuda: an exported file runs on the CPU"),
    ],
)
def test_one_model_is_to_be_said(given: list[str], text: str, tmp_path: Path) -> None:
    (tmp_path / "there.onnx").touch()
    with pytest.raises(UserError, match=text):
        rows_by(tmp_path, *(item.format(tmp=tmp_path) for item in given), f"input={tmp_path}")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["format=onyx"], "format='onyx' is none of onnx, openvino, torch"),
        (["output=a.pt"], "output=a.pt should end in .onnx: format=onnx is read by that"),
        (["output={tmp}/file/sub/x.onnx"], "output=.*x.onnx.*: .*file is a file, and nothing can be written into it"),
    ],
)
def test_what_cannot_be_exported_is_told(given: list[str], text: str, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = [item.format(tmp=tmp_path) for item in given]
    with pytest.raises(UserError, match=text):
        export(compose_command("export", ExportSettings, f"run={trained_run}", f"output_dir={tmp_path}", *given))


@pytest.mark.parametrize(("name", "extra"), [("onnxscript", "export"), ("openvino", "openvino")])
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    name: str, extra: str, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    given = [f"run={trained_run}", f"output_dir={tmp_path}", f"format={'onnx' if extra == 'export' else extra}"]
    with pytest.raises(UserError, match=rf'{name} is not installed: pip install "fancnn\[{extra}\]"'):
        export(compose_command("export", ExportSettings, *given))


def test_parity_ends_with_an_error_where_a_run_was_decided_anew_since(
    exported: Path, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    assert parity(compose_command("parity", ParitySettings, f"file={exported}", f"run={run}", f"input={image_folder}"))
    model = fancnn.load(run)
    rows = sorted(row.probability or 0 for row in read_predictions(run / "predictions.csv"))
    model.thresholds = Thresholds.single(rows[-1] - 1e-3)
    checkpoints.store_decision(run / "checkpoints/best.ckpt", model, {})
    after = run_command("fancnn.parity", f"file={exported}", f"run={run}", f"input={image_folder}", cwd=tmp_path)
    assert after.returncode == 1, after.stderr
    assert "the run was decided again since inspector.onnx was exported" in after.stdout
    assert "diverges from the run at the thresholds: 0.5 in the file, " in after.stdout
    assert "(ONNX Runtime" in after.stdout
    assert not (tmp_path / "outputs").exists()


REST = {"resize": "squash", "background": "white", "mean": [0.0] * 3, "std": [1.0] * 3}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"preprocess": {"image_size": [16, 24], **REST}},
            "x.onnx takes 16x24, the run 16x16: it is no export of this run",
        ),
        ({"outputs": ["GO", "chip", "dent"]}, "x.onnx tells chip, dent, the run no types: it is no export of this run"),
    ],
)
def test_a_file_of_another_run_is_refused(
    changes: dict[str, object], text: str, exported: Path, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    graph, path = onnx.load(exported), tmp_path / "x.onnx"
    other = replace(facts_of(exported), sealed=False, **changes)  # type: ignore[arg-type]
    onnx.helper.set_model_props(graph, {KEY: other.as_text()})
    onnx.save(graph, path)
    with pytest.raises(UserError, match=text):
        parity(compose_command("parity", ParitySettings, f"file={path}", f"run={trained_run}", f"input={image_folder}"))


@pytest.mark.usefixtures("export_takes_exported")
@pytest.mark.parametrize("wanted", ["nowhere", "bad.png"])
def test_a_mistake_leaves_an_earlier_file_as_it_was(wanted: str, trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"earlier")
    (tmp_path / "bad.png").write_bytes(b"no image")
    given = [f"run={trained_run}", f"output={tmp_path / 'x.onnx'}", f"output_dir={tmp_path}"]
    with pytest.raises(UserError, match="nowhere is no file|no image could be read"):
        export(compose_command("export", ExportSettings, *given, f"input={tmp_path / wanted}"))
    assert (tmp_path / "x.onnx").read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.png", "x.onnx"]


@pytest.mark.usefixtures("export_takes_exported")
def test_a_file_that_decides_otherwise_is_there_to_be_looked_into(
    trained_run: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "compared", lambda *given: False)
    given = [f"run={trained_run}", f"output={tmp_path / 'x.onnx'}", f"output_dir={tmp_path}", f"input={image_folder}"]
    assert not export(compose_command("export", ExportSettings, *given))
    assert facts_of(tmp_path / "x.onnx").decision == "fixed"


@pytest.mark.slow
def test_both_files_of_openvino_take_their_places_and_are_named_with_their_size(
    trained_run: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, weights = tmp_path / "x.xml", tmp_path / "x.bin"
    given = [
        f"run={trained_run}",
        f"output={path}",
        f"output_dir={tmp_path}",
        f"input={image_folder}",
        "format=openvino",
    ]
    assert export(compose_command("export", ExportSettings, *given))
    megabytes = (path.stat().st_size + weights.stat().st_size) / 1e6
    told = f"exported: {path} and {weights} (openvino, {megabytes:.1f} MB; keep both together)"
    assert told in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"x.xml", "x.bin"}


@pytest.mark.usefixtures("export_takes_exported")
def test_a_run_whose_images_are_gone_is_compared_on_noise(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "alone.ckpt"
    shutil.copy(trained_run / "checkpoints/best.ckpt", checkpoint)
    given = [f"run={checkpoint}", f"output={tmp_path / 'alone.onnx'}", f"output_dir={tmp_path}"]
    assert export(compose_command("export", ExportSettings, *given))
    assert "compared on noise, since the run's images are not there" in capsys.readouterr().out
    assert facts_of(tmp_path / "alone.onnx").go_class == "GO"
