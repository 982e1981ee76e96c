import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from samples import process_environment
from torch import Tensor, nn

import fancnn
from fancnn.errors import UserError
from fancnn.export.run_metadata import described
from fancnn.export.writing import write
from fancnn.images.preprocess import Preprocess
from fancnn.inference import export_module as graph
from fancnn.inference.export_formats import FORMATS
from fancnn.inference.export_metadata import ExportMetadata
from fancnn.metrics.thresholds import Thresholds
from fancnn.parity import runtimes
from fancnn.parity.agreement import TOLERANCE, agreements
from fancnn.parity.first_divergence import layer_outputs, layers_of, parting
from fancnn.parity.parity import compared
from fancnn.parity.runtimes import Runtime, facts_of, reference, runtimes_of

Images = list[tuple[str, np.ndarray]]


def textures() -> Images:
    """Fine stripes and noise, in sizes that are primes: few values lie halfway between two grey levels."""
    random = np.random.default_rng(0)
    found = []
    for index in range(24):
        height, width = (61, 97, 131)[index % 3], (67, 89)[index % 2]
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if index % 4:
            image[:, :: 2 + index % 5] = 255
        found.append((f"{index}.png", image))
    return found


def halved(model: fancnn.Model) -> fancnn.Model:
    """The model with the threshold in the middle of what it says of the textures: half of them are NG."""
    chances = [float(reference(model, image[None])["probability"][0]) for _, image in textures()]
    ordered = sorted(chances)
    middle = max(range(6, 18), key=lambda place: ordered[place] - ordered[place - 1])  # where the gap is widest
    model.thresholds = Thresholds.single((ordered[middle] + ordered[middle - 1]) / 2)
    return model


class PlainResize(nn.Module):
    """What others export: the framework's own resize with antialias."""

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.size = preprocess.image_size

    def forward(self, images: Tensor) -> Tensor:
        planes = images.permute(0, 3, 1, 2).to(torch.float32)
        return F.interpolate(planes, size=self.size, mode="bilinear", antialias=True).round().clamp(0, 255)


@pytest.fixture
def model(trained_run: Path) -> fancnn.Model:
    return fancnn.load(trained_run)


@pytest.fixture
def written(model: fancnn.Model, trained_run: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        form = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch"}[Path(name).suffix]
        facts = described(model, trained_run / "checkpoints/best.ckpt", form)
        write(model, facts, tmp_path / name, form)
        return tmp_path / name

    return make


@pytest.mark.slow
def test_a_plain_resize_fails_on_openvino_and_ours_agrees_everywhere(
    model: fancnn.Model,
    written: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    halved(model)
    ours = written("ours.onnx")
    for agreement in agreements(model, runtimes_of(ours), model.thresholds, textures()):
        if agreement.counts:
            assert agreement.flips == []
            assert agreement.probability_gap <= TOLERANCE
    assert compared(model, ours, textures())

    with monkeypatch.context() as patch:
        patch.setattr(graph, "TriangleResize", PlainResize)
        plain = written("plain.onnx")
    capsys.readouterr()
    assert not compared(model, plain, textures())
    told = capsys.readouterr().out
    assert "OpenVINO, float32: diverges from the run at the resize: " in told
    assert "ONNX Runtime: parts" not in told, "it has antialias"
    assert "file decides as the run does" not in told


def test_the_layer_that_differs_is_named(model: fancnn.Model, exported: Path) -> None:
    (_, image), *_ = textures()
    names = [name for name in layer_outputs(model, torch.zeros(1, 3, 16, 16)) if ".conv" in name or "Linear" in name]
    weights = {name: layer for name, layer in model.network.named_modules() if isinstance(layer, nn.Conv2d)}
    changed, layer = list(weights.items())[-1]
    assert names or weights
    with torch.no_grad():
        layer.weight[0] += 1.0  # the file was exported before
    for runtime in runtimes_of(exported):
        if runtime.counts:
            told = parting(model, runtime.score(image[None]), layers_of(exported, runtime.name, image), image)
            assert told.startswith(f"network.{changed} (Conv2d): its output differs by ")


def test_where_nothing_differs_no_step_is_blamed(model: fancnn.Model, exported: Path) -> None:
    (_, image), *_ = textures()
    runtime = runtimes_of(exported)[0]
    layers = layers_of(exported, runtime.name, image)
    assert set(layer_outputs(model, torch.zeros(1, 3, 16, 16))) & set(layers), "layers are found by their names"
    assert parting(model, runtime.score(image[None]), layers, image).startswith("no single step")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "openvino", "torch"])
