import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import process_environment

import fancnn
from fancnn.errors import UserError
from fancnn.metrics.predictions import read_predictions
from fancnn.metrics.thresholds import Thresholds


@pytest.fixture
def model(trained_run: Path) -> fancnn.Model:
    return fancnn.load(trained_run)


def test_paths_images_arrays_and_tensors_of_one_image_score_the_same(model: fancnn.Model, image_folder: Path) -> None:
    path = image_folder / "NG/scratch/000.png"
    image = Image.open(path)
    array = np.asarray(image)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    found = model.predict([path, str(path), image, array, tensor])
    assert len(set(found.probabilities.tolist())) == 1
    for single in (path, image, array, tensor):
        assert model.predict(single).probabilities == pytest.approx(found.probabilities[:1])


def test_predictions_are_those_of_the_runs_table(model: fancnn.Model, trained_run: Path, image_folder: Path) -> None:
    table = read_predictions(trained_run / "predictions.csv")
    found = model.predict(image_folder / row.path for row in table)
    assert found.probabilities == pytest.approx([row.probability for row in table], abs=1e-6)
    assert found.decisions == [row.decision for row in table]


def test_sizes_may_differ_and_batches_do_not_matter(model: fancnn.Model) -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (10 + i % 7, 30 - i % 5, 3), dtype=np.uint8) for i in range(130)]
    together = model.predict(images).probabilities
    alone = [model.predict(image).probabilities[0] for image in images]
    assert together == pytest.approx(alone, abs=1e-6)


def test_a_batch_of_arrays_or_tensors_is_many_images(model: fancnn.Model) -> None:
    assert len(model.predict(np.zeros((5, 9, 9, 3), np.uint8)).decisions) == 5
    assert len(model.predict(torch.zeros(4, 3, 9, 9, dtype=torch.uint8)).decisions) == 4
    assert len(model.predict(np.zeros((9, 9), np.uint8)).decisions) == 1


def test_a_network_with_cells_says_where_in_pixels_of_the_image_as_it_came(cell_run: Path, image_folder: Path) -> None:
    """What is twice as large or padded has its defect at the same place of itself."""
    model = fancnn.load(cell_run)
    model.thresholds = Thresholds.single(0.0)  # all are NG
    image = Image.open(image_folder / "NG/scratch/000.png")
    large = image.resize((5 * image.width, 3 * image.height), Image.Resampling.NEAREST)
    found = model.predict([image_folder / "NG/scratch/000.png", image, np.asarray(large)])
    assert found.cells is not None
    assert found.cells.shape == (3, 6, 5)
    assert found.regions is not None
    stored, small, big = found.regions
    assert stored == small
    assert small[0].probability == pytest.approx(found.cells[1].max(), abs=1e-6)
    assert [one.box for one in big] == [(5 * one.left, 3 * one.top, 5 * one.right, 3 * one.bottom) for one in small]
    model.thresholds = Thresholds.single(1.0)
    assert model.predict(image).regions == [()]


def test_a_network_without_cells_says_nothing_of_where(model: fancnn.Model) -> None:
    found = model.predict(np.zeros((9, 9, 3), np.uint8))
    assert (model.has_cells, found.cells, found.regions) == (False, None, None)


def test_no_images_give_no_predictions(model: fancnn.Model) -> None:
    assert model.predict([]).decisions == []


def test_unreadable_files_are_named(model: fancnn.Model, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(
        UserError, match="2 of 2 files cannot be read:\n  .*bad.png: empty.*\n  .*gone.png: no such file"
    ):
        model.predict([tmp_path / "bad.png", tmp_path / "gone.png"])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 0, 3), np.uint8),
        [3],
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        torch.zeros(4, 4, 3, dtype=torch.uint8),
    ],
)
def test_arrays_of_another_form_are_refused(image: object, model: fancnn.Model) -> None:
    with pytest.raises(UserError, match="An image should be a path, a PIL image, a uint8 array .*; got"):
        model.predict(image)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 3, b"content"])
def test_what_is_no_image_is_refused(wrong: object, model: fancnn.Model) -> None:
    with pytest.raises(UserError, match="expected an image or many, got .*An image should be a path"):
        model.predict(wrong)  # type: ignore[arg-type]


@pytest.mark.gpu
def test_the_gpu_decides_like_the_cpu(trained_run: Path) -> None:
    images = torch.randint(0, 256, (64, 3, 40, 30), dtype=torch.uint8)
    on_cpu, on_gpu = (fancnn.load(trained_run, device).probabilities(images) for device in ("cpu", "cuda"))
    torch.testing.assert_close(on_gpu, on_cpu, rtol=0, atol=1e-5)


PEAKS = """
import resource, sys
from pathlib import Path
from fancnn.images.preprocess import Preprocess
from fancnn.model import Model
from fancnn.networks import PatchNet
size = (1500, 1500)
preprocess, image = Preprocess(size, normalize="local"), Path(sys.argv[1])
model = Model(PatchNet(size), preprocess, classes=("GO", "NG"), go_class="GO")
for count in (1, 1, 6):
    assert all(score.probability is not None for score in model.score_files([image] * count, workers=1))
    print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_many_large_images_take_no_more_memory_than_one(tmp_path: Path) -> None:
    image = tmp_path / "large.png"
    Image.new("RGB", (1500, 1500), (90, 120, 60)).save(image, compress_level=1)
    command = [sys.executable, "-c", PEAKS, str(image)]
    answer = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=True)
    _, one, six = map(int, answer.stdout.split())
    assert six - one < 3 * 4 * 1500**2, "an image as the network gets it"
