"""Known images hold a server back that does not decide them right."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import numpy_helper
from samples import save_sealed

from fancnn.errors import UserError
from fancnn.export.run_metadata import described
from fancnn.export.writing import write
from fancnn.images.preprocess import Preprocess
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.predictions import Prediction, write_predictions
from fancnn.model import Model
from fancnn.serve.app import Routes, server_app
from fancnn.serve.golden_images import validate_golden
from fancnn.serve.inspector import Inspector
from fancnn.serve.service import Service


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, inspector: Model, exported: Path, image_folder: Path) -> Path:
    """Images and the table that the checkpoint makes of them, with paths as they were elsewhere."""
    folder = tmp_path_factory.mktemp("golden") / "set"
    files = sorted(image_folder.rglob("*.png"))[::9]
    rows = []
    found = inspector.predict(files)
    for index, path in enumerate(files):
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"parts/{index}.png")
        chance = float(found.probabilities[index])
        rows.append(Prediction(f"/elsewhere/set/parts/{index}.png", chance, decision=found.decisions[index]))
    write_predictions(rows, folder / "predictions.csv")
    return folder


def test_the_file_that_was_exported_passes(reader: ExportedModel, golden: Path) -> None:
    assert validate_golden(reader, golden) == len(list(golden.rglob("*.png")))


def _weight(proto: Any) -> None:
    """One weight of the first layer is another."""
    kernel = next(one for one in proto.graph.initializer if len(one.dims) == 4)
    values = numpy_helper.to_array(kernel).copy()
    values[0] *= 1.5
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))


def _facts(change: Callable[[dict[str, Any]], None]) -> Callable[[Any], None]:
    def swap(proto: Any) -> None:
        facts = json.loads(proto.metadata_props[0].value)
        change(facts)
        proto.metadata_props[0].value = json.dumps(facts)

    return swap


def _order(proto: Any) -> None:
    """P(GO) comes where P(NG) should: the logit has the other sign."""
    for node in proto.graph.node:
        node.output[:] = ["swapped" if name == "probability" else name for name in node.output]
    one = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [], [1.0])
    proto.graph.initializer.append(one)
    proto.graph.node.append(onnx.helper.make_node("Sub", ["one", "swapped"], ["probability"]))


SWAPS = {
    "weight": _weight,
    "threshold": _facts(lambda facts: facts.update(thresholds=[0.999, 0.999])),
    "class order": _order,
}


@pytest.mark.parametrize("swap", ["weight", "threshold", "class order"])
def test_a_swapped_part_of_the_file_fails(swap: str, exported: Path, golden: Path, tmp_path: Path) -> None:
    proto = onnx.load(exported)
    SWAPS[swap](proto)
    save_sealed(proto, tmp_path / "swapped.onnx")
    with pytest.raises(UserError, match=" golden images: .*should "):
        validate_golden(ExportedModel(tmp_path / "swapped.onnx"), golden)


@pytest.mark.slow
def test_another_resize_fails(inspector: Model, exported: Path, golden: Path, tmp_path: Path) -> None:
    """Also where it changes no decision: the probabilities are not those of the checkpoint."""
    facts = described(inspector, exported, "onnx")
    kept, inspector.preprocess = inspector.preprocess, Preprocess((16, 16), resize="pad")
    try:
        write(inspector, replace(facts), tmp_path / "padded.onnx", "onnx")
    finally:
        inspector.preprocess = kept
    with pytest.raises(UserError, match=" golden images: .*should "):
        validate_golden(ExportedModel(tmp_path / "padded.onnx"), golden)


def test_folders_say_what_to_decide_where_there_is_no_table(
    reader: ExportedModel, golden: Path, tmp_path: Path
) -> None:
    for path in sorted(golden.rglob("*.png")):
        decision = reader.score([reader.read(path)]).decisions[0]
        (tmp_path / decision).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / decision / path.name)
    assert validate_golden(reader, tmp_path) > 2
    first = sorted((tmp_path / "GO").iterdir())[0]
    first.rename(tmp_path / "NG" / first.name)
    with pytest.raises(UserError, match=f"1 of .* {first.name} should be NG and was GO"):
        validate_golden(reader, tmp_path)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["GO/a.png"], "images of both GO and NG"),
        (["OK/a.png"], "OK/a.png is in none of GO, RECHECK, NG"),
        ([], "both"),
    ],
)
def test_a_folder_that_says_too_little_is_told(
    names: list[str], text: str, reader: ExportedModel, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=text):
        validate_golden(reader, tmp_path)


@pytest.fixture
def golden_client(
    reader: ExportedModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, list[Exception], list[str]]]:
    """A server whose golden images fail with the fault in the list, while there is one, and what it prints.

    It prints from a thread of its own, before and after the test, too, when pytest captures nothing.
    """
    printed: list[str] = []
    monkeypatch.setattr("fancnn.serve.service.print", lambda line, **_: printed.append(line), raising=False)
    faults: list[Exception] = [UserError("2 of 9 golden images")]

    def check() -> int:
        if faults:
            raise faults[0]
        return 9

    service = Service(Inspector(reader, ("PNG",), 1), 1, 4, 600.0, golden=check, golden_seconds=0.01)
    with TestClient(server_app(Routes(service, 10**6, 3))) as client:
        yield client, faults, printed


def test_nothing_is_decided_until_they_pass(
    golden_client: tuple[TestClient, list[Exception], list[str]], golden: Path
) -> None:
    client, faults, printed = golden_client
    content = next(golden.rglob("*.png")).read_bytes()
    ask = lambda: client.post("/predict", content=content, headers={"Content-Type": "image/png"})  # noqa: E731
    reason = ask().json()["reason"]
    while "not decided yet" in reason:
        reason = ask().json()["reason"]
    assert reason == "nothing is decided: 2 of 9 golden images"
    assert (client.get("/ready").status_code, client.get("/health").status_code) == (503, 200)
    assert "fancnn_ready 0" in client.get("/metrics").text
    faults.clear()
    while client.get("/ready").status_code == 503:
        pass
    assert ask().status_code == 200
    faults.append(PermissionError(13, "Permission denied"))  # nor when they cannot be looked at
    while client.get("/ready").status_code == 200:
        pass
    assert ask().status_code == 503
    assert "nothing is decided: 2 of 9 golden images" in printed
    assert "golden: 9 images pass" in printed


def test_what_is_asked_without_the_token_tells_nothing_of_golden_images(reader: ExportedModel) -> None:
    service = Service(Inspector(reader, ("PNG",), 1), 1, 4, 600.0)
    service.golden_fault = "part_7.png should be GO and was NG (0.9982)"
    found = [TestClient(server_app(Routes(service, 10**6, 3, told))).get("/ready") for told in (False, True)]
    assert [answer.status_code for answer in found] == [503, 503]
    assert "part_7.png" in found[0].json()["reason"]
    assert "golden images were not decided right" in found[1].json()["reason"]
    assert "part_7" not in found[1].text
