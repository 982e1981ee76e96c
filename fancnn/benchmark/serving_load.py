"""A server under load: whole processes, real sockets, one image a request."""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from fancnn.benchmark.start_up import PACKAGE_HOME
from fancnn.errors import UserError
from fancnn.system.timing import Result

WARM = 200  # requests that are not counted


def serving_results(exported: Path, images: Sequence[bytes], scratch: Path, requests: int) -> list[Result]:
    """Start to first answer, then latency, rate and memory at one client and at sixteen.

    Args:
        exported: The file that is served.
        images: JPEG files, sent in turn.
        scratch: Where the server runs.
        requests: Of the sixteen together; the one client sends a tenth.

    Raises:
        UserError: If the server does not start, or one request is answered with anything but 200.
    """
    results: list[Result] = []
    with _server(exported, scratch) as (port, started):
        asyncio.run(load(port, images[:1], 1, 1))
        results.append(Result("start to first answer", "s", [time.perf_counter() - started]))
        asyncio.run(load(port, images, WARM, 16))
        before = asyncio.run(resident_megabytes(port))
        for clients, share in ((1, 10), (16, 1)):
            begun = time.perf_counter()
            taken = sorted(asyncio.run(load(port, images, max(requests // share, 100), clients)))
            rate = len(taken) / (time.perf_counter() - begun)
            name = f"{clients} client{'s'[: clients > 1]}, {len(taken):,} requests"
            results.append(Result(f"{name}: rate", "requests/s", [rate]))
            results.append(Result(f"{name}: p50", "ms", [1000 * statistics.median(taken)]))
            results.append(Result(f"{name}: p99", "ms", [1000 * taken[int(0.99 * len(taken))]]))
        after = asyncio.run(resident_megabytes(port))
    return [
        *results,
        Result("memory before", "MB", [before]),
        Result("memory after", "MB", [after], [before], "before"),
    ]


async def load(port: int, images: Sequence[bytes], requests: int, clients: int) -> list[float]:
    """Send `requests` from `clients` that each wait for their answer; seconds of each.

    Raises:
        UserError: If one is not answered with 200.
    """
    taken: list[float] = []
    refused: list[str] = []
    numbers = count()

    async def client() -> None:
        async with _connection(port) as (reader, writer):
            while not refused and (number := next(numbers)) < requests:
                begun = time.perf_counter()
                status, body = await _asked(reader, writer, "POST /predict", images[number % len(images)])
                taken.append(time.perf_counter() - begun)
                if status != 200:
                    text = body[:500].decode(errors="replace")
                    refused.append(f"request {number} was answered {status}: {text}")

    await asyncio.gather(*(client() for _ in range(clients)))
    if refused:
        raise UserError(refused[0])
    return taken


async def resident_megabytes(port: int) -> float:
    """Return the memory that the server says it holds."""
    async with _connection(port) as (reader, writer):
        _, body = await _asked(reader, writer, "GET /metrics", b"")
    (held,) = re.findall(rb"^process_resident_memory_bytes (\S+)$", body, re.MULTILINE)
    return float(held) / 1e6


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str, content: bytes
) -> tuple[int, bytes]:
    """Return one request on a connection that stays; little more than the bytes, so that the server is measured."""
    head = f"{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
    return int(answer.split(b" ", 2)[1]), await reader.readexactly(int(length[1])) if length else b""


@contextmanager
def _server(exported: Path, scratch: Path) -> Iterator[tuple[int, float]]:
    """Start a server and yield its port, and when its command was given; stop it at the end."""
    path = os.pathsep.join([str(PACKAGE_HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "fancnn.serve", f"file={exported.resolve()}", "port=0", "limits.seconds=600"]
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=scratch, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ports = (re.search(r"serving on http://[^ ]*:(\d+)/", line) for line in process.stdout)
        try:
            match = next(filter(None, ports), None)
            if match is None:
                raise UserError(f"the server of {exported} did not start: see above")
            yield int(match[1]), started
        finally:
            process.terminate()
