"""Kill every command that writes, at every kind of point of its writing, and see that nothing was lost.

For each command: an uninterrupted run counts the points and leaves what must come out; then tries end at points drawn
by the seed, and the command is run again, or goes on. After the kill every file must be whole or absent, and what was
there before must be there still; after the second run all must be as if nothing had happened.
"""

import csv
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from faults.attack.forks import Ended, run_command
from faults.attack.injection import HOW, Injection, Plan
from faults.attack.outcomes import FAILED, Journal, Outcome, attempted
from PIL import Image
from samples import SMALL, process_environment, write_images

TINY = (*SMALL, "data.batch_size=8", "callbacks.early_stopping=null")
SECONDS = 300.0  # after which a command is said to hang
COUNTS = {"GO": 16, "NG/scratch": 8, "NG/stain": 8}
INCOMPLETE = ("not finished", "stopped", "incomplete", "interrupted", "unfinished", "cut short", "go on with")
TAKEN = ("remove it", "holds the runs of a sweep already", "exists and is not an empty folder")
NOT_COMPARED = {"metrics.csv", "hparams.yaml", "report.html", "explain.json", "pruning.json", "multirun.yaml"}


@dataclass(frozen=True)
class Scenario:
    """A command that writes.

    Attributes:
        name: Of the row.
        command: `fancnn.<command>`.
        arguments: Of it; `{images}` and `{work}` are filled in.
        result: Folder or file that must come out as without the kill, relative to the working folder.
        goes_on: Arguments to go on where there is something to go on with; the result is then `runs/again`.
        in_place: Whether going on is in the same folder.
        takes_away: Endings of names that may be gone after a kill, since they are only removed or come as a pair.
        codes: Exit codes that are right.
        mended_by: Where the next run is refused and says so, the command that it names.
        own_process: Not a fork, since what it imports starts threads that forks were seen to wait for.
        used_early: Decide images with what is left: that must be refused, or said to be unfinished.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    result: str
    goes_on: tuple[str, ...] = ()
    in_place: bool = False
    takes_away: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    mended_by: tuple[str, ...] = ()
    own_process: bool = False
    used_early: bool = False


NEW = "hydra.run.dir=runs/new"
DATA = ("data.root={images}", "data.test_fraction=0.25")
SCENARIOS = (
    Scenario("train", "train", (NEW, *TINY, *DATA), "runs/new", ("ckpt=runs/new", "hydra.run.dir=runs/again")),
    Scenario("predict by an unfinished train", "train", (NEW, *TINY, *DATA), "runs/new", used_early=True),
    Scenario("decide", "decide", ("run=runs/a", "decision.rule=f1"), "runs/a"),
    Scenario(
        *("certify store=true", "certify", ("run=runs/a", "escape=0.9", "confidence=0.5", "store=true"), "runs/a"),
        mended_by=("decide", "run=runs/a"),
    ),
    Scenario(
        *("export onnx", "export", ("run=runs/a", "output=line/inspector.onnx"), "line/inspector.onnx"),
        own_process=True,
    ),
    Scenario(
        *("export openvino", "export", ("run=runs/a", "format=openvino", "output=line/inspector.xml")),
        *("line/inspector.xml",),
        takes_away=(".xml",),
        own_process=True,
    ),
    Scenario(
        *("export torch", "export", ("run=runs/a", "format=torch", "output=line/inspector.pt2"), "line/inspector.pt2"),
        own_process=True,
    ),
    Scenario(
        *("prune", "prune", ("run=runs/a", "keep=0.5", "epochs=2", NEW), "runs/new", ("ckpt=runs/new",)),
        in_place=True,
        codes=(0, 3),
    ),
    Scenario(
        *("crossval", "crossval", ("folds=3", NEW, *TINY, "data.root={images}"), "runs/new", ("ckpt=runs/new",)),
        in_place=True,
    ),
    Scenario(
        "predict by an unfinished prune",
        "prune",
        ("run=runs/a", "keep=0.5", "epochs=2", NEW),
        "runs/new",
        used_early=True,
    ),
    Scenario("ensemble", "ensemble", ("runs/a", "runs/b", NEW), "runs/new"),
    Scenario(
        *("pretrain", "pretrain", (NEW, *TINY[:5], "data.root={images}"), "runs/new"),
        ("ckpt=runs/new", "hydra.run.dir=runs/again"),
    ),
    Scenario("cache do=clear", "cache", ("do=clear",), "cache", takes_away=("",)),
    Scenario("cache do=verify", "cache", ("do=verify",), "cache"),
    Scenario("report", "report", ("run=runs/a",), "runs/a"),
    Scenario("explain", "explain", ("run=runs/a", "images=1", "filters=1", "channels=2", NEW), "runs/new"),
    Scenario("filters", "filters", ("run=runs/a", NEW), "runs/new"),
    Scenario("predict run", "predict", ("run=runs/a", "input={images}", "output=out/p.csv"), "out/p.csv"),
    Scenario(
        "predict model", "predict", ("file=line/inspector.onnx", "input={images}", "output=out/p.csv"), "out/p.csv"
    ),
    Scenario("evaluate", "evaluate", ("run=runs/a", NEW), "runs/new"),
    Scenario("compare", "compare", ("runs/a", "runs/b", NEW), "runs/new", codes=(0, 3)),
    Scenario("fans", "fans", ("root=fans", "count=4", "size=64"), "fans"),
    Scenario(
        "train on fans", "train", (NEW, *TINY, "data.fans.count=16", "data.fans.size=48", "report=false"), "cache/fans"
    ),
    Scenario("sweep", "train", ("-m", "hydra.sweep.dir=runs/new", "seed=0,1", *TINY, *DATA), "runs/new"),
)


@dataclass
class Bench:
    """Where tries are made: images, finished runs, and a working folder that is made anew for each try."""

    folder: Path
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def made(self) -> "Bench":
        """The same, with the images and the finished runs that commands begin with."""
        if (self.folder / "template/done").is_file():
            return self
        shutil.rmtree(self.folder, ignore_errors=True)
        write_images(self.images, COUNTS)
        self.work.mkdir(parents=True)
        more = ("model.optimizer.lr=0.01", *TINY, *DATA)
        self.runs("train", "hydra.run.dir=runs/a", *more)
        self.runs("train", "hydra.run.dir=runs/b", "seed=1", "data.split_file=runs/a/split.csv", *more[:-1])
        for name, form in (("onnx", "onnx"), ("pt2", "torch"), ("xml", "openvino")):
            export = ("run=runs/b", f"format={form}", f"output=line/inspector.{name}")
            answer = self.run_alone(Scenario(form, "export", export, "line"))
            if answer.code:
                raise RuntimeError(f"export {form} ended with {answer.code}:\n{answer.text}")
        self.work.rename(self.folder / "template")
        (self.folder / "template/done").touch()
        return self

    def runs(self, command: str, *arguments: str) -> None:
        """Run a command that must succeed."""
        answer = self.run(command, arguments)
        if answer.code:
            raise RuntimeError(f"{command} {' '.join(arguments)} ended with {answer.code}:\n{answer.text}")

    def run(self, command: str, arguments: Sequence[str], first: Callable[[], None] = lambda: None) -> Ended:
        filled = [text.format(images=self.images, work=self.work) for text in arguments]
        return run_command(
            command,
            filled,
            self.work,
            first=first,
            environment={"FANCNN_CACHE": str(self.work / "cache")},
            seconds=SECONDS,
        )

    def run_alone(self, scenario: Scenario, fault: Mapping[str, Any] | None = None) -> Ended:
        """Run a command in a process of its own, which `inject/sitecustomize.py` ends."""
        filled = [text.format(images=self.images, work=self.work) for text in scenario.arguments]
        path = os.pathsep.join([str(Path(__file__).parent / "inject"), process_environment()["PYTHONPATH"]])
        variables = {**process_environment(PYTHONPATH=path), "FANCNN_CACHE": str(self.work / "cache")}
        variables |= {"FANCNN_FAULT": json.dumps(fault)} if fault else {}
        command = [sys.executable, "-m", f"fancnn.{scenario.command}", *filled]
        try:
            answer = subprocess.run(
                command, cwd=self.work, env=variables, capture_output=True, text=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return Ended(-9, "", True, 0, SECONDS)
        return Ended(answer.returncode, answer.stdout + answer.stderr, False, 0, 0)

    def fresh(self) -> None:
        """Make the working folder as the template is."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.folder / "side", ignore_errors=True)
        (self.folder / "side").mkdir()
        shutil.copytree(self.folder / "template", self.work)
        (self.work / "out").mkdir()

    def broken(self, scenario: Scenario, plan: Plan, names: Path | None = None) -> Ended:
        """Run a command in a fresh folder until its planned end."""
        self.fresh()
        if scenario.own_process:
            fault = {**asdict(plan), "roots": [str(self.work)], "side": str(self.folder / "side")}
            return self.run_alone(scenario, {**fault, "names": str(names) if names else ""})

        def first() -> None:
            Injection([self.work], plan, self.folder / "side", names).install()

        return self.run(scenario.command, scenario.arguments, first)

    def points(self, scenario: Scenario) -> list[str]:
        """Names of the points of a command, from an uninterrupted run, whose result is kept to be compared with."""
        kept = self.folder / f"points-{scenario.name.replace(' ', '-')}.json"
        if kept.is_file() and scenario.name in self.states:
            return list(json.loads(kept.read_text()))
        names = self.folder / "names"
        names.unlink(missing_ok=True)
        answer = self.broken(scenario, Plan(), names)
        if answer.code not in scenario.codes:
            raise RuntimeError(f"{scenario.name} ended with {answer.code}:\n{answer.text}")
        found = [json.loads(line) for line in names.read_text().splitlines()]
        kept.write_text(json.dumps(found))
        self.states[scenario.name] = state(self.work / scenario.result)
        return found


