"""A result that is no finite number is a decision nowhere: real runs and real exported files, damaged."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from samples import compose_command, run_command, save_sealed

from fancnn.certify.certify import certify
from fancnn.certify.settings import CertifySettings
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.errors import UserError
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.evaluate_table import evaluate_table
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.export.export import export
from fancnn.export.settings import ExportSettings
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.predictions import Prediction, read_predictions, write_predictions
from fancnn.model import Model
from fancnn.parity.parity import parity
from fancnn.parity.settings import ParitySettings
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings
from fancnn.report.report import report
from fancnn.report.settings import ReportSettings
from fancnn.runs import checkpoints
from fancnn.serve.golden_images import validate_golden
from fancnn.serve.serve import application
from fancnn.serve.settings import ServeSettings
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.checkpointing import AtomicCheckpointIO

NO_NUMBER = "not a finite number"
PNG = {"Content-Type": "image/png"}
HUGE = 3e38  # a finite weight of float32; sums of such are not finite


def last_layer(weights: dict[str, torch.Tensor], kind: str) -> str:
    return [name for name in weights if name.startswith("model.network.") and name.endswith(kind)][-1]


def damaged_run(run: Path, folder: Path, kind: str, value: float) -> Path:
    """A copy of a run, the last layer's weights or bias of its best checkpoint all `value`; no hashes."""
    shutil.copytree(run, folder)
    path = checkpoints.find(folder, ("best.ckpt",))
    content = torch.load(path, weights_only=True)
    content["state_dict"][last_layer(content["state_dict"], kind)].fill_(value)
    AtomicCheckpointIO().save_checkpoint(content, path)
    metrics = json.loads((folder / "metrics.json").read_text())
    hashes = {"weights_sha256": None, "checkpoint_sha256": None}
    (folder / "metrics.json").write_text(json.dumps({**metrics, **hashes}))
    return folder


