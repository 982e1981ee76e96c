"""The short form of `python tests/faults/attack`, which is the long one: the same tries, a few of each."""

import asyncio
import random
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from faults.attack import corpus, fuzz, traffic
from faults.attack.outcomes import Journal, Outcome, table
from samples import compose_command, process_environment

from fancnn.errors import UserError
from fancnn.inference.exported_model import ExportedModel
from fancnn.serve.connections import Connections
from fancnn.serve.http_protocol import BoundedConnection
from fancnn.serve.serve import application
from fancnn.serve.settings import ServeSettings

ATTACK = Path(__file__).parent / "attack"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, trained_run: Path, exported: Path, image_folder: Path) -> Path:
    """What the attack begins with, made of the finished run of all tests."""
    folder = tmp_path_factory.mktemp("attack")
    shutil.copytree(trained_run, folder / "bench/template/runs/a")
    (folder / "bench/template/line").mkdir()
    shutil.copyfile(exported, folder / "bench/template/line/inspector.onnx")
    (folder / "bench/images").symlink_to(image_folder)
    (folder / "bench/template/done").touch()
    return folder


@pytest.mark.slow
def test_what_is_killed_or_loses_its_power_has_lost_nothing(bench: Path) -> None:
    """In a process of its own, since each try is a fork of it."""
    commands = "decide,certify store=true,predict model"
    writers = "a table,checkpoints,an exported pair,the ledger of looks,decoded images"
    options = ["parts=writers,kills", f"only={commands},{writers}", "writers=40", "kills=9", f"output={bench}"]
    command = [sys.executable, str(ATTACK), *options]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, env=process_environment(), timeout=300
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "49 tries, 0 did not end as they should" in answer.stdout


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_a_hostile_file_is_read_or_refused_in_words(target: str, bench: Path, exported: Path) -> None:
    run = bench / "bench/template/runs/a"
    checkpoint, metrics = (run / name for name in ("checkpoints/best.ckpt", "metrics.json"))
    changes = [change for change in corpus.CHANGES if change is not corpus.bomb]  # decoding one takes seconds
    read = fuzz.readers()[target]
    for number in range(12):
        seeded = random.Random(f"{target} {number}")
        if target == "images":
            content = changes[number % len(changes)](corpus.image(seeded.choice(list(corpus.KINDS)), seeded), seeded)
        elif target == "tables":
            content = corpus.hostile_table(seeded)
        elif target == "checkpoints":
            content = corpus.hostile_archive(checkpoint.read_bytes(), seeded)
        else:
            whole = metrics.read_bytes() if target == "metrics" else fuzz.exported_text(exported)
            content = corpus.hostile_json(whole, seeded)
        assert fuzz.checked(read, content) is None, f"{target} {number}"


def test_hostile_requests_are_refused_and_good_ones_between_them_answered(exported: Path, image_folder: Path) -> None:
    good = traffic.known(exported, image_folder)
    settings = compose_command("serve", ServeSettings, f"file={exported}", "workers=1", "limits.seconds=600")

    async def found() -> traffic.Found:
        app = application(ExportedModel(exported), settings)
        protocol: Any = partial(BoundedConnection, connections=Connections(100))
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, port=0, log_config=None))
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        try:
            return await traffic.batch(host, port, good, range(200), seed=0)
        finally:
            await server.shutdown()

    answers = asyncio.run(found())
    assert not answers.wrong
    assert answers.statuses["200"] >= 20
    assert {"400", "404", "405", "415", "422"} <= set(answers.statuses)


def test_the_attack_goes_on_where_it_was_stopped_and_counts_what_went_wrong(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(Outcome("kills", "train", "train at 1", "all as without it", True))
    journal.add(Outcome("kills", "train", "train at 2", "half a file", False, "python ...", "table.csv"))
    journal.add(Outcome("requests", "answers", "1 to 9", "200", True, tries=9))
    with journal.path.open("a") as file:
        file.write('{"part": "kil')  # as a stop leaves it
    again = Journal(tmp_path)
    assert again.has("kills", "train at 2")
    assert not again.has("kills", "train at 3")
    text = table(again.outcomes)
    assert "| kills | train | 2 | 1 all as without it | 1 half a file |" in text
    assert "11 tries, 1 did not end as they should" in text


def test_a_finder_of_faults_finds_one() -> None:
    def careless(content: bytes) -> int:
        return content[10]

    def careful(content: bytes) -> int:
        raise UserError("expected 10 bytes")

    assert isinstance(fuzz.checked(careless, b"short"), IndexError)
    assert fuzz.checked(careful, b"short") is None
