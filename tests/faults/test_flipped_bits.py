"""Weights are what they were: whichever bit of a file flips, it is refused in words, and decides nothing."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from samples import compose_train

import fancnn
from fancnn import assembly
from fancnn.errors import UserError
from fancnn.export.run_metadata import described
from fancnn.export.writing import write
from fancnn.files.seals import BLANK, is_sealed, seal
from fancnn.inference.export_formats import FORMATS
from fancnn.inference.export_metadata import KEY, SEAL_KEY
from fancnn.inference.exported_model import ExportedModel
from fancnn.model import Model
from fancnn.parity.runtimes import facts_of
from fancnn.runs import checkpoints

FLIPS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A network that has not been trained, and knows where it comes from."""
    folder = tmp_path_factory.mktemp("model")
    settings = compose_train(folder, "model=tiny", "data.image_size=[16,16]", f"data.root={folder}")
    model = assembly.model(settings, ("GO", "NG")).eval()
    model.metadata = replace(checkpoints.describe(settings, model, folder, "cafe"), epoch=1)
    return model


@pytest.fixture(scope="module")
def checkpoint(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "a.ckpt"
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    checkpoints.save(path, replace(model.metadata, complete=True), {"state_dict": weights})
    return path


@pytest.fixture(scope="module")
def exports(model: Model, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model in every format."""
    folder = tmp_path_factory.mktemp("exports")
    for name, form in FORMATS.items():
        write(model, described(model, checkpoint, name), folder / f"a{form.suffix}", name)
    return {name: folder / f"a{form.suffix}" for name, form in FORMATS.items()}


def flipped(content: bytes, seed: int = 0) -> Iterator[tuple[int, bytes]]:
    """Content with one bit changed at many places: everywhere, at both ends, and in the seal."""
    draw = random.Random(seed)
    at = content.rfind(BLANK[:14])
    places = [draw.randrange(len(content)) for _ in range(FLIPS)] + [0, 3, len(content) - 1, len(content) - 66]
    places += [at, at + 5, at + 13, at + 14, at + 40] if at >= 0 else []
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << draw.randrange(8)
        yield place, bytes(changed)


def test_every_bit_of_a_checkpoint_counts(checkpoint: Path, tmp_path: Path) -> None:
    assert fancnn.load(checkpoint).go_class == "GO"
    for place, content in flipped(checkpoint.read_bytes()):
        (tmp_path / "a.ckpt").write_bytes(content)
        with pytest.raises(UserError, match=r"a.ckpt is damaged or no checkpoint of fancnn: \S"):
            pytest.fail(f"byte {place} is {fancnn.load(tmp_path / 'a.ckpt')}")


def test_a_checkpoint_without_a_seal_has_checksums_and_the_hash_of_its_weights(
    model: Model, checkpoint: Path, tmp_path: Path
) -> None:
    """One of before, or one that another program wrote anew; its times and padding may differ, and nothing else."""
    found, path = torch.load(checkpoint, weights_only=True), tmp_path / "a.ckpt"
    torch.save(found, path)
    content, refused = path.read_bytes(), 0
    for _, changed in flipped(content):
        path.write_bytes(changed)
        try:
            other = fancnn.load(path)
        except UserError:
            refused += 1
        else:
            assert all(torch.equal(value, model.state_dict()[name]) for name, value in other.state_dict().items())
            assert other.metadata.to_dict() == found["fancnn"]
    assert refused > FLIPS // 2

    next(iter(found["state_dict"].values())).add_(1e-6)
    torch.save(found, path)  # with checksums that hold
    with pytest.raises(UserError, match="a.ckpt is damaged: its weights are not those that were saved. Take another"):
        fancnn.load(path)
    before = {name: value for name, value in found["fancnn"].items() if name != "weights_sha256"} | {"version": 4}
    torch.save({**found, "fancnn": before}, path)
    assert fancnn.load(path).go_class == "GO"  # which stated no hash


def test_an_archive_that_holds_more_than_its_size_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 10_000_000)
    with pytest.raises(UserError, match="a.ckpt is damaged .*: it declares more than it holds"):
        fancnn.load(tmp_path / "a.ckpt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml"), ("openvino", ".bin"), ("torch", ".pt2")]
)
def test_every_bit_of_an_exported_file_counts(form: str, suffix: str, exports: dict[str, Path], tmp_path: Path) -> None:
    assert facts_of(exports[form]).sealed
    for file in FORMATS[form].files(exports[form]):
        shutil.copy(file, tmp_path)
    path = tmp_path / exports[form].name
    for place, content in flipped(path.with_suffix(suffix).read_bytes(), seed=1):
        path.with_suffix(suffix).write_bytes(content)
        with pytest.raises(UserError, match=f"{path.name}"):
            pytest.fail(f"byte {place}: {facts_of(path)}")
        if form == "onnx":
            with pytest.raises(UserError, match="a.onnx"):
                pytest.fail(f"byte {place}: {ExportedModel(path).facts}")


def test_a_file_of_before_there_were_seals_is_read_and_one_that_has_lost_its_seal_is_not(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    graph, path = onnx.load(exports["onnx"]), tmp_path / "a.onnx"
    text = {item.key: item.value for item in graph.metadata_props}[KEY]
    onnx.helper.set_model_props(graph, {KEY: text})
    onnx.save(graph, path)
    with pytest.raises(UserError, match="a.onnx is damaged: its seal is gone"):
        ExportedModel(path)
    onnx.helper.set_model_props(graph, {KEY: text.replace(', "sealed": true', "")})
    onnx.save(graph, path)
    assert ExportedModel(path).go_class == "GO"


def test_a_seal_needs_one_place(tmp_path: Path) -> None:
    for content in (b"nothing", BLANK * 2):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ValueError, match="places for a seal, expected 1"):
            seal(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"x" + BLANK)
    (tmp_path / "b").write_bytes(b"y")
    seal(tmp_path / "a", tmp_path / "b")
    assert is_sealed((tmp_path / "a").read_bytes(), b"y")
    assert SEAL_KEY == "fancnn_seal"