@pytest.fixture(scope="module")
def overflowing(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose weights are finite, and whose outputs are not: it can be loaded."""
    return damaged_run(trained_run, tmp_path_factory.mktemp("huge") / "run", ".weight", HUGE)


def with_nan(exported: Path, path: Path) -> Path:
    """An exported file with a damaged bias of its last layer."""
    proto = onnx.load(exported)
    bias = [one for one in proto.graph.initializer if one.name.startswith("network.") and one.name.endswith("bias")][-1]
    values = np.full(tuple(bias.dims), np.nan, np.float32)
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    save_sealed(proto, path)
    return path


def nan_where_white(exported: Path, path: Path) -> Path:
    """An exported file that gives NaN for a white image and is right on all others."""
    proto = onnx.load(exported)
    graph, names = proto.graph, [output.name for output in proto.graph.output]
    for node in graph.node:
        node.output[:] = [f"{name}_before" if name == "probability" else name for name in node.output]
    assert names[0] == "probability"
    constants = {"limit": 250.0, "nan": math.nan, "zero": 0.0}
    graph.initializer.extend(helper.make_tensor(name, TensorProto.FLOAT, [], [v]) for name, v in constants.items())
    graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]))
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["pixels", "axes"], ["level"], keepdims=0),
            helper.make_node("Greater", ["level", "limit"], ["white"]),
            helper.make_node("Where", ["white", "nan", "zero"], ["added"]),
            helper.make_node("Add", ["probability_before", "added"], ["probability"]),
        ]
    )
    save_sealed(proto, path)
    return path


def content(level: int, path: Path) -> bytes:
    Image.new("RGB", (40, 30), (level, level, level)).save(path)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_checkpoint_with_a_damaged_bias_is_refused(
    value: float, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    run = damaged_run(trained_run, tmp_path / "run", ".bias", value)
    settings = compose_command(
        "predict", PredictSettings, f"run={run}", f"input={image_folder}", f"output={tmp_path / 'found.csv'}",
        "device=cpu", f"output_dir={tmp_path}",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"best\.ckpt has weights that are no finite numbers: 1 of 1 in .*bias"):
        predict(settings)
    assert not (tmp_path / "found.csv").exists()


@pytest.mark.parametrize("key", ["init", "ckpt"])
def test_no_training_begins_with_damaged_weights(
    key: str, trained_run: Path, train_settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    run = damaged_run(trained_run, tmp_path / "damaged", ".bias", math.nan)
    shutil.copy(run / "checkpoints/best.ckpt", run / "checkpoints/last.ckpt")
    again = train_settings(f"{key}={run}", "data.test_fraction=0.2", "trainer.max_epochs=9", output=tmp_path / "second")
    with pytest.raises(UserError, match="weights that are no finite numbers"):
        train(again)


@pytest.mark.slow
def test_predict_writes_the_reason_and_ends_with_2(overflowing: Path, image_folder: Path, tmp_path: Path) -> None:
    answer = run_command(
        "fancnn.predict", f"run={overflowing}", f"input={image_folder / 'GO'}", "output=found.csv", "device=cpu",
        cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 2, answer.stderr
    assert "40 files: 0 GO, 0 NG, 0 could not be read, 40 have no decision" in answer.stdout
    rows = read_predictions(tmp_path / "found.csv")
    assert {(row.probability, row.decision) for row in rows} == {(None, "")}
    assert all(NO_NUMBER in row.error for row in rows)


@pytest.mark.slow
def test_predict_of_an_exported_file_does_the_same(exported: Path, image_folder: Path, tmp_path: Path) -> None:
    damaged = with_nan(exported, tmp_path / "damaged.onnx")
    settings = compose_command(
        "predict", PredictSettings, f"file={damaged}", f"input={image_folder / 'GO'}",
        f"output={tmp_path / 'found.csv'}", f"output_dir={tmp_path}",
    )  # fmt: skip
    counts = predict(settings)
    assert (sum(counts.decided.values()), counts.unread, counts.not_finite) == (0, 0, 40)
    rows = read_predictions(tmp_path / "found.csv")
    assert {(row.probability, row.decision) for row in rows} == {(None, "")}
    assert all(NO_NUMBER in row.error for row in rows)


@pytest.mark.slow
def test_one_image_without_a_number_leaves_the_others_theirs(
    exported: Path, image_folder: Path, tmp_path: Path
) -> None:
    damaged = ExportedModel(nan_where_white(exported, tmp_path / "some.onnx"))
    content(255, tmp_path / "white.png")
    files = [
        *sorted(image_folder.rglob("*.png"))[:5],
        tmp_path / "white.png",
        *sorted(image_folder.rglob("*.png"))[5:9],
    ]
    found, whole = list(damaged.score_files(files)), list(ExportedModel(exported).score_files(files))
    assert [score.path for score in found if score.probability is None] == [tmp_path / "white.png"]
    for one, other in zip(found, whole, strict=True):
        assert one.error if one.path.name == "white.png" else one == other
    with pytest.raises(UserError, match=r"for 1 of 2 images \(image 1, from 0\)"):
        damaged.score([np.zeros((20, 20, 3), np.uint8), np.full((30, 20, 3), 255, np.uint8)])


def test_python_is_told_which_images(overflowing: Path, image_folder: Path) -> None:
    model, path = checkpoints.load(overflowing), sorted(image_folder.rglob("*.png"))[0]
    with pytest.raises(UserError, match=f"for 2 of 2 images \\(image 0, from 0, {path}\\).*damaged"):
        model.predict([np.full((20, 20), 200, np.uint8), path])
    for ask in (model.logits, model.probabilities):
        with pytest.raises(UserError, match=NO_NUMBER):
            ask(torch.full((2, 3, 16, 16), 200, dtype=torch.uint8))


def test_a_model_of_types_gives_none_either(overflowing: Path) -> None:
    one = checkpoints.load(overflowing)

    class Types(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0, 1.0, 2.0], [math.inf, 0.0, 0.0], [0.0, math.nan, 0.0]])[: len(images)]

    model = Model(Types(), one.preprocess, classes=["GO", "a", "b"], go_class="GO", outputs=["GO", "a", "b"])
    assert model.predict(np.zeros((1, 20, 20, 3), np.uint8)).types == ["b"]
    with pytest.raises(UserError, match=r"for 2 of 3 images \(image 1, from 0, image 2, from 0\)"):
        model.predict(np.zeros((3, 20, 20, 3), np.uint8))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_evaluate_scores_none_of_them(
    elsewhere: bool, overflowing: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"data.root={image_folder}"] if elsewhere else []
    settings = compose_command(
        "evaluate", EvaluateSettings, f"run={overflowing}", "device=cpu", f"output_dir={tmp_path}", *given
    )
    found = evaluate_run(settings)
    rows = read_predictions(tmp_path / "predictions.csv")
    assert found.unread == len(rows) > 0  # the command ends with 2
    assert all(NO_NUMBER in row.error and row.decision == "" for row in rows)
    (split,) = found.splits.values()
    assert (split["images"], split["accuracy"]) == (0, None)
    printed = capsys.readouterr().out
    assert f"{NO_NUMBER} for {len(rows)} of {len(rows)} images; they are not scored" in printed
    assert "cannot be read" not in printed


def test_a_training_whose_test_images_give_no_number_says_so_and_keeps_its_curves(
    train_settings: Callable[..., TrainSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = Model._outputs

    def overflows_on_ng_image(model: Model, images: torch.Tensor) -> Any:  # after an epoch's validation, that is
        found = outputs(model, images)
        return found._replace(finite=found.finite & (images.flatten(1).max(1).values.numpy() < 250))

    monkeypatch.setattr(Model, "_outputs", overflows_on_ng_image)
    with pytest.raises(
        UserError, match=r"stated after this training: .* \(NG/.*png.*\)\..*weights have diverged: train"
    ):
        train(train_settings("data.test_fraction=0.2"))
    assert (tmp_path / "run/metrics.csv").is_file()
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()
    assert not (tmp_path / "run/metrics.json").exists()


@pytest.mark.parametrize("damage", [with_nan, nan_where_white])
def test_parity_names_runtime_and_image(
    damage: Callable[[Path, Path], Path],
    exported: Path,
    trained_run: Path,
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "parts"
    shutil.copytree(image_folder / "GO", root)
    content(255, root / "white.png")
    damaged = damage(exported, tmp_path / "damaged.onnx")
    count = len(list(root.iterdir())) if damage is with_nan else 1
    settings = compose_command("parity", ParitySettings, f"file={damaged}", f"run={trained_run}", f"input={root}")
    with pytest.raises(UserError, match=f"no decision on some images.*ONNX Runtime for {count} \\(.*png.* of 41"):
        parity(settings)
    printed = capsys.readouterr().out
    (row,) = [line for line in printed.splitlines() if line.strip(" │").startswith("ONNX Runtime") and "│" in line] or [
        line for line in printed.splitlines() if line.startswith("ONNX Runtime ")
    ][:1]
    assert row.count("not finite") == 3
    assert "decides as the run does" not in printed


def test_parity_of_a_run_without_numbers_is_refused(overflowing: Path, exported: Path, image_folder: Path) -> None:
    settings = compose_command(
        "parity", ParitySettings, f"file={exported}", f"run={overflowing}", f"input={image_folder / 'GO'}"
    )
    with pytest.raises(UserError, match=NO_NUMBER):
        parity(settings)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_export_leaves_an_earlier_file_where_the_run_gives_no_number(
    form: str, overflowing: Path, tmp_path: Path
) -> None:
    path = tmp_path / ("inspector.onnx" if form == "onnx" else "inspector.pt2")
    path.write_bytes(b"the earlier one")
    settings = compose_command(
        "export", ExportSettings, f"run={overflowing}", f"format={form}", f"output={path}", f"output_dir={tmp_path}"
    )
    with pytest.raises(UserError, match=NO_NUMBER):
        export(settings)
    assert path.read_bytes() == b"the earlier one"
    assert list(tmp_path.iterdir()) == [path]


def test_export_leaves_an_earlier_file_where_the_new_one_gives_no_number(
    trained_run: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fancnn.export.export.write", lambda _, __, path, ___: with_nan(exported, path))
    path = tmp_path / "inspector.onnx"
    path.write_bytes(b"the earlier one")
    settings = compose_command(
        "export", ExportSettings, f"run={trained_run}", f"output={path}", f"output_dir={tmp_path}"
    )
    with pytest.raises(UserError, match=f"{NO_NUMBER}: ONNX Runtime for "):
        export(settings)
    assert path.read_bytes() == b"the earlier one"


def test_a_golden_image_without_a_number_is_named(exported: Path, image_folder: Path, tmp_path: Path) -> None:
    golden, rows = tmp_path / "golden", []
    golden.mkdir()
    whole = ExportedModel(exported)
    content(255, tmp_path / "white.png")
    for path in (
        sorted(image_folder.rglob("GO/*.png"))[0],
        sorted(image_folder.rglob("NG/*/*.png"))[0],
        tmp_path / "white.png",
    ):
        shutil.copy(path, golden / f"{path.parent.name}-{path.name}")
        found = whole.score([whole.read(path)])
        name = f"{path.parent.name}-{path.name}"
        rows.append(Prediction(name, float(found.probabilities[0]), decision=found.decisions[0]))
    write_predictions(rows, golden / "predictions.csv")
    assert validate_golden(whole, golden) == 3
    damaged = ExportedModel(nan_where_white(exported, tmp_path / "some.onnx"))
    with pytest.raises(UserError, match=f"1 of 3 golden images: .*white.png: .*{NO_NUMBER}"):
        validate_golden(damaged, golden)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    made: list[TestClient] = []

    def make(path: Path, *overrides: str) -> TestClient:
        settings = compose_command(
            "serve", ServeSettings, f"file={path}", "workers=1", "limits.seconds=600", *overrides
        )
        app = application(ExportedModel(path), settings)
        made.append(TestClient(app, "http://127.0.0.1", raise_server_exceptions=False).__enter__())
        return made[-1]

    yield make
    for one in made:
        one.__exit__(None, None, None)


def test_a_server_of_a_damaged_file_is_never_ready(
    client: Callable[..., TestClient], exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = client(with_nan(exported, tmp_path / "damaged.onnx"))
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert NO_NUMBER in ready.json()["reason"]
    assert "for 2 of 2 images (grey, random)" in ready.json()["reason"]
    answer = server.post("/predict", content=content(40, tmp_path / "dark.png"), headers=PNG)
    assert answer.status_code == 503
    assert NO_NUMBER in answer.json()["reason"]
    assert "fancnn_ready 0" in server.get("/metrics").text
    assert NO_NUMBER in capsys.readouterr().err


@pytest.mark.parametrize("token", ["token=null", "token=secret-word"])
def test_a_number_that_is_missing_once_ends_all_decisions(
    token: str, client: Callable[..., TestClient], exported: Path, tmp_path: Path
) -> None:
    server = client(nan_where_white(exported, tmp_path / "some.onnx"), token)
    asked = {**PNG, "Authorization": "Bearer secret-word"}
    dark, white = content(40, tmp_path / "dark.png"), content(255, tmp_path / "white.png")
    assert server.get("/ready").status_code == 200
    assert server.post("/predict", content=dark, headers=asked).status_code == 200
    files = [("files", ("a.png", dark)), ("files", ("b.png", white)), ("files", ("c.png", dark))]
    answer = server.post("/predict", files=files, headers={"Authorization": "Bearer secret-word"})
    assert answer.status_code == 500  # and none of the three has a decision
    assert set(answer.json()) == {"reason"}
    assert NO_NUMBER in answer.json()["reason"]
    assert "b.png" in answer.json()["reason"]
    after = server.post("/predict", content=dark, headers=asked)
    assert after.status_code == 503
    assert "restart the server" in after.json()["reason"]
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert NO_NUMBER in ready.json()["reason"]
    assert "b.png" not in ready.json()["reason"]  # this address asks for no token
    counts = server.get("/metrics", headers={"Authorization": "Bearer secret-word"}).text
    assert 'fancnn_requests_total{status="500"} 1' in counts
    assert "fancnn_not_finite_total 1" in counts
    assert 'fancnn_images_total{decision="GO"} 1' in counts or 'fancnn_images_total{decision="NG"} 1' in counts


def until(holds: Callable[[], bool]) -> None:
    assert any(holds() for _ in range(100_000))


def test_golden_images_that_pass_do_not_make_it_ready_again(
    client: Callable[..., TestClient],
    exported: Path,
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fancnn.serve.settings.LEAST", 1e-9)  # it would take seconds
    golden, whole = tmp_path / "golden", ExportedModel(exported)
    for path in sorted(image_folder.rglob("*.png")):
        decision = whole.score([whole.read(path)]).decisions[0]
        (golden / decision).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, golden / decision / f"{path.parent.name}-{path.name}")
    server = client(nan_where_white(exported, tmp_path / "some.onnx"), f"golden={golden}", "golden_hours=1e-6")
    until(lambda: server.get("/ready").status_code == 200)  # the golden images were looked at
    assert server.post("/predict", content=content(255, tmp_path / "white.png"), headers=PNG).status_code == 500
    passed = lambda: server.get("/metrics").text.partition('golden_runs_total{result="pass"} ')[2].split()[0]  # noqa: E731
    before = float(passed())
    until(lambda: float(passed()) >= before + 2)  # they pass again
    assert server.get("/ready").status_code == 503


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("command", ["decide", "certify", "report", "evaluate"])
def test_a_table_with_such_a_value_is_refused_by_whatever_reads_it(
    command: str, value: str, trained_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    table = run / "predictions.csv"
    first, second, *others = table.read_text().splitlines()
    cells = second.split(",")
    cells[first.split(",").index("probability")] = value
    table.write_text("\n".join([first, ",".join(cells), *others]) + "\n")
    stories: dict[str, Callable[[], object]] = {
        "decide": lambda: decide(compose_command("decide", DecideSettings, f"run={run}", "decision.rule=f1")),
        "certify": lambda: certify(
            compose_command("certify", CertifySettings, f"table={table}", f"output_dir={tmp_path}")
        ),
        "report": lambda: report(compose_command("report", ReportSettings, f"table={table}", f"output_dir={tmp_path}")),
        "evaluate": lambda: evaluate_table(
            compose_command("evaluate", EvaluateSettings, f"table={table}", f"output_dir={tmp_path}")
        ),
    }
    with pytest.raises(UserError, match=r"line 2: probability='.*' should be a number in \[0, 1\]"):
        stories[command]()
