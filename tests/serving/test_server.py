"""The server as a process, on a computer without torch."""

import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest
from samples import compose_command

from fancnn.errors import UserError
from fancnn.serving_settings import ServeSettings
from fancnn.workflows.serving import serve, taken_port

Start = Callable[..., AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]]


def test_requests_under_way_are_finished_when_it_is_told_to_stop(start: Start, pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.rglob("*.png"))[::9]
    forms = [("files", (path.name, path.read_bytes(), "image/png")) for path in files]
    statuses: list[int] = []
    with start(tmp_path) as (address, process), httpx2.Client(base_url=address, timeout=100) as client:
        assert client.get("/health").json()["status"] == "ok"

        def ask() -> None:
            statuses.append(client.post("/predict?heatmap=1", files=forms).status_code)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        while "fancnn_requests_under_way 4" not in client.get("/metrics").text:
            assert not statuses, "all are still under way"
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(60) == 0
    assert statuses == [200] * 4


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with taken_port("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on host=127.0.0.1 port={port}: .*port=0 for any"):
            taken_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("port=70000", "port=70000 should be from 1 to 65535"),
        ("token=short", "token should have 8 letters or more"),
        ("golden_hours=0", "golden_hours=0.0 should be a number above 0"),
        ("workers=0", "workers=0 should be 1 or more"),
        ("limits.queue=0", "limits.queue=0 should be 1 or more"),
        ("limits.seconds=-1", "limits.seconds=-1.0 should be a number above 0"),
        ("limits.formats=[EPS]", "limits.formats=.'EPS'. should name some of JPEG, PNG"),
        ("model_file=nowhere.onnx", "nowhere.onnx does not exist"),
    ],
)
def test_a_mistake_is_told_before_a_port_is_taken(mistake: str, text: str, exported: Path) -> None:
    settings = compose_command("serve", ServeSettings, f"model_file={exported}", mistake)
    with pytest.raises(UserError, match=text):
        serve(settings)


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line other users of the computer could read it."""
    monkeypatch.setenv("FANCNN_TOKEN", "from-the-environment")
    assert compose_command("serve", ServeSettings, "model_file=x").token == "from-the-environment"
