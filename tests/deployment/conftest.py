"""A run as a file of each kind."""

from pathlib import Path

import pytest
from samples import compose_command

import fancnn
from fancnn.settings import ExportSettings
from fancnn.workflows.exporting import export


@pytest.fixture(scope="session")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained_run` as an ONNX file."""
    path = tmp_path_factory.mktemp("exported") / "inspector.onnx"
    given = [f"run={trained_run}", f"output={path}", f"output_dir={path.parent}"]
    assert export(compose_command("export", ExportSettings, *given))
    return path


@pytest.fixture
def model(trained_run: Path) -> fancnn.Model:
    return fancnn.load(trained_run)
