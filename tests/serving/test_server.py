"""The server as a process, on a computer without torch."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import httpx2
import pytest
import uvicorn
from samples import compose_command

from fancnn.errors import UserError
from fancnn.serving.protocol import BoundedHeaders
from fancnn.serving_settings import ServeSettings
from fancnn.workflows.serving import serve, taken_port

Start = Callable[..., AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]]


def test_requests_under_way_are_finished_when_it_is_told_to_stop(start: Start, pictures: Path, tmp_path: Path) -> None:
    content = next(pictures.rglob("*.png")).read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with start(tmp_path) as (address, process), ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(place(address), timeout=100)) for _ in range(4)]
        for connection in opened:
            connection.sendall(head + content[:100])
        while "fancnn_requests_under_way 4" not in httpx2.get(address + "metrics").text:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        with suppress(ConnectionError):
            while True:  # until no new ones are taken
                socket.create_connection(place(address), timeout=100).close()
        for connection in opened:
            connection.sendall(content[100:])
        answers = [connection.makefile("rb").read() for connection in opened]
        assert process.wait(60) == 0
    assert all(b" 200 OK" in answer and b'"decision"' in answer for answer in answers), answers


def place(address: str) -> tuple[str, int]:
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    return host, int(port)


def talk(address: str, sent: Iterable[bytes]) -> bytes:
    """All that the server answers to these bytes until it closes the connection."""
    answer = b""
    with socket.create_connection(place(address), timeout=100) as connection:
        for part in sent:
            connection.sendall(part)
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_headers_are_bounded_before_they_are_kept(address: str) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    assert b"200 OK" in talk(address, [request, b"X: " + b"a" * 20_000 + b"\r\n\r\n"])
    body = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n"
    assert b"415 " in talk(address, [body + bytes(200_000)]), "a body is none of them"
    assert b"431 " in talk(address, [request, b"X: ", *[b"a" * 50_000] * 20])
    assert b"431 " in talk(address, [request, *[b"X: y\r\n" * 10_000] * 10])
    assert httpx2.get(address + "health").json()["status"] == "ok"


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    for name in ("SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(f"fancnn.serving.protocol.{name}", 0.01)

    async def closed() -> list[bytes]:
        server = uvicorn.Server(uvicorn.Config(app=None, http=BoundedHeaders, lifespan="off", log_config=None))
        server.config.load()
        make = lambda: BoundedHeaders(server.config, server.server_state, {})  # noqa: E731
        listening = await loop.create_server(make, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        answers = []
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: 127", b"\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            answers.append(await reader.read())
            writer.close()
            await writer.wait_closed()
        listening.close()
        while server.server_state.connections:
            await asyncio.sleep(0)
        return answers

    try:
        answers = loop.run_until_complete(closed())
    finally:
        loop.close()
    assert all(b"408 " in answer and b"no request came within 0.01 s" in answer for answer in answers), answers


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
        ("golden=nowhere", "golden=nowhere is no folder. Expected one with GO/ and NG/"),
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
