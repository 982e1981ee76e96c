"""Attack the program: kills and power cuts, hostile files, wrong settings, fuzzing and hostile requests.

    python tests/faults/attack                                     all of it, for an hour or two
    python tests/faults/attack parts=kills kills=200 minutes=20    one part, for at most 20 minutes
    python tests/faults/attack parts=kills only='export onnx' point=7 how=empty       one try again

Each try is a line of OUTPUT/tries.jsonl; the same command goes on where it was stopped. At the end OUTPUT/faults.md has
the tables. Exit code 1: some try did not end as it should.
"""

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])  # tests/, for `samples` and `faults.attack`
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from faults.attack.outcomes import Journal, Outcome, table

PARTS = ("writers", "kills", "hostile", "settings", "fuzz", "requests")


def main() -> int:
    options = parsed(sys.argv[1:])
    output = Path(options.output).resolve()
    output.mkdir(parents=True, exist_ok=True)
    journal = Journal(output)
    for part in options.parts.split(","):
        end = time.monotonic() + 60 * options.minutes
        try:
            for count, outcome in enumerate(tries(part, options, output, journal), start=1):
                journal.add(outcome)
                if count % 20 == 0:
                    print(f"{part}: {count} tries, {end - time.monotonic():.0f} s left", flush=True)
                if time.monotonic() > end:
                    print(f"{part}: stopped after {options.minutes:g} minutes", flush=True)
                    break
        except KeyboardInterrupt:
            break
    text = table(journal.outcomes)
    (output / "faults.md").write_text(text, encoding="utf-8")
    print(text)
    return int(any(not outcome.good for outcome in journal.outcomes))


def tries(part: str, options: argparse.Namespace, output: Path, journal: Journal) -> Iterable[Outcome]:
    """Make the tries of a part that the journal has not."""
    if part == "writers":
        from faults.attack import forks, writers

        forks.prepare(("torch", "fancnn.runs.checkpoints"))
        return writers.attack(output / "writers", options.writers, options.only, options.seed, journal)
    if part == "kills":
        from faults.attack import forks, kills

        forks.prepare()
        bench = kills.Bench(output / "bench").made()
        chosen = [one for one in kills.SCENARIOS if not options.only or one.name in options.only.split(",")]
        if options.point:
            plan = kills.Plan(options.point, options.how, options.seed)
            outcome, detail = kills.judged(bench, chosen[0], plan)
            print(f"{chosen[0].name}: {outcome}\n{detail}\nleft as it is: {bench.work}")
            return []
        return kills.attack(bench, chosen, options.kills, options.seed, journal)
    if part == "hostile":
        from faults.attack import forks, hostile

        forks.prepare()
        return hostile.attack(output / "hostile", options.hostile, options.seed, journal)
    if part == "settings":
        return settings(output, 60 * options.minutes, options.only, journal)
    if part == "fuzz":
        from faults.attack import fuzz

        return fuzz.attack(output / "fuzz", options.fuzz_minutes, options.seed, journal)
    if part == "requests":
        from faults.attack import traffic

        return traffic.attack(output / "requests", options.requests, options.seed, journal)
    raise SystemExit(f"parts={part} is none of {', '.join(PARTS)}")


def settings(output: Path, seconds: float, only: str, journal: Journal) -> Iterable[Outcome]:
    """Put wrong values into every key of every command, and see what the command says; one outcome for each hundred."""
    from faults import config_mutations

    end = time.monotonic() + seconds
    by_command: dict[str, list[list[str]]] = {}
    for command, arguments in config_mutations.mutations(output / "settings"):
        by_command.setdefault(command, []).append(arguments)
    for command in only.split(",") if only else by_command:
        for first in range(0, len(by_command[command]), 100):
            if time.monotonic() > end:
                return
            if not journal.has("settings", f"{command} from {first}: refused"):
                yield from judged(command, first, by_command[command][first : first + 100])


def judged(command: str, first: int, all_arguments: Iterable[list[str]]) -> Iterable[Outcome]:
    """Say what a command says to each of some arguments; `first` is the number of the first."""
    from faults import config_mutations

    counts = Counter[str]()
    for arguments in all_arguments:
        found = config_mutations.judge(command, arguments)
        counts[found.kind] += 1
        if found.kind in ("traceback", "hang"):
            again = f"python -m fancnn.{command} {shlex.join(arguments)}"
            yield Outcome("settings", command, f"{command} {arguments[-1]}", found.kind, False, again, found.text)
    for kind, name in (("accepted", "taken"), ("refused", "refused in words")):
        yield Outcome("settings", command, f"{command} from {first}: {kind}", name, True, tries=counts[kind])


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Read `key=value` arguments, as the program's own commands take them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = {
        **{"output": "outputs/attack", "parts": ",".join(PARTS), "seed": 0, "minutes": 120.0},
        **{"writers": 0, "kills": 400, "hostile": 500, "fuzz_minutes": 60.0, "requests": 100_000},
        **{"only": "", "point": 0, "how": "kill"},
    }
    for key, value in defaults.items():
        parser.add_argument(f"--{key}", type=type(value), default=value)
    return parser.parse_args([item if item.startswith("-") else f"--{item}" for item in arguments])


if __name__ == "__main__":
    sys.exit(main())
