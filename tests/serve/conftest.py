"""An exported file, and servers of it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from samples import compose_command, process_environment

from fancnn.export.run_metadata import described
from fancnn.export.writing import write
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.runs import checkpoints
from fancnn.serve.serve import application
from fancnn.serve.settings import ServeSettings

HEAVY = ("torch", "torchvision", "pytorch_lightning", "torchmetrics", "scipy", "sklearn", "matplotlib")


@pytest.fixture(scope="session")
def inspector(trained_run: Path) -> Model:
    """The model of the finished run."""
    return checkpoints.load(trained_run)


@pytest.fixture(scope="session")
def exported(trained_run: Path, inspector: Model, image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run as an ONNX file, with a RECHECK."""
    path = tmp_path_factory.mktemp("exported") / "inspector.onnx"
    chances = np.sort(inspector.predict(sorted(image_folder.rglob("*.png"))[::9]).probabilities)
    inspector.thresholds = Thresholds(
        *(float(chances[place : place + 2].mean()) for place in (1, 4))
    )  # between two each
    write(inspector, described(inspector, checkpoints.find(trained_run, ("best.ckpt",)), "onnx"), path, "onnx")
    return path


@pytest.fixture(scope="session")
def reader(exported: Path) -> ExportedModel:
    return ExportedModel(exported)


@pytest.fixture(scope="session")
def encoded_image() -> bytes:
    """A small PNG of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def client(reader: ExportedModel) -> Iterator[Callable[..., TestClient]]:
    """Make a client of a server in this process, with the settings of the command."""
    made: list[TestClient] = []

    def make(*overrides: str) -> TestClient:
        settings = compose_command(
            "serve", ServeSettings, f"file={reader.path}", "workers=2", "limits.seconds=600", *overrides
        )
        app = application(ExportedModel(reader.path, image_limits=settings.image_limits), settings)
        made.append(TestClient(app, "http://127.0.0.1", raise_server_exceptions=False).__enter__())
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)


@contextmanager
def serving(exported: Path, scratch: Path, *overrides: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server as a user starts it, on a computer without torch: its address and its process."""
    for name in HEAVY:
        (scratch / f"{name}.py").write_text("raise ModuleNotFoundError('not on a line computer')\n")
    path = os.pathsep.join([str(scratch), process_environment()["PYTHONPATH"]])
    command = [sys.executable, "-m", "fancnn.serve", f"file={exported}", "port=0", "limits.seconds=600", *overrides]
    with subprocess.Popen(
        command, env=process_environment(PYTHONPATH=path), text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if "serving on " in line:
                break
        assert "serving on " in said[-1], said
        try:
            yield said[-1].split()[-1], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture
def start(exported: Path) -> Callable[..., AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]]:
    """Starts a server, given a folder of its own and overrides."""
    return partial(serving, exported)


@pytest.fixture(scope="session")
def cell_address(cell_exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server listens whose model says where the defect is."""
    with serving(cell_exported, tmp_path_factory.mktemp("no_torch_either")) as (found, _):
        yield found


@pytest.fixture(scope="session")
def address(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server listens."""
    with serving(exported, tmp_path_factory.mktemp("no_torch")) as (found, _):
        yield found
