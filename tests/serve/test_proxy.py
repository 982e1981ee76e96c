"""The reverse proxy that should stand in front on an open network, with the configuration that is beside this file."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light")
CONFIGURATION = Path(__file__).with_name("nginx.conf")
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

Start = Callable[..., AbstractContextManager[tuple[str, "subprocess.Popen[str]"]]]


@contextmanager
def proxied(address: str, folder: Path) -> Iterator[Path]:
    """The socket on which nginx listens in front of a server: the configuration as it is, but for the places."""
    listening = folder / "nginx"  # the path of a socket has at most some 100 letters
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in KINDS)
    text = CONFIGURATION.read_text()
    for was, becomes in (
        ("http://127.0.0.1:8000", address.rstrip("/")),
        ("listen 80;", f"listen unix:{listening};"),
        ("http {\n", "http {\n" + temporary),
    ):
        assert text.count(was) == 1
        text = text.replace(was, becomes)
    (folder / "nginx.conf").write_text(text)
    here = f"daemon off; pid {folder}/pid; error_log stderr;" + (" user root;" if os.geteuid() == 0 else "")
    command = [str(NGINX), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", here]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not listening.exists():
                assert process.poll() is None, process.communicate()[1]
            yield listening
        finally:
            process.terminate()


@pytest.mark.slow
def test_through_nginx_parts_are_decided_and_slow_or_idle_clients_hold_nothing(
    start: Start, encoded_image: bytes, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("n")
    with (
        start(tmp_path, "proxy=127.0.0.1", "limits.queue=2", "limits.per_client=1", "token=correct-horse") as (
            address,
            _,
        ),
        proxied(address, folder) as listening,
        ExitStack() as stack,
        httpx2.Client(transport=httpx2.HTTPTransport(uds=str(listening)), base_url="http://line.example") as client,
    ):
        headers = {"Authorization": "Bearer correct-horse", "Content-Type": "image/png"}

        def opened() -> socket.socket:
            found = stack.enter_context(socket.socket(socket.AF_UNIX))
            found.connect(str(listening))
            return found

        idle = [opened() for _ in range(200)]
        slow = [opened() for _ in range(20)]
        for connection in slow:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
        answer = client.post("/predict", content=encoded_image, headers=headers)
        assert (answer.status_code, len(answer.json()["images"])) == (200, 1)
        assert "fancnn_requests_under_way 0" in client.get("/metrics", headers=headers).text
        assert client.post("/predict", content=encoded_image).status_code == 401
        assert client.post("/predict", content=bytes(20_000_001), headers=headers).status_code == 413
        assert client.get("/ready").json()["status"] == "ready"
        assert len(idle) == 200
        _the_address_that_the_proxy_names_is_the_client(address, headers, encoded_image)


def _the_address_that_the_proxy_names_is_the_client(address: str, headers: dict[str, str], image: bytes) -> None:
    """One place for each client: a body that is still being read gives way to the same client, and to no other."""
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=100) as sending:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: {len(image)}\r\n"
        sending.sendall(f"{head}Connection: close\r\n{lines}\r\n".encode() + image[:100])
        while "fancnn_requests_under_way 1" not in httpx2.get(f"{address}metrics", headers=headers).text:
            pass
        other = {**headers, "X-Forwarded-For": "10.0.0.2"}
        assert httpx2.post(f"{address}predict", content=image, headers=other).status_code == 200
        sending.sendall(image[100:])
        assert sending.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
