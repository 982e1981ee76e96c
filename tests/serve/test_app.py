"""What is answered, what is refused, and how it is told."""

import io
import json
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from PIL import Image
from samples import compose_command, save_sealed
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import fancnn
from fancnn.errors import NotFiniteError
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.prior_shift import at_prior
from fancnn.model import Model
from fancnn.serve.app import Routes, server_app
from fancnn.serve.inspector import Inspector, decided_part
from fancnn.serve.request_validation import Refused
from fancnn.serve.serve import application
from fancnn.serve.service import Service
from fancnn.serve.settings import ServeSettings

Make = Callable[..., TestClient]
PNG = {"Content-Type": "image/png"}


def encoded(kind: str = "PNG", size: tuple[int, int] = (20, 24)) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def bomb() -> bytes:
    """The header of a PNG of 2,500 million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(13, header), (0, b"IDAT"), (0, b"IEND")]
    parts = [struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk)) for size, chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_image_is_decided_as_the_checkpoint_decides_it(client: Make, inspector: Model, image_folder: Path) -> None:
    service, files = client(), sorted(image_folder.rglob("*.png"))[::9]
    expected = inspector.predict(files)
    form = [("files", (path.name, path.read_bytes(), "image/png")) for path in files]
    answer = service.post("/predict", files=form).json()
    assert [one["name"] for one in answer["images"]] == [path.name for path in files]
    assert [one["decision"] for one in answer["images"]] == expected.decisions
    assert {one["decision"] for one in answer["images"]} == {"GO", "RECHECK", "NG"}
    found = [one["probability"] for one in answer["images"]]
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-4)
    thresholds = inspector.thresholds
    assert answer["thresholds"] == [thresholds.lower, thresholds.upper]
    for path, chance in zip(files, found, strict=True):
        raw = service.post("/predict", content=path.read_bytes(), headers=PNG).json()
        assert raw["images"][0]["probability"] == pytest.approx(chance, abs=1e-6)
        assert raw["model_sha256"] == answer["model_sha256"] == service.get("/model").json()["sha256"]


def test_where_the_defect_is_comes_with_the_decision_as_the_run_has_it(
    cell_run: Path, cell_exported: Path, image_folder: Path, client: Make
) -> None:
    files = sorted(image_folder.rglob("*.png"))[::9]
    expected = fancnn.load(cell_run).predict(files)
    assert expected.regions is not None
    settings = compose_command("serve", ServeSettings, f"file={cell_exported}", "workers=1", "limits.seconds=600")
    with TestClient(application(ExportedModel(cell_exported), settings), "http://127.0.0.1") as server:
        form = [("files", (path.name, path.read_bytes(), "image/png")) for path in files]
        answers = server.post("/predict", files=form).json()["images"]
        facts = server.get("/model").json()
        document = server.get("/openapi.json").json()["components"]["schemas"]
    assert [len(one["regions"]) for one in answers] == [len(regions) for regions in expected.regions]
    assert {one["decision"] == "GO": one["regions"] == [] for one in answers} == {True: True, False: False}
    for answer, regions in zip(answers, expected.regions, strict=True):
        for found, region in zip(answer["regions"], regions, strict=True):
            assert [found[side] for side in ("left", "top", "right", "bottom")] == list(region.box)
            assert (found["width"], found["height"]) == (region.width, region.height)
            assert [found["x"], found["y"]] == pytest.approx([region.x, region.y], abs=0.11)
            assert found["probability"] == pytest.approx(region.probability, abs=1e-4)
            scaled = {name: pytest.approx(0.1 * found[name]) for name in ("x", "y", "width", "height")}
            assert found["millimetres"] == scaled
    assert (facts["has_cells"], facts["cell_threshold"], facts["mm_per_pixel"]) == (True, 0.9, 0.1)
    assert set(document["Region"]["required"]) >= {"left", "top", "right", "bottom", "probability", "millimetres"}
    (plain,) = client().post("/predict", content=encoded(), headers=PNG).json()["images"]
    assert plain["regions"] is None


def test_images_of_one_part_are_decided_by_the_worst(client: Make, image_folder: Path) -> None:
    service, files = client(), sorted(image_folder.rglob("*.png"))[::9]
    form = [("files", (path.name, path.read_bytes(), "image/png")) for path in files]
    answer = service.post("/predict", params={"part": "A 17/ü"}, files=form).json()
    probabilities = [image["probability"] for image in answer["images"]]
    worst = probabilities.index(max(probabilities))
    assert answer["part"] == {
        "name": "A 17/ü",
        "decision": "NG",
        "probability": max(probabilities),
        "line_probability": answer["images"][worst]["line_probability"],
        "worst": worst,
    }
    good = [entry for entry, image in zip(form, answer["images"], strict=True) if image["decision"] == "GO"]
    assert service.post("/predict?part=B", files=good).json()["part"]["decision"] == "GO"
    (_, (_, content, _)) = form[worst]
    alone = service.post("/predict?part=C", content=content, headers=PNG).json()["part"]
    assert (alone["decision"], alone["worst"]) == ("NG", 0)
    assert service.post("/predict", files=form).json()["part"] is None
    assert [service.get("/model").json()[name] for name in ("part", "part_images")] == [None, None]
    for name in ("", "x" * 201):
        refused = service.post("/predict", params={"part": name}, content=content, headers=PNG)
        assert refused.status_code == 422
        assert refused.json()["reason"].startswith("query.part: String should have at ")


def test_a_part_with_fewer_images_than_in_training_is_not_decided() -> None:
    image: Any = {"decision": "GO", "probability": 0.1, "line_probability": None}
    assert decided_part("A", [image] * 4, 4)["decision"] == "GO"
    with pytest.raises(Refused, match="^3 images of the part: expected 4, as in training$") as refused:
        decided_part("A", [image] * 3, 4)
    assert refused.value.status == 422


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("too many bytes", {"content": bytes(200_001), "headers": PNG}, 413, "more than 200,000 bytes"),
    ("undeclared bytes", {"content": iter([bytes(90_000)] * 3), "headers": PNG}, 413, "more than 200,000 bytes"),
    ("a bomb", {"content": bomb(), "headers": PNG}, 413, "2,500 megapixels: more than"),
    (
        "too many pixels",
        {"content": encoded("BMP", (160, 200)), "headers": PNG},
        413,
        "200x160: 0.032 megapixels, more than 0.03",
    ),
    ("another kind", {"content": encoded("TIFF"), "headers": PNG}, 415, "of a kind not read here (PNG, BMP, JPEG are)"),
    ("no image", {"content": b"/etc/passwd", "headers": PNG}, 415, "not an image"),
    ("half an image", {"content": encoded()[:600], "headers": PNG}, 422, "cut off"),
    ("nothing", {"content": b"", "headers": PNG}, 422, "empty (0 bytes)"),
    ("many scans", {"content": encoded("JPEG")[:-2] + b"\xff\xda\0\2" * 100 + b"\xff\xd9"}, 422, "scans"),
    (
        "another type",
        {"content": b"a=1", "headers": {"Content-Type": "text/plain"}},
        415,
        "expected multipart/form-data",
    ),
    ("a form without files", {"data": {"files": "x"}, "files": {}, "headers": {}}, 415, "x-www-form-urlencoded"),
    ("a damaged form", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
    ("too many files", {"files": [("files", ("a.png", encoded()))] * 4}, 413, "Too many files"),
    (
        "one of two",
        {"files": [("files", ("a.png", encoded())), ("files", ("b.png", b"x"))]},
        415,
        "b.png: not an image",
    ),
    (
        "too many pixels together",
        {"files": [("files", ("a.png", encoded(size=(150, 150))))] * 2},
        413,
        "2 images of 45,000 pixels together; at most 40,000",
    ),
    ("no number", {"params": {"heatmap": "maybe"}, "content": encoded()}, 422, "query.heatmap"),
]


@pytest.mark.parametrize(("request_", "status", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_not_taken_is_refused_with_a_reason(
    client: Make, request_: dict[str, Any], status: int, text: str
) -> None:
    limits = ["limits.megabytes=0.2", "image_limits.megapixels=0.03", "limits.files=3", "limits.formats=[PNG,BMP,JPEG]"]
    service = client(*limits, "limits.request_megapixels=0.04")
    answer = service.post("/predict", **request_)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"reason"}
    assert text in answer.json()["reason"]
    assert 'images_total{decision="GO"} 0' in service.get("/metrics").text, "nothing of it was decided"
    assert service.post("/predict", content=encoded(), headers=PNG).status_code == 200, "and it goes on"


def test_a_name_is_told_back_and_never_opened(client: Make, image_folder: Path) -> None:
    path = str(next(image_folder.rglob("*.png")))
    service = client()
    assert service.post("/predict", files={"files": (path, b"no image")}).status_code == 415
    assert service.post("/predict", files={"files": (path, encoded())}).json()["images"][0]["name"] == path


def test_addresses_that_are_not_there_are_json_too(client: Make) -> None:
    service = client()
    for answer, status in ((service.get("/../etc/passwd"), 404), (service.get("/predict"), 405)):
        assert (answer.status_code, set(answer.json())) == (status, {"reason"})


def test_monitors_may_ask_without_wanting_a_body(client: Make) -> None:
    service = client()
    assert [service.head(address).status_code for address in ("/", "/health", "/ready", "/nowhere")] == [200] * 3 + [
        404
    ]


def test_a_token_opens_what_decides_and_tells(client: Make) -> None:
    service = client("token=correct-horse")
    right = {"Authorization": "Bearer correct-horse"}
    for wrong in ({}, {"Authorization": "Bearer correct-horsf"}, {"Authorization": "Basic correct-horse"}):
        assert service.post("/predict", content=encoded(), headers=wrong).status_code == 401
        assert "token" in service.get("/model", headers=wrong).json()["reason"]
        assert service.get("/metrics", headers=wrong).status_code == 401
    assert service.post("/predict", content=encoded(), headers=right).status_code == 200
    assert service.get("/model", headers=right).status_code == 200
    assert [service.get(open_).status_code for open_ in ("/", "/health", "/ready", "/openapi.json")] == [200] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("called", "status"),
    [
        *((name, 200) for name in ("127.0.0.1:8000", "localhost:9000", "[::1]:8000", "LOCALHOST")),
        *((name, 421) for name in ("evil.example:8000", "127.0.0.1.evil.example", "192.168.0.7")),
        *((name, 421) for name in ("[::1", "evil@127.0.0.1", "127.0.0.1:99999999", "evil.example#@localhost", "")),
    ],
)
def test_a_page_from_elsewhere_cannot_take_the_name_of_a_server_without_a_token(
    client: Make, called: str, status: int
) -> None:
    local, guarded, open_ = client(), client("token=correct-horse"), client("host=0.0.0.0")
    answer = local.get("/model", headers={"Host": called})
    assert answer.status_code == status
    assert status == 200 or "it answers only to localhost" in answer.json()["reason"]
    assert open_.get("/model", headers={"Host": called}).status_code == 200
    assert guarded.get("/health", headers={"Host": called}).status_code == 200


class Held:
    """An inspector whose work ends when it is let go."""

    def __init__(self, model: ExportedModel) -> None:
        self.inner = Inspector(model, ("PNG",), 1)
        self.model, self.formats, self.most_of_request = model, ("PNG",), 1e6
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.only_heatmaps = False

    def answer(self, files: Any, heatmap: bool, until: float) -> Any:
        if heatmap or not self.only_heatmaps:
            self.begun.release()
            self.go.wait(60)
        return self.inner.answer(files, heatmap, until)


@pytest.fixture
def held(reader: ExportedModel) -> Iterator[Held]:
    inspector = Held(reader)
    yield inspector
    inspector.go.set()


def held_client(held: Held, **limits: Any) -> TestClient:
    service = Service(held, workers=2, **limits)  # type: ignore[arg-type]
    return TestClient(server_app(Routes(service, 10**6, 3)), raise_server_exceptions=False)


def test_a_full_queue_answers_busy_and_is_empty_again_after(held: Held) -> None:
    answers: list[int] = []
    with held_client(held, queue=2, seconds=600) as client:
        ask = lambda: answers.append(client.post("/predict", content=encoded(), headers=PNG).status_code)  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
            held.begun.acquire()
        busy = client.post("/predict", content=encoded(), headers=PNG)
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
        assert "busy: 2 requests" in busy.json()["reason"]
        assert "fancnn_requests_under_way 2" in client.get("/metrics").text
        held.go.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200]
        assert client.post("/predict", content=encoded(), headers=PNG).status_code == 200


def test_heat_maps_take_many_places_and_never_all_that_decide(held: Held) -> None:
    held.only_heatmaps = True
    answers: list[int] = []
    with held_client(held, queue=24, seconds=600) as client:
        heated = lambda: client.post("/predict?heatmap=1", content=encoded(), headers=PNG)  # noqa: E731
        threads = [threading.Thread(target=lambda: answers.append(heated().status_code)) for _ in range(2)]
        for thread in threads:
            thread.start()
        held.begun.acquire()  # of the two threads that decide, heat maps have one
        while "fancnn_requests_under_way 2" not in client.get("/metrics").text:
            pass
        assert client.post("/predict", content=encoded(), headers=PNG).status_code == 200
        held.go.set()
        for thread in threads:
            thread.join()
        assert answers == [200, 200]


def test_what_takes_too_long_is_given_up_and_keeps_its_place_until_it_ends(held: Held) -> None:
    with held_client(held, queue=1, seconds=0.2) as client:
        late = client.post("/predict", content=encoded(), headers=PNG)
        assert late.status_code == 503
        assert "within 0.2 s" in late.json()["reason"]
        assert "busy" in client.post("/predict", content=encoded(), headers=PNG).json()["reason"]
        held.go.set()


def test_a_fault_of_ours_is_told_without_a_traceback(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    service = client()
    monkeypatch.setattr(Inspector, "answer", lambda *arguments: 1 / 0)
    answer = service.post("/predict", content=encoded(), headers=PNG)
    assert answer.status_code == 500
    assert answer.json() == {"reason": "a fault inside the server, not in the request; its log says more"}
    assert 'requests_total{status="500"} 1' in service.get("/metrics").text


def test_what_is_printed_of_a_fault_has_no_line_of_the_clients(
    client: Make, reader: ExportedModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: Any) -> Any:
        raise NotFiniteError(["a\x1b[2J.png\nall is well"], 1)

    service = client()
    monkeypatch.setattr(Inspector, "answer", broken)
    assert service.post("/predict", content=encoded(), headers=PNG).status_code == 500
    (line,) = capsys.readouterr().err.splitlines()
    assert r"(a\x1b[2J.png\nall is well)" in line


def test_metrics_count_requests_and_decisions(client: Make) -> None:
    service = client()
    decisions = [service.post("/predict", content=encoded(), headers=PNG).json()["images"][0]["decision"]] * 2
    service.post("/predict", content=encoded(), headers=PNG)
    service.post("/predict", content=b"x", headers=PNG)
    lines = dict(line.rsplit(" ", 1) for line in service.get("/metrics").text.splitlines() if line[0] != "#")
    assert float(lines[f'fancnn_images_total{{decision="{decisions[0]}"}}']) == 2
    answered = [float(lines[f'fancnn_requests_total{{status="{status}"}}']) for status in (200, 415)]
    assert answered == [2, 1]
    assert lines['fancnn_request_seconds_bucket{le="+Inf"}'] == lines["fancnn_request_seconds_count"] == "3.0"
    assert float(lines["process_resident_memory_bytes"]) > 10**6
    assert not [name for name in lines if "_created" in name]


def test_requests_made_up_from_the_document_are_answered_as_it_says(client: Make) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", client("host=0.0.0.0").app)
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def answered(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=checks)

        answered()


@pytest.mark.parametrize(("own", "line"), [(0.46, 0.02), (None, 0.02), (0.46, None), (None, None)])
def test_a_probability_for_the_line_is_there_where_the_file_knows_both_mixes(
    own: float | None, line: float | None, exported: Path, tmp_path: Path
) -> None:
    proto = onnx.load(exported)
    facts = json.loads(proto.metadata_props[0].value)
    facts["calibration"]["ng_rate"], facts["line"]["ng_rate"] = own, line
    if own is None:
        del facts["calibration"]["ng_rate"]  # as in files of before
    proto.metadata_props[0].value = json.dumps(facts)
    save_sealed(proto, tmp_path / "line.onnx")
    model = ExportedModel(tmp_path / "line.onnx")
    settings = compose_command("serve", ServeSettings, f"file={model.path}", "workers=1", "limits.seconds=600")
    with TestClient(application(model, settings), "http://127.0.0.1") as server:
        (found,) = server.post("/predict", content=encoded(), headers=PNG).json()["images"]
        known = server.get("/model").json()
    assert (known["calibration_ng_rate"], known["line_ng_rate"]) == (own, line)
    if own is None or line is None:
        assert found["line_probability"] is None
    else:
        assert found["line_probability"] == pytest.approx(float(at_prior(found["probability"], own, line)))
        assert found["decision"] == model.thresholds.decide(found["probability"])
