"""The package works where it is installed, not only in its checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from samples import REPOSITORY, SMALL, process_environment

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: hatchling comes with the test extra."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("fancnn-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(folder), str(wheel)], check=True, capture_output=True)
    return folder


def test_the_wheel_has_package_and_configuration_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert all(name.startswith("fancnn/") for name in names)
    for path in (REPOSITORY / "conf").rglob("*.yaml"):
        assert f"fancnn/conf/{path.relative_to(REPOSITORY / 'conf').as_posix()}" in names


@pytest.mark.slow
@pytest.mark.parametrize("start", ["module", "script"])
def test_training_starts_from_another_folder(start: str, installed: Path, image_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fancnn.train"] if start == "module" else [str(installed / "bin/fancnn-train")]
    finished = subprocess.run(
        [*command, *SMALL, f"data.root={image_folder}", "trainer.max_epochs=1"],
        cwd=tmp_path,
        env=process_environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert list(tmp_path.glob("outputs/train/*/metrics.json"))