def test_the_map_is_that_of_the_run_in_every_format(format: str, cell_run: Path, tmp_path: Path) -> None:
    model, path = fancnn.load(cell_run), tmp_path / f"a{FORMATS[format].suffix}"
    write(model, described(model, cell_run / "checkpoints/best.ckpt", format), path, format)
    found = agreements(model, runtimes_of(path), model.thresholds, textures())
    assert len(found) >= 1 + (format == "onnx")
    for agreement in found:
        if agreement.counts:
            assert agreement.flips == []
            assert agreement.map_gap is not None
            assert 0 <= agreement.map_gap <= TOLERANCE
    facts = facts_of(path)
    assert (facts.has_cells, facts.cell_threshold, facts.mm_per_pixel) == (True, 0.9, 0.1)


@pytest.mark.slow
def test_a_map_that_is_not_the_runs_is_told_though_no_decision_differs(
    cell_run: Path, cell_exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, (same, *_) = fancnn.load(cell_run), runtimes_of(cell_exported)

    def off(images: np.ndarray) -> dict[str, np.ndarray]:
        return (found := dict(same.score(images))) | {"cells": found["cells"] + np.float32(0.01)}

    monkeypatch.setattr("fancnn.parity.parity.runtimes_of", lambda path: [Runtime("ONNX Runtime", off)])
    assert compared(model, cell_exported, textures())
    told = capsys.readouterr().out
    assert "ONNX Runtime: no decision differs here, but the map of cells does by more than 0.0001: others may" in told


def test_a_file_of_before_maps_were_in_it_is_compared_by_its_decisions(
    cell_run: Path, cell_exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, (same, *_) = fancnn.load(cell_run), runtimes_of(cell_exported)
    before = Runtime("same", lambda images: {name: of for name, of in same.score(images).items() if name != "cells"})
    (agreement,) = agreements(model, [before], model.thresholds, textures())
    assert (agreement.map_gap, agreement.flips) == (None, [])
    monkeypatch.setattr("fancnn.parity.parity.runtimes_of", lambda path: [before])
    facts = replace(facts_of(cell_exported), has_cells=False)
    monkeypatch.setattr("fancnn.parity.parity.facts_of", lambda path: facts)
    assert compared(model, cell_exported, textures())
    assert "note: inspector.onnx does not say where the defect is, as the run does: export it again" in (
        capsys.readouterr().out
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.xml", "a.pt2"])
def test_the_other_formats_hold_the_same_facts_and_agree(
    name: str, model: fancnn.Model, written: Callable[[str], Path], exported: Path
) -> None:
    path = written(name)
    facts, onnx = facts_of(path), facts_of(exported)
    assert (facts.weights_sha256, facts.checkpoint_sha256) == (onnx.weights_sha256, onnx.checkpoint_sha256)
    assert (facts.outputs, facts.opset, onnx.opset) == (onnx.outputs, None, 20)
    agreement = agreements(model, runtimes_of(path), model.thresholds, textures())[0]
    assert agreement.flips == []
    assert agreement.probability_gap <= TOLERANCE
    assert agreement.images == 24


def test_a_processor_that_makes_openvino_compute_in_bfloat16_is_said(
    model: fancnn.Model, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtimes, "openvino_default", lambda path: "bf16")
    found = runtimes_of(exported)
    assert [(runtime.name, runtime.counts) for runtime in found[1:]] == [
        ("OpenVINO, float32", True),
        ("OpenVINO as it comes, bf16", False),
    ]
    compared(model, exported, textures()[:2])
    assert "OpenVINO computes in bf16 unless it is told INFERENCE_PRECISION_HINT=f32" in capsys.readouterr().out


def test_where_only_the_thresholds_differ_they_are_said_and_each_image_counts_once(
    model: fancnn.Model, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtimes, "openvino_default", lambda path: "bf16")
    images, own = textures(), facts_of(exported).thresholds[0]
    model.thresholds = Thresholds(0.0, 1.0)  # RECHECK throughout; the file has none
    assert not compared(model, exported, images)
    told = capsys.readouterr().out
    apart = f"diverges from the run at the thresholds: {own:g} in the file, 0 and 1 in the run (0.png)"
    assert told.count(apart) == 2, "by each runtime that counts"
    assert told.count("diverges from the run") == 2
    assert "INFERENCE_PRECISION_HINT=f32: 0 decisions would differ beyond those below" in told
    assert "24 decisions differ: 0.png (ONNX Runtime; OpenVINO, float32), 1.png (" in told


@pytest.mark.slow
def test_a_file_names_its_dimensions_and_no_path_of_the_computer_that_made_it(
    model: fancnn.Model, exported: Path, written: Callable[[str], Path]
) -> None:
    (images,) = onnx.load(exported).graph.input
    assert [side.dim_param or side.dim_value for side in images.type.tensor_type.shape.dim] == [
        *("batch", "height", "width", 3)
    ]
    with zipfile.ZipFile(written("a.pt2")) as archive:
        program = b"".join(map(archive.read, archive.namelist()))
    for content in (exported.read_bytes(), program):
        assert str(Path(graph.__file__).parent).encode() not in content
        assert str(Path(torch.__file__).parent).encode() not in content


def test_flips_and_gaps_are_counted(model: fancnn.Model) -> None:
    halved(model)

    def off(images: np.ndarray) -> dict[str, np.ndarray]:
        found = dict(reference(model, images))
        other = (found["probability"] <= model.thresholds.upper).astype(float)
        return found | {"probability": other, "pixels": found["pixels"] + 2}

    same = Runtime("same", lambda images: reference(model, images))
    good, bad = agreements(model, [same, Runtime("off", off)], model.thresholds, textures())
    assert (good.flips, good.probability_gap, good.level_gap, good.within) == ([], 0, 0, True)
    assert len(bad.flips) == bad.images == 24
    assert (bad.level_gap, bad.values_apart, bad.values) == (2, 24 * 3 * 256, 24 * 3 * 256)
    assert bad.worst_name in dict(textures())


def test_a_file_of_another_kind_is_told(tmp_path: Path, exported: Path) -> None:
    with pytest.raises(UserError, match="gone.onnx does not exist"):
        facts_of(tmp_path / "gone.onnx")
    for name, text in (("a.txt", "should end in .onnx, .xml, .pt2"), ("a.xml", "OpenVINO cannot read"), ("a.pt2", "")):
        (tmp_path / name).write_text("text")
        with pytest.raises(UserError, match=text or "is damaged or no file of torch.export"):
            facts_of(tmp_path / name)
    assert isinstance(facts_of(exported), ExportMetadata)


SEVERAL_TIMES = """
import faulthandler, gc, signal, subprocess, sys
from pathlib import Path
import numpy as np
from fancnn.parity.runtimes import runtimes_of

faulthandler.enable()  # gives signals a stack of their own, which OpenVINO puts another in the place of
signal.signal(signal.SIGCHLD, lambda number, frame: print("handled"))
for _ in range(2):
    found = [runtime.score(np.zeros((1, 9, 9, 3), np.uint8)) for runtime in runtimes_of(Path(sys.argv[1]))]
gc.collect()
subprocess.run([sys.executable, "-c", ""], check=True)
"""


@pytest.mark.slow
def test_a_program_that_compares_again_and_again_can_still_handle_signals(exported: Path) -> None:
    command = [sys.executable, "-c", SEVERAL_TIMES, str(exported)]
    found = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr
    assert "handled" in found.stdout
