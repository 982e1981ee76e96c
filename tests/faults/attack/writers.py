"""End each writer of files at every point, in every way: what is read afterwards is the old content or the new one.

And once the writer has returned, a power cut must leave the new one.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faults.attack.forks import forked
from faults.attack.injection import HOW, Injection, Plan
from faults.attack.outcomes import FAILED, Journal, Outcome, attempted

AT_THE_END = 10**6  # the point after the last


@dataclass(frozen=True)
class Writer:
    """A writer of files.

    Attributes:
        name: Of the row.
        write: Writes the content of a number in a folder, over that of another number.
        read: Reads the number back; None where there is nothing.
        absent: Whether nothing is right, too, after a kill over an old content.
    """

    name: str
    write: Callable[[Path, int], None]
    read: Callable[[Path], int | None]
    absent: bool = False


def write_csv(folder: Path, number: int) -> None:
    from fancnn.files.tables import table_writer

    with table_writer(folder / "new/deep/table.csv", ("number",), 1) as add:
        for _ in range(300):
            add({"number": number})


def read_csv(folder: Path) -> int | None:
    from fancnn.files.tables import read_table

    path = folder / "new/deep/table.csv"
    if not path.exists():
        return None
    rows = read_table(path, ("number",), 1)
    assert len(rows) == 300
    return int(rows[-1]["number"])


def write_json(folder: Path, number: int) -> None:
    from fancnn.runs.metrics_file import RunMetrics, write_metrics

    write_metrics(folder / "metrics.json", RunMetrics(epoch=number))


def read_json(folder: Path) -> int | None:
    path = folder / "metrics.json"
    return int(json.loads(path.read_text())["epoch"]) if path.exists() else None


def write_checkpoint(folder: Path, number: int) -> None:
    """Both names of a run's checkpoints, as training leaves them where the last epoch is the best."""
    import torch

    from fancnn.training import checkpointing

    best = folder / "checkpoints/best.ckpt"
    content = {
        "fancnn": {"format": "fancnn-checkpoint", "version": 4, "number": number},
        "state_dict": {"w": torch.zeros(500)},
    }
    checkpointing.AtomicCheckpointIO().save_checkpoint(content, best)
    assert checkpointing._linked(best, best.with_name("last.ckpt"))


def read_checkpoint(folder: Path) -> int | None:
    """The number in the last one, which is never ahead of the best."""
    import torch

    from fancnn.files.seals import validate_archive

    numbers = []
    for path in (folder / f"checkpoints/{name}.ckpt" for name in ("best", "last")):
        number = 0
        if path.exists():
            with path.open("rb") as file:
                assert validate_archive(file), f"{path} has no seal"
            number = int(torch.load(path, weights_only=True)["fancnn"]["number"])
        numbers.append(number)
    assert numbers[0] >= numbers[1]
    return numbers[1] or None


def write_export(folder: Path, number: int) -> None:
    from fancnn.export.writing import atomic_export
    from fancnn.inference.export_formats import FORMATS

    form = FORMATS["openvino"]
    with atomic_export(folder / "a.xml", form) as path:
        for file in form.files(path):
            file.write_bytes(f"{number}".encode() * 5000)


def read_export(folder: Path) -> int | None:
    if not (folder / "a.xml").exists():
        return None
    contents = {(folder / name).read_bytes() for name in ("a.xml", "a.bin")}
    assert len(contents) == 1, "two files of different exports"
    content = contents.pop()
    assert len(content) == 5000
    return int(content[:1])


def write_fans(folder: Path, number: int) -> None:
    from fancnn.rendering.rendered_set import _appearing

    if (folder / "fans").exists():
        shutil.rmtree(folder / f"before-{number}", ignore_errors=True)
        (folder / "fans").rename(folder / f"before-{number}")
    with _appearing(folder / "fans", "fans") as made:
        (made / "GO").mkdir()
        for name in ("fans.csv", "GO/1.jpg"):
            (made / name).write_bytes(f"{number}".encode() * 3000)


def read_fans(folder: Path) -> int | None:
    if not (folder / "fans").exists():
        return None
    contents = {(folder / "fans" / name).read_bytes() for name in ("fans.csv", "GO/1.jpg")}
    assert {len(content) for content in contents} == {3000}
    return int(contents.pop()[:1])


def write_ledger(folder: Path, number: int) -> None:
    import numpy as np

    from fancnn.runs.looks import Ledger, Question

    Ledger(folder / "looks").record(
        Question("test", f"model {number}", "scores"), np.arange(1, 9 + number, dtype=np.uint64)
    )


