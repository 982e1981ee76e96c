"""Every kind of model as one graph, eager and written, against the model itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fancnn.decisions.calibration import UNCALIBRATED, Calibration
from fancnn.export.run_metadata import described
from fancnn.export.writing import write
from fancnn.images.preprocess import Preprocess
from fancnn.inference.export_module import ExportModule
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.networks import ConvNet, PatchNet
from fancnn.networks.ensemble_network import Ensemble
from fancnn.networks.patch_net import POOLS
from fancnn.parity.runtimes import of_onnx_runtime, of_openvino, reference

TEMPERATURE = Calibration((0.0,), (0.0,), 0.6, "temperature")
PLATT = Calibration((0.0,), (-2.3,), 0.7, "platt", 0.1)
ISOTONIC = Calibration((-0.4, -0.1, 0.05, 0.3), (-2.0, -0.5, 0.1, 3.0), 1.5, "isotonic")
TYPES = ("GO", "chip", "dent", "stain")
SIZE = (20, 24)


def network(outputs: int = 1) -> nn.Module:
    return ConvNet(image_size=SIZE, filters=(4, 6), hidden=(8,), outputs=outputs)


def ensemble(outputs: int) -> nn.Module:
    plain = [calibration.to_dict() for calibration in (ISOTONIC, TEMPERATURE)]
    return Ensemble([network(outputs), network(outputs)], plain, outputs=outputs)


def ensemble_of_cells() -> nn.Module:
    members = [PatchNet(SIZE, (4, 6), stride=stride, outputs=4) for stride in (2, 4)]
    return Ensemble(members, [calibration.to_dict() for calibration in (ISOTONIC, TEMPERATURE)], outputs=4)


def made(
    net: nn.Module, outputs: tuple[str, ...] = ("NG",), calibration: Calibration = UNCALIBRATED, **how: object
) -> Model:
    return Model(
        net,
        Preprocess(SIZE, **how),  # type: ignore[arg-type]
        classes=("GO", "NG"),
        go_class="GO",
        outputs=outputs,
        thresholds=Thresholds(0.4, 0.6),
        calibration=calibration,
    ).eval()


def images() -> list[np.ndarray]:
    random = np.random.default_rng(3)
    sizes = [(61, 97), (97, 61), (13, 7), (20, 24), (20, 24), (1, 131)]  # primes: few values halfway between two levels
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


KINDS = {
    "one logit": lambda: made(network(), calibration=TEMPERATURE),
    "padded on black": lambda: made(network(), resize="pad", background="black"),
    "mean and std": lambda: made(network(), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
    "normalized by its own deviation": lambda: made(network(), normalize="image"),
    "normalized locally": lambda: made(network(), normalize="local", normalize_window=13),
    "cells": lambda: made(PatchNet(SIZE, (4, 6), stride=4)),
    "the mean of the hottest cells": lambda: made(PatchNet(SIZE, (4, 6), stride=4, pool="top_k")),
    "cells of several members, with types": lambda: made(ensemble_of_cells(), TYPES, ISOTONIC),
    "isotonic": lambda: made(network(), calibration=ISOTONIC),
    "platt": lambda: made(network(), calibration=PLATT),
    "two logits": lambda: made(network(2), ("GO", "NG"), TEMPERATURE),
    "types": lambda: made(network(4), TYPES, ISOTONIC),
    "ensemble": lambda: made(ensemble(1), calibration=TEMPERATURE),
    "ensemble with types": lambda: made(ensemble(4), TYPES, TEMPERATURE),
    "ensemble with an intercept": lambda: made(
        Ensemble([network(), network()], [PLATT.to_dict(), TEMPERATURE.to_dict()]), calibration=PLATT
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_what_the_model_says(kind: str) -> None:
    torch.manual_seed(0)
    model = KINDS[kind]()
    deployed = ExportModule(model)
    for image in images():
        expected = reference(model, image[None])
        with torch.inference_mode():
            found = deployed(torch.from_numpy(image[None]))
        names = [name for name in ("probability", "logit", "pixels", "type_shares", "cells") if name in expected]
        assert set(names) == set(expected)
        for name, values in zip(names, found, strict=True):
            np.testing.assert_allclose(values, expected[name], atol=1.0 if name == "pixels" else 1e-4, err_msg=name)


def test_making_a_graph_leaves_the_model_as_it_is() -> None:
    model = made(network())
    model.train()
    ExportModule(model)
    assert model.training
    assert model.network.training


NORMALIZED = {
    "mean and std": {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)},
    "image": {"normalize": "image"},
    "local": {"normalize": "local", "normalize_window": 13},
}


@pytest.mark.slow
@pytest.mark.parametrize("normalized", NORMALIZED)
def test_everything_at_once_is_written_and_two_runtimes_agree_with_the_model(normalized: str, tmp_path: Path) -> None:
    """An ensemble with types, padded, normalized, calibrated twice: each of these is in the graph."""
    torch.manual_seed(0)
    how = {"resize": "pad", "background": "black", **NORMALIZED[normalized]}
    model = made(ensemble(4), TYPES, ISOTONIC, **how)
    checkpoint, path = tmp_path / "a.ckpt", tmp_path / "a.onnx"
    checkpoint.write_bytes(b"weights")
    write(model, described(model, checkpoint, "onnx"), path, "onnx")
    assert [item.name for item in sorted(tmp_path.iterdir())] == ["a.ckpt", "a.onnx"], "one file, and nothing beside it"
    for score in (of_onnx_runtime(path.read_bytes(), path), of_openvino(path, {"INFERENCE_PRECISION_HINT": "f32"})):
        for image in images():
            expected, found = reference(model, image[None]), score(image[None])
            apart = np.abs(found["pixels"] - expected["pixels"])
            assert apart.max() <= 1
            assert apart.mean() < 0.003, "but for values halfway between two grey levels"
            for name in ("probability", "logit", "type_shares"):
                atol = 2e-3 if apart.any() else 1e-5
                np.testing.assert_allclose(found[name], expected[name], atol=atol, err_msg=name)
    inspector, whole = ExportedModel(path), model.predict(images())
    found = inspector.score(images())
    assert found.decisions == whole.decisions
    named = [guess.name for guess, decision in zip(found.guesses, found.decisions, strict=True) if decision != "GO"]
    assert named == [name for name in whole.types if name]
    np.testing.assert_allclose(found.type_shares.sum(1), 1, atol=1e-5)


OF_CELLS = {
    **{pool: lambda pool=pool: PatchNet(SIZE, (4, 6), stride=4, pool=pool) for pool in POOLS},
    "ensemble": ensemble_of_cells,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_CELLS)
def test_a_network_that_judges_by_cells_is_the_same_on_two_runtimes(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    outputs = TYPES if kind == "ensemble" else ("NG",)
    model = made(OF_CELLS[kind](), outputs, normalize="local", normalize_window=9)
    model.cell_threshold, model.mm_per_pixel = 0.02, 0.5
    checkpoint, path = tmp_path / "a.ckpt", tmp_path / "a.onnx"
    checkpoint.write_bytes(b"weights")
    write(model, described(model, checkpoint, "onnx"), path, "onnx")
    for score in (of_onnx_runtime(path.read_bytes(), path), of_openvino(path, {"INFERENCE_PRECISION_HINT": "f32"})):
        for image in images():
            expected, found = reference(model, image[None]), score(image[None])
            apart = np.abs(found["pixels"] - expected["pixels"])
            np.testing.assert_allclose(found["logit"], expected["logit"], atol=5e-2 if apart.any() else 1e-4)
            np.testing.assert_allclose(found["cells"], expected["cells"], atol=2e-2 if apart.any() else 1e-5)
    inspector, whole = ExportedModel(path), model.predict(images())
    found = inspector.score(images())
    assert found.cells is not None
    assert whole.cells is not None
    assert found.cells.shape == whole.cells.shape
    assert (inspector.facts.has_cells, inspector.facts.cell_threshold, inspector.mm_per_pixel) == (True, 0.02, 0.5)
    same = [place for place, image in enumerate(images()) if image.shape[:2] == SIZE]  # no grey level is apart there
    for place in same:
        ours, theirs = (of.regions[place] for of in (whole, found) if of.regions is not None)
        assert [one.box for one in theirs] == [one.box for one in ours]
        assert theirs == () or theirs[0].probability == pytest.approx(ours[0].probability, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [1, 4])
def test_networks_that_are_certain_have_the_logit_that_the_run_has(outputs: int, tmp_path: Path) -> None:
    """At P(NG) = 1 - 1e-13 a runtime's sigmoid is 1 and 0: heat maps are made of differences of logits."""
    torch.manual_seed(0)
    certain = ensemble(outputs)
    with torch.no_grad():
        for member in certain.members:
            list(member.parameters())[-1].add_(torch.tensor([60.0]) if outputs == 1 else torch.tensor([-60.0, 0, 1, 2]))
    model = made(certain, TYPES if outputs == 4 else ("NG",))
    (tmp_path / "a.ckpt").write_bytes(b"weights")
    path = tmp_path / "a.onnx"
    write(model, described(model, tmp_path / "a.ckpt", "onnx"), path, "onnx")
    expected = reference(model, images()[0][None])
    assert expected["logit"] > 30
    for score in (of_onnx_runtime(path.read_bytes(), path), of_openvino(path, {"INFERENCE_PRECISION_HINT": "f32"})):
        np.testing.assert_allclose(score(images()[0][None])["logit"], expected["logit"], rtol=1e-3)
