import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import process_environment

import fancnn
from fancnn.errors import UserError
from fancnn.inference.exported_model import MOST_PIXELS, ExportedModel, batches, metadata_text
from fancnn.metrics.predictions import read_predictions


@pytest.fixture
def model(trained_run: Path) -> fancnn.Model:
    return fancnn.load(trained_run)


@pytest.fixture
def inspector(exported: Path) -> ExportedModel:
    return ExportedModel(exported)


def noise(*sizes: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_a_file_says_what_the_run_says(inspector: ExportedModel, model: fancnn.Model) -> None:
    facts = inspector.facts
    assert (facts.classes, facts.go_class, facts.outputs) == (["GO", "NG"], "GO", ["NG"])
    assert inspector.thresholds == model.thresholds
    assert facts.calibration == model.calibration.to_dict()
    assert facts.split_sha256 == model.metadata.split_sha256
    assert facts.epoch == model.metadata.epoch
    assert facts.preprocess["image_size"] == [16, 16]
    assert {"fancnn", "torch", "onnx"} <= set(facts.versions)
    assert len(facts.weights_sha256) == len(facts.checkpoint_sha256) == len(inspector.sha256) == 64


def test_images_of_any_size_score_as_the_run_scores_them(inspector: ExportedModel, model: fancnn.Model) -> None:
    images = noise((16, 16), (1, 1), (300, 7), (40, 60), (40, 60), (8, 90), (120, 121))
    found, expected = inspector.score(images), model.predict(images)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    assert found.decisions == expected.decisions
    assert found.type_shares.shape == (7, 0)


def test_an_image_is_scored_alone(inspector: ExportedModel) -> None:
    images = noise(*[(30, 20)] * 40, *[(20, 30)] * 3)
    together = inspector.score(images).probabilities
    alone = [inspector.score([image]).probabilities[0] for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_no_images_give_no_decisions(inspector: ExportedModel) -> None:
    assert inspector.score([]).decisions == []


def test_large_images_are_not_held_many_at_a_time() -> None:
    large = np.zeros((1000, 1500, 3), np.uint8)
    sizes = [len(batch) for batch in batches([large] * 5)]
    assert sizes == [2, 2, 1]
    assert sizes[0] * large.size / 3 <= MOST_PIXELS


@pytest.mark.parametrize("workers", [1, 3])
def test_files_come_in_order_as_the_runs_table_has_them(
    inspector: ExportedModel, image_folder: Path, trained_run: Path, workers: int, tmp_path: Path
) -> None:
    rows = read_predictions(trained_run / "predictions.csv")
    (tmp_path / "bad.png").write_bytes(b"")
    paths = [image_folder / row.path for row in rows]
    found = list(inspector.score_files([*paths, tmp_path / "bad.png", tmp_path / "gone.png"], workers))
    assert [score.path for score in found[:-2]] == paths
    assert [score.probability for score in found[:-2]] == pytest.approx([row.probability for row in rows], abs=1e-4)
    assert [score.probability for score in found[-2:]] == [None, None]
    assert [score.error.partition(":")[0] for score in found[-2:]] == ["empty (0 bytes)", "no such file"]


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), "a.png"]
)
def test_what_is_no_decoded_image_is_refused(inspector: ExportedModel, image: object) -> None:
    with pytest.raises(UserError, match=r"should be a uint8 array \(height, width, 3\).*; got"):
        inspector.score([image])  # type: ignore[list-item]


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone.onnx does not exist. Expected a file that"):
        ExportedModel(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(UserError, match="text.onnx is damaged or no ONNX file: "):
        ExportedModel(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="cannot be read: a folder, not a file"):
        ExportedModel(tmp_path)


def test_metadata_that_is_no_text_is_damage() -> None:
    class Session:
        """What some versions of ONNX Runtime do with a damaged byte."""

        def get_modelmeta(self) -> None:
            b"fancnn\xee".decode()

    with pytest.raises(UserError, match=r"a.onnx is damaged: what it states of itself is no text"):
        metadata_text(Session(), Path("a.onnx"))


def test_without_the_runtime_it_is_said_what_to_install(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match="ONNX Runtime, which is not installed: pip install onnxruntime"):
        ExportedModel(exported)


PEAKS = """
import resource, sys
from pathlib import Path
from fancnn.inference.exported_model import ExportedModel
model, image = ExportedModel(sys.argv[1]), Path(sys.argv[2])
for count in (1, 1, 4):  # the first makes what the runtime keeps
    assert all(score.probability is not None for score in model.score_files([image] * count, workers=1))
    print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_many_large_files_take_no_more_memory_than_one(exported: Path, tmp_path: Path) -> None:
    image = tmp_path / "large.png"
    Image.new("RGBA", (6_000, 4_000), (90, 120, 60, 40)).save(image, compress_level=1)
    command = [sys.executable, "-c", PEAKS, str(exported), str(image)]
    found = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=True)
    _, one, four = map(int, found.stdout.split())
    assert four - one < 24e6  # a third of the pixels of one
