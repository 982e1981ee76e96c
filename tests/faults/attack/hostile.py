"""Give hostile files to every command that reads them, each in a process of its own with its memory bounded."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from faults.attack import corpus
from faults.attack.forks import Ended, forked, run_command
from faults.attack.kills import TINY, Bench
from faults.attack.outcomes import FAILED, Journal, Outcome, attempted
from samples import compose_command

MEGABYTES = 2_500  # resident, beyond what a good file takes: `image_limits.decoding_megabytes`, and what that leaves
ADDRESSES = 6_000  # megabytes of address space beyond that of this process
SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """A reader: a command, or the server, and how a hostile file is put before it.

    Attributes:
        name: Of the row.
        kind: `image`, `table`, `json`, `checkpoint` or `onnx`.
        command: Its name; empty for the server.
        arguments: With `{file}` and `{folder}` (that of images), `{run}` (a copy of a run).
        inside: Where in the copied run the file is put; empty for a file of its own.
        codes: Exit codes of those that decide.
    """

    name: str
    kind: str
    command: str
    arguments: tuple[str, ...] = ()
    inside: str = ""
    codes: tuple[int, ...] = (0, 2)


TARGETS = (
    Target("predict run", "image", "predict", ("run={run}", "input={folder}", "output=p.csv")),
    Target("predict model", "image", "predict", ("file={onnx}", "input={folder}", "output=p.csv")),
    Target("serve", "image", ""),
    Target("train", "image", "train", (*TINY, "trainer.max_epochs=1", "data.root={root}", "data.on_bad_file=skip")),
    Target("evaluate", "image", "evaluate", ("run={run}", "data.root={root}")),
    Target("evaluate table", "table", "evaluate", ("table={file}",)),
    Target("certify table", "table", "certify", ("table={file}", "escape=0.5"), codes=(0, 1, 3)),
    Target("report table", "table", "report", ("table={file}", "output=report.html")),
    Target("decide, predictions.csv", "table", "decide", ("run={run}", "decision.rule=f1"), "predictions.csv"),
    Target("train ckpt=, split.csv", "table", "train", ("ckpt={run}", "trainer.max_epochs=3"), "split.csv"),
    Target("decide, metrics.json", "json", "decide", ("run={run}", "decision.rule=f1"), "metrics.json"),
    Target("report, metrics.json", "json", "report", ("run={run}",), "metrics.json"),
    Target("compare, metrics.json", "json", "compare", ("{run}", "{other}"), "metrics.json", codes=(0, 3)),
    Target("predict, checkpoint", "checkpoint", "predict", ("run={file}", "input={good}", "output=p.csv")),
    Target("train init=", "checkpoint", "train", (*TINY, "trainer.max_epochs=1", "data.root={good}", "init={file}")),
    Target("predict model", "onnx", "predict", ("file={file}", "input={good}", "output=p.csv")),
    Target("serve model", "onnx", ""),
)


def attack(folder: Path, count: int, seed: int, journal: Journal) -> Iterator[Outcome]:
    """Make the tries that the journal has not, and yield what they come to."""
    bench = Bench(folder.parent / "bench").made()
    kept = folder / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    os.environ["FANCNN_CACHE"] = str(folder / "cache")
    usual = {target: judged(bench, folder, target, None)[0].megabytes for target in TARGETS}
    for number in range(count):
        target = TARGETS[number % len(TARGETS)]
        name = f"{target.name}, {target.kind} {number}, seed {seed}"
        if not journal.has("hostile files", name):
            answer, place, line = attempted(
                lambda: judged(bench, folder, target, random.Random(f"{seed} {number}")),  # noqa: B023  # called at once
                lambda text: (Ended(70, text, False, 0, 0), folder, FAILED),
            )
            outcome, good = outcome_of(target, answer, usual[target])
            again = ""
            if not good:
                again = f"{line}  # the file: {keep(place, kept / f'{seed}-{number}')}"
            yield Outcome(
                "hostile files", f"{target.kind}: {target.name}", name, outcome, good, again, answer.text[-1500:]
            )


def outcome_of(target: Target, answer: Ended, usual: float) -> tuple[str, bool]:
    if answer.hung:
        return f"hangs for {SECONDS:g} s", False
    if answer.code < 0:
        return f"ended by signal {-answer.code}", False
    if answer.traceback:
        return "traceback", False
    if answer.megabytes > usual + MEGABYTES:
        return f"takes more than {MEGABYTES} MB", False
    if answer.code in target.codes and answer.code != 1:
        return "taken, or a row says why not", True
    return ("refused in words", True) if answer.code == 1 else (f"exit code {answer.code}", False)


def keep(place: Path, target: Path) -> Path:
    if place.is_symlink() or not place.is_file():
        return place
    target = target.with_suffix(place.suffix)
    shutil.copyfile(place, target)
    return target


def judged(bench: Bench, folder: Path, target: Target, seeded: random.Random | None) -> tuple[Ended, Path, str]:
    """Put a hostile file (None: a good one) before a reader; how it ended, the file, and the command line."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    (work / "folder").mkdir(parents=True)
    template = bench.folder / "template"
    run = work / "run"
    if any("{run}" in text for text in target.arguments):
        shutil.copytree(template / "runs/a", run)
    if any("{root}" in text for text in target.arguments):
        shutil.copytree(bench.images, work / "root")
    place = written(bench, work, target, seeded)
    values = {
        **{"run": run, "file": place, "folder": work / "folder", "root": work / "root"},
        **{"good": bench.images, "onnx": template / "line/inspector.onnx", "other": template / "runs/b"},
    }
    if not target.command:
        model = place if target.kind == "onnx" else template / "line/inspector.onnx"
        image = bench.images / "GO/000.png" if target.kind == "onnx" else place
        answer = forked(lambda: served(model, image), work, seconds=SECONDS, megabytes=ADDRESSES)
        return answer, place, f"python -m fancnn.serve file={model}, then POST {image} to /predict"
    arguments = [text.format(**values) for text in target.arguments]
    answer = run_command(target.command, arguments, work, seconds=SECONDS, megabytes=ADDRESSES)
    return answer, place, f"python -m fancnn.{target.command} {' '.join(arguments)}"


