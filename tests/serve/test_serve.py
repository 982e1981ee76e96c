"""The server as a process, on a computer without torch."""

import asyncio
import select
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
import uvloop
from samples import compose_command

from fancnn.errors import UserError
from fancnn.serve.connections import Connections
from fancnn.serve.http_protocol import BoundedConnection
from fancnn.serve.serve import serve, taken_port
from fancnn.serve.settings import ServeSettings

Start = Callable[..., AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]]


@pytest.mark.slow
def test_requests_under_way_are_finished_when_it_is_told_to_stop(
    start: Start, image_folder: Path, tmp_path: Path
) -> None:
    content = next(image_folder.rglob("*.png")).read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with start(tmp_path) as (address, process), ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(place(address), timeout=100)) for _ in range(4)]
        for connection in opened:
            connection.sendall(head + content[:100])
        while "fancnn_requests_under_way 4" not in httpx2.get(address + "metrics").text:
            assert process.poll() is None
        for _ in range(20):
            assert b" 400 " in talk(address, [b"\x16\x03\x01"])
        process.send_signal(signal.SIGTERM)
        with suppress(ConnectionError):
            while True:  # until no new ones are taken
                socket.create_connection(place(address), timeout=100).close()
        for connection in opened:
            connection.sendall(content[100:])
        answers = [connection.makefile("rb").read() for connection in opened]
        assert process.stdout is not None
        printed = process.stdout.read()
        assert process.wait(60) == 0
    assert printed.count("Invalid HTTP request") == 1, "no client fills a log"
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


@asynccontextmanager
async def listening(connections: Connections, app: Any = None) -> AsyncIterator[int]:
    """A port on which `BoundedConnection` is spoken, in this process and on uvicorn's loop."""
    server = uvicorn.Server(uvicorn.Config(app=app, lifespan="off", log_config=None))
    server.config.load()
    make = lambda: BoundedConnection(server.config, server.server_state, {}, connections=connections)  # noqa: E731
    found = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    yield found.sockets[0].getsockname()[1]
    found.close()
    while server.server_state.connections or server.server_state.tasks:
        await asyncio.sleep(0)
    assert len(connections) == 0, "those that are closed are forgotten"


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(f"fancnn.serve.http_protocol.{name}", 0.01)

    async def closed() -> list[bytes]:
        answers = []
        async with listening(Connections(8)) as port:
            for sent in (b"", b"GET / HTTP/1.1\r\nHost: 127", b"\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                answers.append(await reader.read())
                writer.close()
                await writer.wait_closed()
        return answers

    answers = uvloop.run(closed())
    assert all(b"408 " in answer and b"no request came within 0.01 s" in answer for answer in answers), answers


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"


class Echo:
    """An application that answers when the body is there, and says when it waits for it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.set()
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.request":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})


def test_idle_connections_give_way_and_those_at_work_do_not() -> None:
    async def crowded() -> tuple[list[bytes], bytes, bytes]:
        echo = Echo()
        async with listening(Connections(8), echo) as port, AsyncExitStack() as stack:

            async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
                return reader, writer

            busy, sending = await opened()
            sending.write(HALF)
            await echo.begun.wait()
            idle = [await opened() for _ in range(20)]
            last, asking = await opened()
            asking.write(GET)
            answer = await last.readuntil(b"ok")
            sending.write(b"y")
            dropped = [await reader.read() for reader, _ in idle[:18]]
            return dropped, answer, await busy.readuntil(b"ok")

    dropped, answer, busy = uvloop.run(crowded())
    assert dropped == [b""] * 18, "half of eight are of one client: one at work, the last, and two idle ones"
    assert all(found.startswith(b"HTTP/1.1 200 OK") for found in (answer, busy))


def test_where_all_are_at_work_a_new_connection_is_told_so() -> None:
    async def full() -> bytes:
        echo = Echo()
        async with listening(Connections(2), echo) as port, AsyncExitStack() as stack:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
                writer.write(HALF)
                await echo.begun.wait()
            return await reader.read()

    answer = uvloop.run(full())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too many connections are open" in answer


def test_a_client_that_does_not_take_its_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fancnn.serve.http_protocol.SECONDS", 0.01)

    async def large(scope: Any, receive: Any, send: Any) -> None:
        size = 50_000_000  # more than the system holds for a connection
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def dropped() -> None:
        async with listening(Connections(8), large) as port:  # which ends when no connection is open
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(GET)
        connection.close()

    uvloop.run(dropped())


@pytest.mark.parametrize("last", [b"1;" + b"a" * 200_000, b"0\r\n" + b"X: y\r\n" * 20_000])
def test_what_comes_with_a_body_and_is_none_of_it_is_bounded(last: bytes, address: str) -> None:
    """Extensions of chunks are passed over and headers behind them kept, as many as there are."""
    chunked = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    with suppress(ConnectionError):
        assert talk(address, [chunked, last]) == b""
    assert httpx2.get(address + "health").json()["status"] == "ok"


def test_slow_bodies_hold_no_places_whatever_address_they_claim(address: str, encoded_image: bytes) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\nX-Forwarded-For: 10.0.0.%d\r\n\r\nx"
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(place(address), timeout=100)) for _ in range(40)]
        for number, connection in enumerate(slow):
            connection.sendall(head % number)
        assert httpx2.post(address + "predict", content=encoded_image).status_code == 200
        answered: list[socket.socket] = []
        while len(answered) < 8:  # one client has 32 places, and no proxy speaks for others
            answered, _, _ = select.select(slow, [], [], 100)
        assert {connection.recv(12) for connection in answered} == {b"HTTP/1.1 503"}


def test_a_refused_body_is_passed_over_and_the_next_request_is_answered(address: str) -> None:
    refused = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 300000\r\n\r\n"
    asked = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    answer = talk(address, [refused, bytes(300_000), asked])
    assert answer.count(b"HTTP/1.1 ") == 2
    assert (answer[:12], b'"status":"ok"' in answer) == (b"HTTP/1.1 404", True)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
        b"Content-Length: 99999999999999999999999",
        b"Transfer-Encoding: xchunked",
        b"X: \x1b[31m",
    ],
)
def test_a_request_that_two_readers_could_read_differently_is_refused(lines: bytes, address: str) -> None:
    answer = talk(address, [b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + b"\r\n\r\n" + GET])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Invalid HTTP request" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


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
        ("limits.per_client=0", "limits.per_client=0 should be 1 or more"),
        ("proxy=nginx", "proxy=nginx should be an address such as 127.0.0.1"),
        ("limits.seconds=-1", "limits.seconds=-1.0 should be a number above 0"),
        ("limits.formats=[EPS]", "limits.formats: 'EPS' is none of JPEG, PNG"),
        ("golden=nowhere", "golden='nowhere' is no folder. Expected one with known images"),
        ("file=nowhere.onnx", "nowhere.onnx does not exist"),
    ],
)
def test_a_mistake_is_told_before_a_port_is_taken(mistake: str, text: str, exported: Path) -> None:
    with pytest.raises(UserError, match=text):
        serve(compose_command("serve", ServeSettings, f"file={exported}", mistake))


def test_the_token_comes_from_the_environment(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line other users of the computer could read it."""
    monkeypatch.setenv("FANCNN_TOKEN", "from-the-environment")
    assert compose_command("serve", ServeSettings, f"file={exported}").token == "from-the-environment"
