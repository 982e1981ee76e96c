"""Keep what every try came to, one line each, so that an attack that was stopped goes on, and print the table."""

import json
import platform
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
REPOSITORY = Path(__file__).parents[3]
FILE = "tries.jsonl"


@dataclass(frozen=True)
class Outcome:
    """What a try came to.

    Attributes:
        part: Of the attack: `kills`, `hostile`, ...
        group: The row of the table that it counts in.
        name: Of the try, the same each time the attack runs with the same seed.
        outcome: In two or three words, the same for the same.
        good: Whether that is what should happen.
        again: How to see it again: a command, or the file that was kept.
        detail: The last lines that were printed, where it is not good.
        tries: How many tries this is.
    """

    part: str
    group: str
    name: str
    outcome: str
    good: bool
    again: str = ""
    detail: str = ""
    tries: int = 1


FAILED = "the attack itself failed"


def attempted(judge: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """Return what a try came to; where the attack itself fails, that is what it came to, and the next try is made."""
    try:
        return judge()
    except Exception:
        return otherwise(traceback.format_exc()[-1500:])


class Journal:
    """The tries so far, in a folder; a try that is in there is not made again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self.outcomes = list(_read(self.path))
        self._names = {(one.part, one.name) for one in self.outcomes}

    def has(self, part: str, name: str) -> bool:
        return (part, name) in self._names

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._names.add((outcome.part, outcome.name))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        if not outcome.good:
            print(f"  {outcome.part} {outcome.name}: {outcome.outcome}\n    {outcome.again}", flush=True)


def _read(path: Path) -> Iterator[Outcome]:
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield Outcome(**json.loads(line))
            except ValueError:  # the attack was stopped in the middle of this line
                continue


def table(outcomes: list[Outcome]) -> str:
    """Return tries and outcomes as a Markdown table, and each try that did not end well below it."""
    lines = [f"{_commit()}, {_machine()}, {datetime.now(UTC):%Y-%m-%d}", ""]
    lines += ["| attack | on | tries | as it should be | otherwise |", "| --- | --- | --- | --- | --- |"]
    for part, group in dict.fromkeys((one.part, one.group) for one in outcomes):
        own = [one for one in outcomes if (one.part, one.group) == (part, group)]
        good, bad = Counter[str](), Counter[str]()
        for one in own:
            (good if one.good else bad)[one.outcome] += one.tries
        lines.append(f"| {part} | {group} | {sum(one.tries for one in own):,} | {_counted(good)} | {_counted(bad)} |")
    wrong = [one for one in outcomes if not one.good]
    lines += [
        "",
        f"{sum(one.tries for one in outcomes):,} tries, {sum(one.tries for one in wrong):,} did not end as they should",
    ]
    for one in wrong:
        lines.append(f"- {one.part} {one.name}: {one.outcome}. Again: `{one.again}`")
        lines += [f"      {line}" for line in one.detail.splitlines()[-6:]]
    return "\n".join(lines) + "\n"


def _counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common()) or "0"


def _commit() -> str:
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"commit {answer.stdout.strip() or 'unknown'}"


def _machine() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{len(names)} x {model}, Linux {platform.release()}, Python {platform.python_version()}"
