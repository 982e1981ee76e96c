"""Fuzz the readers guided by what they reach: images, tables, metrics, checkpoints, what an exported file says.

Needs atheris, which is no dependency of the project: pip install atheris. Each reader has a process of its own. What it
may raise is `UserError`; anything else is kept once for each place it came from, and the fuzzing goes on.
"""

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.attack import corpus
from faults.attack.kills import Bench
from faults.attack.outcomes import REPOSITORY, Journal, Outcome
from samples import process_environment

TARGETS = ("images", "tables", "metrics", "checkpoints", "exported")
MEGABYTES = 4096  # resident: libFuzzer ends a process that takes more
SECONDS = 30  # for one input
SEEDS = 40
COMMAND = "PYTHONPATH=tests python -m faults.attack.fuzz"


def attack(folder: Path, minutes: float, seed: int, journal: Journal) -> Iterator[Outcome]:
    """Fuzz each reader for its share of the time, and yield what was tried and what was found."""
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed, so nothing was fuzzed: pip install atheris")
        return
    bench = Bench(folder.parent / "bench")
    if not (bench.folder / "template/done").is_file():
        from faults.attack import forks

        forks.prepare()
        bench.made()
    for target in TARGETS:
        name = f"{target}, {minutes:g} minutes together, seed {seed}"
        if journal.has("fuzzing", name):
            continue
        own = folder / target
        (own / "corpus").mkdir(parents=True, exist_ok=True)
        (own / "found").mkdir(exist_ok=True)
        for number, content in enumerate(seeds(bench, target, seed)):
            (own / f"corpus/seed-{number}").write_bytes(content)
        tries, ends = fuzzed(target, own, 60 * minutes / len(TARGETS), seed)
        if not tries:
            yield Outcome("fuzzing", target, name, "nothing was fuzzed", False, f"{COMMAND} {target} corpus", ends)
            continue
        yield Outcome("fuzzing", target, name, "read or refused in words", True, tries=tries)
        for path in sorted((own / "found").glob("*.txt")):
            again = f"{COMMAND} {target} {path.with_suffix('.bin')}"
            yield Outcome("fuzzing", target, path.stem, path.stem, False, again, path.read_text())
        for path in [*own.glob("timeout-*"), *own.glob("oom-*"), *own.glob("crash-*")]:
            kind = path.name.partition("-")[0]
            yield Outcome("fuzzing", target, path.name, kind, False, f"{COMMAND} {target} {path}", ends)


def fuzzed(target: str, own: Path, seconds: float, seed: int) -> tuple[int, str]:
    """Run libFuzzer until the time is over, again where an input ended its process; the tries, and its last words."""
    end, tries, text, rounds = time.monotonic() + seconds, 0, "", 0
    while (left := end - time.monotonic()) > 1 and rounds < 20:
        rounds += 1
        command = [
            sys.executable,
            "-m",
            "faults.attack.fuzz",
            target,
            f"-max_total_time={int(left) + 1}",
            f"-seed={seed + rounds}",
        ]
        command += [
            f"-rss_limit_mb={MEGABYTES}",
            f"-timeout={SECONDS}",
            f"-artifact_prefix={own}/",
            "-print_final_stats=1",
        ]
        command += ["-max_len=65536", str(own / "corpus")]
        tests = str(REPOSITORY / "tests")
        variables = process_environment(PYTHONPATH=os.pathsep.join([tests, process_environment()["PYTHONPATH"]]))
        answer = subprocess.run(
            command, cwd=own, env=variables, capture_output=True, text=True, errors="replace", check=False
        )
        text = answer.stderr[-1500:]
        counts = [line.split()[-1] for line in answer.stderr.splitlines() if "number_of_executed_units" in line]
        tries += int(counts[-1]) if counts else 0
    return tries, text


def seeds(bench: Bench, target: str, seed: int) -> Iterator[bytes]:
    """Make the files that the fuzzing begins with."""
    run = bench.folder / "template/runs/a"
    for number in range(SEEDS):
        seeded = random.Random(f"{seed} {target} {number}")
        if target == "images":
            yield corpus.image(seeded.choice(list(corpus.KINDS)), seeded)
        elif target == "tables":
            yield corpus.hostile_table(seeded)
        elif target == "metrics":
            yield corpus.hostile_json((run / "metrics.json").read_bytes(), seeded)[:65_536]
        elif target == "exported":
            text = exported_text(bench.folder / "template/line/inspector.onnx")
            yield corpus.hostile_json(text, seeded)[:65_536]
    whole = {"metrics": [run / "metrics.json"], "checkpoints": [run / "checkpoints/best.ckpt"]}
    whole["tables"] = [run / "split.csv", run / "predictions.csv", run / "metrics.csv"]
    yield from (path.read_bytes() for path in whole.get(target, []))


def exported_text(path: Path) -> bytes:
    """Return what an exported file says of itself."""
    import onnx

    model = onnx.load(path)
    return next(item.value for item in model.metadata_props if item.key == "fancnn").encode()


def readers() -> dict[str, Callable[[bytes], object]]:
    """Return the readers by target; each takes the content of a file."""
    from fancnn.data.labeled_images import read_split
    from fancnn.files.tables import read_table
    from fancnn.images.reading import read_image
    from fancnn.inference.export_metadata import ExportMetadata
    from fancnn.metrics.predictions import read_predictions
    from fancnn.runs import checkpoints
    from fancnn.runs.metrics_file import read_metrics

    place = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def of_file(name: str, *calls: Callable[[Path], object]) -> Callable[[bytes], object]:
        def read(content: bytes) -> None:
            (place / name).write_bytes(content)
            refused = []
            for call in calls:
                try:
                    call(place / name)
                except ValueError as error:  # each reader has its turn
                    refused.append(error)
            for error in refused:
                raise error

        return read

    return {
        "images": read_image,
        "tables": of_file("t.csv", lambda path: read_table(path, ("path",), 1), read_split, read_predictions),
        "metrics": of_file("metrics.json", read_metrics),
        "checkpoints": of_file("best.ckpt", checkpoints.read, checkpoints.load),
        "exported": lambda content: ExportMetadata.from_text(content.decode("utf-8", "replace"), "it"),
    }


def checked(read: Callable[[bytes], object], content: bytes) -> Exception | None:
    """Read; the error that should not have come."""
    from fancnn.errors import UserError

    try:
        read(content)
    except UserError:
        return None
    except Exception as error:
        return error
    return None


def place_of(error: Exception) -> str:
    """Name an error by its kind and the last line of this project that it came through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "/fancnn/" in frame.filename] or [None]
    where = f"{Path(own[-1].filename).stem}-{own[-1].lineno}" if own[-1] else "elsewhere"
    return f"{type(error).__name__}-{where}"


def main(target: str, *arguments: str) -> None:
    """Fuzz a reader in this process, or read one file that was kept."""
    if len(arguments) == 1 and Path(arguments[0]).is_file():
        readers()[target](Path(arguments[0]).read_bytes())
        return
    import atheris

    with atheris.instrument_imports(include=["PIL", "fancnn", "csv", "json"]):
        read = readers()[target]
    found = Path("found")

    def one(content: bytes) -> None:
        error = checked(read, content)
        if error is not None and not (kept := found / f"{target}-{place_of(error)}.bin").exists():
            kept.write_bytes(content)
            kept.with_suffix(".txt").write_text("".join(traceback.format_exception(error))[-1500:])

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
