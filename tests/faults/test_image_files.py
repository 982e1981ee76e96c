"""What commands make of files and folders that cannot be read, have no end or claim too much: named, never lost."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import compose_command, compose_train, write_images

from fancnn.cli.kept_settings import replayed
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.split_plan import SplitPlan
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.images.preprocess import Preprocess
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.predictions import read_predictions
from fancnn.predict.predict import LONGEST_PATH, input_files, predict
from fancnn.predict.settings import PredictSettings
from fancnn.runs import checkpoints
from fancnn.settings.groups import ImageLimits

SHUT = "a folder that cannot be looked into: Permission denied"
NARROW = ImageLimits(max_side=22)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders of 24x20 images; in NG a folder that may not be listed, a pipe, /dev/zero and a broken link."""
    root = write_images(tmp_path / "set", {"GO": 6, "NG": 6, "NG/shut": 3})
    os.mkfifo(root / "NG/pipe.png")
    (root / "NG/zeros.png").symlink_to("/dev/zero")
    (root / "NG/broken.png").symlink_to(tmp_path / "gone")
    real = os.scandir

    def scandir(folder: str | Path) -> object:
        if Path(folder).name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    return root


EXPECTED = {
    "NG/broken.png": "no such file",
    "NG/pipe.png": "cannot be read: a named pipe, not a regular file",
    "NG/shut": SHUT,
    "NG/zeros.png": "cannot be read: a device, not a regular file",
}


@pytest.mark.parametrize("cached", [True, False])
def test_training_names_them_or_lists_what_it_skipped(root: Path, tmp_path: Path, cached: bool) -> None:
    cache = tmp_path / "cache" if cached else None
    make: Callable[..., ImageDataModule] = lambda **more: ImageDataModule(  # noqa: E731
        root, "GO", Preprocess((8, 8)), SplitPlan(), cache=cache, **more
    )
    with pytest.raises(UserError, match=f"4 of 16 files under .* cannot be read:(.|\n)*  NG/shut: {SHUT}"):
        make().setup()
    data = make(on_bad_file="skip")
    data.setup()
    assert {item.path for item in data.skipped} == set(EXPECTED)
    assert all(item.reason.startswith(EXPECTED[item.path]) for item in data.skipped)
    if not cached:  # what is there decoded takes no memory to decode
        with pytest.raises(
            UserError, match=r"GO/000.png: 20x24: a side of more than 22 pixels; image_limits.max_side="
        ):
            make(image_limits=NARROW).setup()


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["{root}", "{root}/**/*.png"])
@pytest.mark.parametrize("model", ["run", "exported"])
def test_predict_writes_a_row_for_each(
    wanted: str, model: str, root: Path, trained_run: Path, exported: Path, tmp_path: Path
) -> None:
    output = tmp_path / "predictions.csv"
    given = [f"run={trained_run}", "device=cpu"] if model == "run" else [f"file={exported}"]
    given += [f"input='{wanted.format(root=root)}'", f"output={output}", f"output_dir={tmp_path}"]
    counts = predict(compose_command("predict", PredictSettings, *given))
    reasons = {Path(row.path).relative_to(root).as_posix(): row.error for row in read_predictions(output) if row.error}
    assert (counts.unread, set(reasons)) == (4, set(EXPECTED))
    assert all(reasons[name].startswith(reason) for name, reason in EXPECTED.items())
    counts = predict(compose_command("predict", PredictSettings, *given, "image_limits.max_side=22"))
    assert counts.unread == 16


def test_evaluate_counts_them_on_another_folder(root: Path, trained_run: Path, tmp_path: Path) -> None:
    given = [f"run={trained_run}", "device=cpu", f"output_dir={tmp_path / 'out'}", f"data.root={root}"]
    assert evaluate_run(compose_command("evaluate", EvaluateSettings, *given)).unread == 4
    rows = {row.path: row.error for row in read_predictions(tmp_path / "out/predictions.csv")}
    assert rows["NG/shut"] == SHUT


def test_a_class_that_a_broken_link_stands_for_is_missed(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", {"GO": 4, "NG": 4})
    (root / "bad").symlink_to(tmp_path / "not mounted")
    with pytest.raises(UserError, match="bad is a link that leads nowhere: mend or remove it"):
        ImageDataModule(root, "GO", Preprocess((8, 8)), SplitPlan()).setup()


def test_a_list_without_an_end_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a" * (LONGEST_PATH + 1)))
    with pytest.raises(UserError, match="input=- expects one path a line on standard input, at most"):
        input_files("-")
    monkeypatch.setattr("fancnn.predict.predict.MOST_FILES", 3)
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n" * 4))
    with pytest.raises(UserError, match="at most 3 of at most"):
        input_files("-")


def test_limits_come_from_who_runs_and_from_no_file(trained_run: Path, exported: Path, image_folder: Path) -> None:
    path = next(image_folder.rglob("*.png"))
    assert checkpoints.load(trained_run).gate.limits == ExportedModel(exported).gate.limits == ImageLimits()
    with pytest.raises(UserError, match="image_limits.max_side=24 allows it"):
        checkpoints.load(trained_run, image_limits=NARROW).predict(path)
    narrow = ExportedModel(exported, image_limits=NARROW)
    with pytest.raises(UserError, match="image_limits.max_side=24 allows it"):
        narrow.read(path)
    with pytest.raises(UserError, match="image_limits.max_side=24 allows it"):
        narrow.score([ExportedModel(exported).read(path)])
    said = ["image_limits.megapixels=178", "image_limits={max_side: 1000000}", "image_limits=default", "seed=3"]
    assert replayed(said, "x", ["seed", "image_limits"], {"image_limits": ["default"]}, []) == ["seed=3"]


def test_a_limit_out_of_range_is_said_before_anything_is_read(tmp_path: Path) -> None:
    from fancnn.train.train import train

    with pytest.raises(UserError, match=r"image_limits.max_side=0 should be a whole number"):
        train(compose_train(tmp_path, "data.root=/nowhere", "image_limits.max_side=0"))
