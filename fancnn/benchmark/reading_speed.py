"""Files to pixels, to the cache, to decisions."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from fancnn.data.decoded_cache import decoded_files
from fancnn.images.decoding import decode
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import read_image
from fancnn.model import Model
from fancnn.system.timing import Result, in_turn, seconds


def reading_results(root: Path, scratch: Path, model: Model, repeats: int) -> list[Result]:
    """Return files a second, end to end, each beside the part of the work it cannot do without."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    files, preprocess = [root / name for name in names], model.preprocess
    alone, build, predict = in_turn(
        repeats,
        lambda: len(files) / seconds(lambda: _exhaust(decode(files, preprocess))),
        lambda: len(files) / _cold_build(scratch, root, names, preprocess),
        lambda: len(files) / seconds(lambda: _exhaust(model.score_files(files))),
    )
    (one_core,) = in_turn(1, lambda: len(files[:300]) / seconds(lambda: [read_image(path) for path in files[:300]]))
    (warm,) = in_turn(
        repeats,
        lambda: len(files) / seconds(lambda: decoded_files(scratch / "warm", root, names, preprocess)),
    )
    limit = "decoder and resize alone"
    return [
        Result("decoder alone, one core", "files/s", one_core),
        Result("decoder and resize, all cores", "files/s", alone),
        Result("cache build, cold", "files/s", build, alone, limit),
        Result("cache read, warm", "files/s", warm),
        Result("predict, end to end", "files/s", predict, alone, limit),
    ]


def latency_results(model: Model, image: Path, count: int = 200) -> list[Result]:
    """Return the milliseconds from a file to a decision, one image at a time."""
    for _ in range(20):
        model.predict(image)
    times = sorted(seconds(lambda: model.predict(image)) * 1000 for _ in range(count))
    return [
        Result("one image, p50", "ms", [times[count // 2]]),
        Result("one image, p99", "ms", [times[count * 99 // 100]]),
    ]


def _cold_build(scratch: Path, root: Path, names: Sequence[str], preprocess: Preprocess) -> float:
    shutil.rmtree(scratch / "cold", ignore_errors=True)
    return seconds(lambda: decoded_files(scratch / "cold", root, names, preprocess))


def _exhaust(items: object) -> None:
    for _ in items:  # type: ignore[attr-defined]
        pass
