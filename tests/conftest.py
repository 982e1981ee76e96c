"""What tests share: a cache of their own, images, and a finished run."""

import os
import shutil

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads of one process starve the next one
if "PYTEST_XDIST_WORKER" in os.environ:  # several tests at once, each on a processor of its own
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from samples import SMALL, compose_command, compose_train, write_images

from fancnn.export.settings import ExportSettings
from fancnn.settings.training import TrainSettings

SHARED = Path(__file__).parents[2] / "shared" / "data"

hypothesis_settings.register_profile("default", deadline=None, derandomize=True)  # no test of luck
hypothesis_settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run also the tests of whole commands that take seconds each")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run, and what takes minutes unless it is asked for, and say why."""
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes seconds: pytest --slow"))
        if item.get_closest_marker("simulation") and "simulation" not in config.getoption("-m"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: pytest -m simulation"))
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="needs the real images in ../shared"))
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests never touch the user's cache folder; commands they start inherit this one."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["FANCNN_CACHE"] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def fresh_ledger(cache: Path) -> None:
    """No test has looked at the images of another: how often is what certificates hang on."""
    shutil.rmtree(cache / "looks", ignore_errors=True)


@pytest.fixture
def train_settings(tmp_path: Path, image_folder: Path) -> Callable[..., TrainSettings]:
    """Settings of a training that takes a second, in `tmp_path / "run"`; with `report=true` it takes four."""

    def make(*overrides: str, output: Path = tmp_path / "run") -> TrainSettings:
        return compose_train(output, *SMALL, "report=false", f"data.root={image_folder}", *overrides)

    return make


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 GO and 30 NG images of two defect types."""
    return write_images(tmp_path_factory.mktemp("images"), {"GO": 40, "NG/scratch": 20, "NG/stain": 10})


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A finished run on `images`; tests read it and leave it as it is."""
    from fancnn.train.train import train

    output = tmp_path_factory.mktemp("trained") / "run"
    learns = ["model.optimizer.lr=0.01", "trainer.max_epochs=8"]
    train(compose_train(output, *SMALL, *learns, f"data.root={image_folder}", "data.test_fraction=0.2"))
    return output


@pytest.fixture(scope="session")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained_run` as an ONNX file."""
    from fancnn.export.export import export

    folder = tmp_path_factory.mktemp("exported")
    assert export(compose_command("export", ExportSettings, f"run={trained_run}", f"output_dir={folder}"))
    return folder / "inspector.onnx"


CELLS = (
    *("model=patches", "model.network.widths=[8,16]", "model.network.stride=4", "data.image_size=[24,20]"),
    *("model.optimizer.lr=0.01", "trainer.max_epochs=6", "trainer.accelerator=cpu", "data.test_fraction=0.2"),
    *("data.mm_per_pixel=0.1", "report=false"),
)


@pytest.fixture(scope="session")
def cell_run(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A finished run on `images` whose network judges by cells of 4 pixels; tests leave it as it is."""
    from fancnn.train.train import train

    output = tmp_path_factory.mktemp("cells") / "run"
    train(compose_train(output, *CELLS, f"data.root={image_folder}"))
    return output


@pytest.fixture(scope="session")
def cell_exported(cell_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cell_run` as an ONNX file."""
    from fancnn.export.export import export

    folder = tmp_path_factory.mktemp("cells_exported")
    assert export(compose_command("export", ExportSettings, f"run={cell_run}", f"output_dir={folder}"))
    return folder / "inspector.onnx"


@pytest.fixture
def export_takes_exported(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`export` of `trained_run` takes the file that there is: where it goes is tested, not how it is written."""
    monkeypatch.setattr("fancnn.export.export.write", lambda _, __, path, ___: shutil.copy(exported, path))
