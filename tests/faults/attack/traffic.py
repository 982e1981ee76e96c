"""Hostile requests to a real server, with good ones between, which must all be answered right.

Each request is a connection: bytes that a seed makes, then whatever comes back until the server hangs up.
"""

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from faults.attack import corpus
from faults.attack.kills import Bench
from faults.attack.outcomes import Journal, Outcome
from samples import process_environment

TOGETHER, EACH = 24, 1000  # connections at once; requests of one line of the journal
MEGABYTES, DESCRIPTORS = 100, 8  # that a server may have gained after all of it
SECONDS = 60.0  # for an answer
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
KINDS = (
    *("good", "good", "good form", "cut", "length", "chunks", "headers", "pipeline", "garbage", "form", "cut form"),
    *("image", "image", "method", "path", "smuggled", "slow", "type", "nothing"),
)
UNFINISHED = ("cut", "length", "chunks", "nothing", "garbage", "smuggled", "method")


@dataclass
class Found:
    """What came back: statuses by kind of request, and what was wrong."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Good:
    """Files of images and the decisions on them."""

    decisions: Mapping[bytes, str]

    def one(self, seeded: random.Random) -> bytes:
        return seeded.choice(list(self.decisions))


def request(kind: str, good: Good, seeded: random.Random) -> tuple[list[bytes], bytes | None]:
    """Make the bytes of a request, in the pieces that they are sent in; and the file whose decision must come back."""
    content = good.one(seeded)
    if kind == "good":
        return [posted(content)], content
    if kind == "good form":
        body, edge = form([("part.png", content)], seeded)
        return [posted(body, f"multipart/form-data; boundary={edge}")], content
    if kind == "cut":
        whole = posted(content)
        return [whole[: seeded.randrange(len(whole))]], None
    if kind == "length":
        said = seeded.choice(
            (
                str(len(content) - 5),
                "-1",
                "abc",
                "9" * 30,
                "1e3",
                "+7",
                f"{len(content)}, {len(content)}",
                "0",
                "\u0664",
            )
        )
        return [posted(content, length=said)], None
    if kind == "chunks":
        sizes = (
            b"5\r\nhello\r\n0\r\n\r\n",
            b"xyz\r\n",
            b"ffffffffffffffff\r\na",
            b"-5\r\n",
            b"5;a=" + b"b" * 70_000 + b"\r\n",
        )
        chunked = head("POST", "/predict", {"Transfer-Encoding": "chunked", "Content-Type": "image/png"})
        return [chunked + seeded.choice((*sizes, b"%x\r\n" % len(content) + content, seeded.randbytes(300)))], None
    if kind == "headers":
        many = {f"X-{number}": "y" * seeded.choice((1, 500)) for number in range(seeded.choice((50, 3000)))}
        return [head("GET", "/health", seeded.choice((many, {"X": "a" * 200_000}, {"X\0": "\r"})))], None
    if kind == "pipeline":
        ask = head("GET", "/health", {}, close=False)
        return [ask * seeded.randint(2, 30) + posted(content)], None
    if kind == "garbage":
        return [
            seeded.choice(
                (seeded.randbytes(500), b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", b"GET /\r\n\r\n", b"\r\n" * 3000)
            )
        ], None
    if kind in ("form", "cut form"):
        body, edge = form([(seeded.choice(corpus.NAMES), content)] * seeded.choice((1, 2, 40)), seeded)
        body = corpus.truncated(body, seeded) if kind == "cut form" else corpus.flipped(body, seeded)
        edge = seeded.choice((edge, edge, edge, "", "other", "\u00e9"))
        return [posted(body, f"multipart/form-data; boundary={edge}")], None
    if kind == "image":
        made = seeded.choice(corpus.CHANGES)(corpus.image(seeded.choice(list(corpus.KINDS)), seeded), seeded)
        return [posted(made, seeded.choice(("image/png", "application/octet-stream")))], None
    if kind == "method":
        verb = seeded.choice(
            ("HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH", "BREW", "GET\0", "\u00e9")
        )
        return [head(verb, seeded.choice(("/predict", "/", "/metrics")), {})], None
    if kind == "path":
        paths = (
            "/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/%00",
            "/" + "a" * 9000,
            "/predict?heatmap=" + "9" * 300,
        )
        return [
            head(
                "GET",
                seeded.choice((*paths, "*", "//evil/", "/page.js/../..", "/?" + "a=b&" * 3000, "http://evil/")),
                {},
            )
        ], None
    if kind == "smuggled":
        both = {"Content-Length": "4", "Transfer-Encoding": "chunked"}
        return [head("POST", "/predict", both) + b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: evil\r\n\r\n"], None
    if kind == "slow":
        whole = posted(content)
        return [whole[place : place + 400] for place in range(0, min(len(whole), 2000), 400)], None
    if kind == "type":
        strange = (
            "text/html",
            "image/",
            "multipart/form-data",
            "multipart/form-data; boundary=" + "x" * 5000,
            "\u0130",
            "a" * 9000,
        )
        return [posted(content, seeded.choice(strange))], None
    return [b""], None


def head(verb: str, path: str, headers: Mapping[str, str], *, close: bool = True) -> bytes:
    lines = [f"{verb} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join([*lines, *(["Connection: close"] if close else [])]) + "\r\n\r\n").encode()


def posted(body: bytes, kind: str = "image/png", length: str | None = None) -> bytes:
    said = str(len(body)) if length is None else length
    return head("POST", "/predict", {"Content-Type": kind, "Content-Length": said}) + body


def form(files: list[tuple[str, bytes]], seeded: random.Random) -> tuple[bytes, str]:
    edge = f"edge{seeded.randrange(10**9)}"
    body = b""
    for name, content in files:
        said = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        body += said.encode("utf-8", "surrogateescape") + b"Content-Type: image/png\r\n\r\n" + content + b"\r\n"
    return body + f"--{edge}--\r\n".encode(), edge


async def send(host: str, port: int, kind: str, good: Good, seeded: random.Random, found: Found) -> None:
    """Send one request and take note of what comes back."""
    pieces, expected = request(kind, good, seeded)
    answer = b""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(SECONDS):
            with suppress(OSError):  # it may have hung up
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    if len(pieces) > 1:
                        await asyncio.sleep(0.01)
                if kind in UNFINISHED:  # else the server would wait for the rest until its own limit
                    writer.write_eof()
                while part := await reader.read(65_536):
                    answer += part
    except TimeoutError:
        found.wrong.append(f"{kind}: no end of the answer within {SECONDS:g} s")
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    statuses = [int(code) for code in STATUS.findall(answer)]
    found.statuses.update(f"{status}" for status in statuses or ("hung up",))
    if any(status >= 500 and status != 503 for status in statuses):
        found.wrong.append(f"{kind}: {answer[:300]!r} to {b''.join(pieces)[:200]!r}")
    if expected is not None and decision_in(answer) != good.decisions[expected]:
        found.wrong.append(f"{kind}: a good request is answered {answer[:400]!r}")


def decision_in(answer: bytes) -> str | None:
    try:
        return str(json.loads(answer.partition(b"\r\n\r\n")[2])["images"][0]["decision"])
    except (ValueError, LookupError, TypeError):
        return None


async def batch(host: str, port: int, good: Good, numbers: range, seed: int) -> Found:
    """Send the requests of these numbers, some at once."""
    found, places = Found(), asyncio.Semaphore(TOGETHER)

    async def one(number: int) -> None:
        seeded = random.Random(f"{seed} {number}")
        async with places:
            await send(host, port, seeded.choice(KINDS), good, seeded, found)

    await asyncio.gather(*(one(number) for number in numbers))
    return found


def known(model: Path, images: Path) -> Good:
    """Return images and the decisions that the exported file gives on them in this process."""
    from fancnn.inference.exported_model import ExportedModel

    reader = ExportedModel(model)
    files = sorted(images.rglob("*.png"))[::3]
    decisions = [reader.score([reader.read(path)]).decisions[0] for path in files]
    return Good({path.read_bytes(): decision for path, decision in zip(files, decisions, strict=True)})


def attack(folder: Path, count: int, seed: int, journal: Journal) -> Iterator[Outcome]:
    """Start a server, send what the journal has not, and yield what comes back."""
    bench = Bench(folder.parent / "bench")
    if not (bench.folder / "template/done").is_file():
        from faults.attack import forks

        forks.prepare()
        bench.made()
    model = bench.folder / "template/line/inspector.onnx"
    good = known(model, bench.images)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fancnn.serve", f"file={model}", "port=0", "limits.seconds=30"]
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(
            command, env=process_environment(), text=True, stdout=subprocess.PIPE, stderr=log, cwd=folder
        ) as server,
    ):
        assert server.stdout is not None
        try:
            line = next(line for line in server.stdout if "serving on " in line)
            host, port = line.split()[-1].removeprefix("http://").rstrip("/").split(":")
            asyncio.run(batch(host, int(port), good, range(300), -1))  # what a server takes once
            before = memory_of(server.pid), descriptors_of(server.pid)
            for start in range(0, count, EACH):
                name = f"requests {start} to {min(start + EACH, count) - 1}, seed {seed}"
                if not journal.has("requests", name):
                    yield from outcomes(host, int(port), good, range(start, min(start + EACH, count)), seed, name)
            after = memory_of(server.pid), descriptors_of(server.pid)
            again = f"python tests/faults/attack parts=requests requests={count} seed={seed}"
            bounds = (("megabytes", MEGABYTES), ("descriptors", DESCRIPTORS))
            for (what, most), was, now in zip(bounds, before, after, strict=True):
                text = f"{was:.0f} before, {now:.0f} after"
                yield Outcome("requests", what, f"{what} of {count}, seed {seed}", text, now - was <= most, again)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def outcomes(host: str, port: int, good: Good, numbers: range, seed: int, name: str) -> Iterator[Outcome]:
    found = asyncio.run(batch(host, port, good, numbers, seed))
    again = f"python tests/faults/attack parts=requests requests={numbers.stop} seed={seed}"
    for status, count in found.statuses.items():
        yield Outcome("requests", "answers", f"{name}: {status}", status, True, tries=count)
    for place, wrong in enumerate(found.wrong):
        yield Outcome("requests", "answers", f"{name}: wrong {place}", wrong.partition(":")[0], False, again, wrong)
    yield Outcome("requests", "batches", name, f"of {EACH:,} sent", True)


def memory_of(pid: int) -> float:
    """Megabytes that a process has resident."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def descriptors_of(pid: int) -> float:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