def written(bench: Bench, work: Path, target: Target, seeded: random.Random | None) -> Path:
    template, run = bench.folder / "template/runs/a", work / "run"
    if target.kind == "image":
        good = bench.images / "GO/000.png"
        folder = work / "root/GO" if (work / "root").is_dir() else work / "folder"
        shutil.copyfile(good, work / "folder/good.png")
        if seeded is None:
            return Path(shutil.copyfile(good, folder / "image.png"))
        return corpus.hostile_image(seeded, folder)
    originals = {
        **{"table": template / (target.inside or "predictions.csv"), "json": template / "metrics.json"},
        **{"checkpoint": template / "checkpoints/best.ckpt", "onnx": bench.folder / "template/line/inspector.onnx"},
    }
    original = originals[target.kind]
    content = original.read_bytes()
    if seeded is not None:
        changes: dict[str, Callable[[bytes, random.Random], bytes]] = {
            "table": lambda old, by: corpus.hostile_table(by) if by.random() < 0.6 else changed_cell(old, by),
            **{"json": corpus.hostile_json, "checkpoint": corpus.hostile_archive, "onnx": corpus.hostile_onnx},
        }
        content = changes[target.kind](content, seeded)
    place = run / target.inside if target.inside else work / f"hostile{original.suffix}"
    place.write_bytes(content)
    return place


def changed_cell(content: bytes, seeded: random.Random) -> bytes:
    """Change one cell of a table of this program, or damage it."""
    lines = content.decode().splitlines()
    place = seeded.randrange(len(lines))
    cells = lines[place].split(",")
    cells[seeded.randrange(len(cells))] = seeded.choice(corpus.CELLS)
    lines[place] = ",".join(cells)
    changed = "\n".join(lines).encode()
    return changed if seeded.random() < 0.7 else corpus.flipped(changed, seeded)


def served(model: Path, image: Path) -> int:
    """Start a server of a file in this process and ask it for decisions; 0 or 1 as a command would end."""
    from fastapi.testclient import TestClient

    from fancnn.errors import UserError
    from fancnn.inference.exported_model import ExportedModel
    from fancnn.serve.serve import application
    from fancnn.serve.settings import ServeSettings

    try:
        settings = compose_command("serve", ServeSettings, f"file={model}", "workers=1")
        app = application(ExportedModel(model), settings)
    except UserError as error:
        print(error)
        return 1
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        content = b""
        with suppress(OSError):  # a file of the operating system may be there and not be read
            content = image.read_bytes() if image.is_file() else b""
        answer = client.post("/predict", content=content, headers={"Content-Type": "image/png"})
        print(answer.status_code, answer.text[:500])
        if answer.status_code == 500 or client.get("/health").status_code != 200:
            print("Traceback (most recent call last): the server answered 500")
    return 0 if answer.status_code == 200 else 1