def read_ledger(folder: Path) -> int | None:
    """How many looks there are; their sets of images are read, too."""
    import numpy as np

    from fancnn.runs.looks import Ledger, Question

    ledger = Ledger(folder / "looks")
    looks = ledger.looks()
    ledger.known(Question("test", "another", "scores"), np.arange(1, 9, dtype=np.uint64))
    return len(looks) or None


def write_cache(folder: Path, number: int) -> None:
    from fancnn.data.decoded_cache import decoded_files
    from fancnn.images.preprocess import Preprocess

    names = [f"{place}.png" for place in range(number)]
    decoded_files(folder / "cache", folder.parent / "images", names, Preprocess((8, 8)))


def read_cache(folder: Path) -> int | None:
    """How many images are there, each with the pixels of its file."""
    from fancnn.data.cache_index import INDEX, open_index
    from fancnn.data.decoded_cache import wrong_rows
    from fancnn.images.preprocess import Preprocess

    if not (folder / "cache" / INDEX).exists():
        return None
    assert not wrong_rows(folder / "cache", Preprocess((8, 8)))
    with open_index(folder / "cache") as index:
        return len(index) or None


WRITERS = (
    Writer("a table", write_csv, read_csv),
    Writer("metrics.json", write_json, read_json),
    Writer("checkpoints", write_checkpoint, read_checkpoint),
    Writer("an exported pair", write_export, read_export, absent=True),
    Writer("rendered images", write_fans, read_fans, absent=True),
    Writer("the ledger of looks", write_ledger, read_ledger),
    Writer("decoded images", write_cache, read_cache),
)


def attack(folder: Path, count: int, only: str, seed: int, journal: Journal) -> Iterator[Outcome]:
    """Make the tries that the journal has not, and yield what they come to; 0 is every point in every way."""
    from samples import write_images

    shutil.rmtree(folder, ignore_errors=True)
    write_images(folder, {"images/GO": 2}, (8, 8))
    for place, path in enumerate(sorted((folder / "images/GO").iterdir())):
        path.rename(folder / f"images/{place}.png")
    chosen = [writer for writer in WRITERS if not only or writer.name in only.split(",")]
    tries = [
        (writer, old, Plan(point, how, seed))
        for writer in chosen
        for old in (0, 1)
        for point in (*range(1, counted(writer, folder, old) + 1), AT_THE_END)
        for how in HOW
    ]
    for writer, old, plan in random.Random(seed).sample(tries, min(count, len(tries))) if count else tries:
        name = f"{writer.name} over {old}, {plan.how} at {plan.point}, seed {seed}"
        if not journal.has("writers", name):
            outcome, good = attempted(
                lambda: judged(writer, folder, old, plan),  # noqa: B023  # called at once
                lambda text: (f"{FAILED}: {text[-200:]}", False),
            )
            again = f"python tests/faults/attack parts=writers only={writer.name!r} seed={seed} output=..."
            yield Outcome("writers", writer.name, name, outcome, good, again)


def counted(writer: Writer, folder: Path, old: int) -> int:
    names = folder / "points"
    names.unlink(missing_ok=True)
    broken(writer, folder, old, Plan(), names)
    return len(names.read_text().splitlines())


def broken(writer: Writer, folder: Path, old: int, plan: Plan, names: Path | None = None) -> Path:
    """Write over an old content (0: over nothing) until the planned end; the folder that is left."""
    work, side = folder / "work", folder / "side"
    for place in (work, side):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    if old:
        writer.write(work, old)

    def story() -> int:
        injection = Injection([work], plan, side, names)
        injection.install()
        writer.write(work, old + 1)
        if plan.point == AT_THE_END:
            injection.end()
        return 0

    answer = forked(story, folder)
    if answer.code not in (0, -9):
        raise RuntimeError(answer.text)
    return work


def judged(writer: Writer, folder: Path, old: int, plan: Plan) -> tuple[str, bool]:
    work = broken(writer, folder, old, plan)
    try:
        found = writer.read(work)
    except Exception as error:
        return f"neither old nor new: {error!r}"[:200], False
    if plan.point == AT_THE_END:
        return ("new", True) if found == old + 1 else (f"written, and lost in a power cut: {found}", False)
    if found in (old + 1, old or None) or (writer.absent and found is None):
        writer.write(work, old + 1)
        rest = [path.name for path in work.rglob("*.partial*")]
        return (f"{rest[0]} stays", False) if rest else ("old or new", True)
    return f"neither old nor new: {found}", False