def drawn(bench: Bench, scenarios: Sequence[Scenario], count: int, seed: int) -> Iterator[tuple[Scenario, Plan, str]]:
    """Draw tries: of each command the same number, spread over its points, with each way to end in turn."""
    each = -(-count // len(scenarios))
    for scenario in scenarios:
        names = attempted(lambda: bench.points(scenario), lambda text: [text])  # noqa: B023  # called at once
        seeded = random.Random(f"{seed} {scenario.name}")
        points = [
            number for start in range(0, each, len(names)) for number in _spread(len(names), each - start, seeded)
        ]
        for place, point in enumerate(points):
            yield scenario, Plan(point, HOW[(place + len(scenario.name)) % len(HOW)], seed), names[point - 1]


def _spread(size: int, count: int, seeded: random.Random) -> list[int]:
    """Return at most `count` of the numbers 1 to `size`, one from each stretch of equal length, in any order."""
    count = min(size, count)
    edges = [1 + size * place // count for place in range(count + 1)]
    numbers = [seeded.randrange(low, high) for low, high in pairwise(edges)]
    seeded.shuffle(numbers)
    return numbers


def attack(bench: Bench, scenarios: Sequence[Scenario], count: int, seed: int, journal: Journal) -> Iterator[Outcome]:
    """Make the tries that the journal has not, and yield what they come to."""
    for scenario, plan, point in drawn(bench, scenarios, count, seed):
        name = f"{scenario.name}, {plan.how} at {plan.point}, seed {seed}"
        part = "power cuts" if plan.how in ("empty", "prefix", "names") else "kills"
        if not journal.has(part, name):
            outcome, detail = attempted(
                lambda: judged(bench, scenario, plan),  # noqa: B023  # called at once
                lambda text: (FAILED, text),
            )
            good = outcome in GOOD
            yield Outcome(
                part, scenario.name, name, outcome, good, reproduction(bench, scenario, plan), f"at {point}\n{detail}"
            )


GOOD = ("all as without it", "was over by then", "refused, or said to be unfinished")


def reproduction(bench: Bench, scenario: Scenario, plan: Plan) -> str:
    """A command line that ends at the same point, in a copy of the template."""
    return (
        f"python tests/faults/attack output={bench.folder.parent} only={scenario.name!r} point={plan.point} "
        f"how={plan.how} seed={plan.seed}"
    )


def judged(bench: Bench, scenario: Scenario, plan: Plan) -> tuple[str, str]:
    """Make one try; what it came to, and what was printed where that is not good."""
    bench.points(scenario)
    answer = bench.broken(scenario, plan)
    if answer.hung:
        return "hangs", answer.text
    if answer.code in scenario.codes:
        return "was over by then", ""
    if answer.code != -9:
        return f"exit code {answer.code} before the kill", answer.text
    if damage := damaged(bench.work):
        return "half a file", damage
    if gone := lost(bench, scenario):
        return "an earlier file is gone", gone
    if scenario.used_early:
        return used(bench, scenario)
    arguments, result = scenario.arguments, bench.work / scenario.result
    if scenario.goes_on and list(result.rglob("last.ckpt")) + list(result.rglob("best.ckpt")):
        arguments = scenario.goes_on
        result = result if scenario.in_place else bench.work / "runs/again"
    again = bench.run_alone(scenario) if scenario.own_process else bench.run(scenario.command, arguments)
    if again.refused and any(text in again.text for text in TAKEN):  # the way out: another folder, or without the rest
        for place in ("runs/new", "fans"):
            shutil.rmtree(bench.work / place, ignore_errors=True)
        again = bench.run_alone(scenario) if scenario.own_process else bench.run(scenario.command, arguments)
    if again.refused and scenario.mended_by and f"python -m fancnn.{scenario.mended_by[0]}" in again.text:
        bench.run(scenario.mended_by[0], scenario.mended_by[1:])
        again = bench.run(scenario.command, arguments)
    if (
        again.refused
        and "nothing is left to do" in again.text
        and (bench.work / scenario.result / "metrics.json").is_file()
    ):
        result = bench.work / scenario.result  # it was finished but for its last words
    elif again.hung or again.code not in scenario.codes:
        return f"the next run ends with {'a hang' if again.hung else again.code}", again.text
    if damage := damaged(bench.work):
        return "half a file after the next run", damage
    written = result.rglob("*.partial*") if result.is_dir() else result.parent.glob("*.partial*")
    if partial := list(written):  # one in a folder that no command writes to again stays there
        return "a partial file stays", "\n".join(map(str, partial))
    wanted, found = bench.states[scenario.name], state(result)
    if differing := [name for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]:
        return "another result", "differs: " + ", ".join(differing)
    return "all as without it", ""


def used(bench: Bench, scenario: Scenario) -> tuple[str, str]:
    """Whether what a killed training left decides images without a word that it is no finished run."""
    if (bench.work / scenario.result / "metrics.json").is_file():
        return "was over by then", ""
    answer = bench.run("predict", (f"run={scenario.result}", "input={images}/GO", "output=out/early.csv"))
    if answer.traceback or answer.hung:
        return "an incomplete run gives a traceback", answer.text
    if answer.code == 0 and not any(word in answer.text for word in INCOMPLETE):
        return "an incomplete run decides in silence", answer.text
    return "refused, or said to be unfinished", ""


def damaged(folder: Path) -> str:
    """Name the first file that is there but cannot be read; empty if all can."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") and part != ".hydra" for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.name != "done":
            try:
                read_whole(path)
            except Exception as error:
                return f"{path}: {error!r}"[:500]
    return ""


def read_whole(path: Path) -> None:
    """Read a file as the program does; raise whatever that raises."""
    from fancnn.data.cache_index import INDEX, open_index
    from fancnn.data.labeled_images import read_split
    from fancnn.runs import checkpoints
    from fancnn.runs.looks import Ledger
    from fancnn.runs.metrics_file import FORMAT

    if path.suffix == ".ckpt":
        checkpoints.read(path)
    elif path.name == "split.csv":
        read_split(path)
    elif path.name == INDEX:
        with open_index(path.parent) as index:
            index.pixel_file.stat()
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            assert len({len(row) for row in csv.reader(file)}) == 1, "rows of several lengths, or none"
    elif path.name == "metrics.json":
        assert json.loads(path.read_text())["format"] == FORMAT
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), "no end"
    elif path.suffix in (".onnx", ".pt2", ".xml"):
        from fancnn.parity.parity import runtimes_of

        assert runtimes_of(path)
    elif path.name == "looks.jsonl":
        Ledger(path.parent).looks()
    elif path.parent.name == ".hydra" and any(item.name[0] != "." for item in path.parent.parent.iterdir()):
        assert path.stat().st_size, "empty"  # else the command had not begun, and Hydra was writing it


def lost(bench: Bench, scenario: Scenario) -> str:
    """Name the files of before that are gone."""
    template = bench.folder / "template"
    names = [path.relative_to(template) for path in template.rglob("*") if path.is_file()]
    own = [name for name in names if not any(str(name).endswith(end) for end in (*scenario.takes_away, ".report"))]
    return "\n".join(str(name) for name in own if not (bench.work / name).exists())


def state(result: Path) -> dict[str, Any]:
    """What a result comes to, without times and places: by file, something to be compared."""
    files = [result] if result.is_file() else sorted(path for path in result.rglob("*") if path.is_file())
    found: dict[str, Any] = {}
    for path in files:
        name = path.name if result.is_file() else str(path.relative_to(result))
        if path.name in NOT_COMPARED or any(part.startswith(".") for part in Path(name).parts):
            continue
        if path.suffix == ".ckpt" and path.name == "best.ckpt":
            found[name] = _weights(path)
        elif path.name == "metrics.json":
            found[name] = _metrics(json.loads(path.read_text()))
        elif path.suffix in (".csv", ".jpg"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix in (".onnx", ".xml", ".pt2", ".html", ".png"):
            found[name] = "there"
    return found


def _weights(path: Path) -> list[Any]:
    from fancnn.networks.weights import weights_hash
    from fancnn.runs import checkpoints

    kept = checkpoints.read(path)
    return [
        weights_hash(kept.content["state_dict"]),
        *(getattr(kept.metadata, key) for key in ("thresholds", "calibration", "epoch", "seen")),
    ]


def _metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    of_the_moment = ("run", "looks", "versions", "checkpoint_sha256")  # a checkpoint keeps the seconds of each epoch
    return {key: value for key, value in metrics.items() if key not in of_the_moment}
