import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from samples import process_environment, write_images

from fancnn.data import decoded_cache as cache
from fancnn.data.cache_index import INDEX, IndexEntry
from fancnn.data.decoded_cache import DecodedFiles, cache_name, decoded_afresh, decoded_files
from fancnn.errors import UserError
from fancnn.images.decoding import Decoded, decode
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess

PREPROCESS = Preprocess((6, 8))


def names_in(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*") if path.is_file())


def pixels_of(found: DecodedFiles) -> torch.Tensor:
    return found.pixels[torch.from_numpy(found.rows)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", {"GO": 12, "NG/deep": 8})


@pytest.fixture
def decoded_now(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded since the list was last cleared."""
    seen: list[str] = []

    def watched(paths: Iterable[Path], preprocess: Preprocess, gate: ImageGate) -> Iterator[object]:
        wanted = list(paths)
        seen.extend(path.name for path in wanted)
        return decode(wanted, preprocess, gate=gate)

    monkeypatch.setattr(cache, "decode", watched)
    return seen


def cached(tmp_path: Path, root: Path) -> DecodedFiles:
    found = decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
    assert torch.equal(pixels_of(found), pixels_of(decoded_afresh(root, names_in(root), PREPROCESS)))
    return found


def test_a_file_is_decoded_once(root: Path, tmp_path: Path, decoded_now: list[str]) -> None:
    cached(tmp_path, root)
    decoded_now.clear()
    decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
    assert decoded_now == []


def test_only_what_was_added_or_changed_is_decoded_again(root: Path, tmp_path: Path, decoded_now: list[str]) -> None:
    cached(tmp_path, root)
    Image.new("RGB", (5, 5), "red").save(root / "GO/new.png")
    Image.new("RGB", (5, 5), "blue").save(root / "GO/003.png")
    (root / "GO/004.png").unlink()
    decoded_now.clear()
    decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
    assert sorted(decoded_now) == ["003.png", "new.png"]
    cached(tmp_path, root)


def test_a_file_changed_within_its_old_time_and_size_is_noticed(root: Path, tmp_path: Path) -> None:
    path = root / "GO/000.png"
    before = cached(tmp_path, root)
    stat, content = path.stat(), bytearray(path.read_bytes())
    other = bytearray((root / "GO/001.png").read_bytes())
    content[: len(other)] = other[: len(content)]
    path.write_bytes(content.ljust(stat.st_size, b"\0")[: stat.st_size])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
    assert again.hashes_of(0) != before.hashes_of(0)


def test_a_touched_or_copied_file_gets_no_second_row(root: Path, tmp_path: Path) -> None:
    rows = len(cached(tmp_path, root).pixels)
    os.utime(root / "GO/000.png")
    shutil.copy(root / "GO/001.png", root / "GO/copy.png")
    assert len(cached(tmp_path, root).pixels) == rows


def test_an_interrupted_build_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, decoded_now: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FLUSH_EVERY", 4)

    def stopped(entries: Iterable[IndexEntry], total: int) -> Iterator[IndexEntry]:
        for count, entry in enumerate(entries):
            if count == 10:
                raise KeyboardInterrupt
            yield entry

    with pytest.raises(KeyboardInterrupt):
        decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS, track=stopped)
    decoded_now.clear()
    decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
    assert len(decoded_now) == 20 - 8
    cached(tmp_path, root)


@pytest.mark.parametrize("rows", [0, 1, 7, 19])
def test_rows_that_a_crash_has_taken_are_decoded_again(rows: int, root: Path, tmp_path: Path) -> None:
    cached(tmp_path, root)
    os.truncate(tmp_path / "cache/pixels-1.u8", rows * 3 * 6 * 8 + 5)
    names = names_in(root)
    decoded_files(tmp_path / "cache", root, names[-1:], PREPROCESS)  # into the row that another one had
    cached(tmp_path, root)


KILLED = """
import json, shutil, sys
from itertools import count
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faults.attack.forks import forked, prepare
from faults.attack.injection import Injection, Plan
from fancnn.data import decoded_cache as cache
from fancnn.images.preprocess import Preprocess
prepare(["torch"])
root, place, kept = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
cache.FLUSH_EVERY, cache.SPARE, names = 2, 0, sorted(path.name for path in root.iterdir())

def build(names, seen=None):
    def track(entries, total):
        if seen is not None:
            seen.write_text(str(total))
        return entries
    found = cache.decoded_files(place / "work/cache", root, names, Preprocess((6, 8)), track=track)
    now = cache.decoded_afresh(root, names, Preprocess((6, 8)))
    assert [int(pixels.sum()) for pixels in found.pixels[found.rows]] == [int(pixels.sum()) for pixels in now.pixels]
    return 0

def killed():
    Injection([place / "work"], Plan(point), place / "side", place / "point").install()
    return build(names[:kept])

for point in count(1):
    for folder in ("work", "side"):
        shutil.rmtree(place / folder, ignore_errors=True)
        (place / folder).mkdir()
    if kept < len(names):  # the rows of the others move to a new file
        assert forked(lambda: build(names), place).code == 0
        (place / "work/gone").mkdir()
        for name in names[kept:]:
            (root / name).rename(place / "work/gone" / name)
    (place / "point").unlink(missing_ok=True)
    first = forked(killed, place)
    (place / "left").write_text("0")
    again = forked(lambda: build(names[:kept], place / "left"), place)
    for name in names[kept:]:
        (place / "work/gone" / name).rename(root / name)
    named = json.loads((place / "point").read_text().splitlines()[-1])
    print(json.dumps([named, first.code, again.code, int((place / "left").read_text()), first.text + again.text]))
    if first.code == 0:
        break
"""


@pytest.mark.slow
@pytest.mark.parametrize("kept", [5, 2])
def test_whenever_a_build_is_killed_the_next_one_builds_on_what_it_left(kept: int, tmp_path: Path) -> None:
    """By SIGKILL, at each point of a build of five files, or of one that moves two of five rows to a new file."""
    root = write_images(tmp_path / "images", {"GO": 5}) / "GO"
    arguments = [str(Path(__file__).parents[1]), str(root), str(tmp_path), str(kept)]
    answer = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env={**process_environment(), "OMP_NUM_THREADS": "1"},  # a fork beside torch's threads may wait for ever
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    tries = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [again for _, _, again, _, _ in tries] == [0] * len(tries), tries
    assert [first for _, first, _, _, _ in tries] == [-signal.SIGKILL] * (len(tries) - 1) + [0], tries
    words = [point.split()[0] for point, *_ in tries]
    left = [count for *_, count, _ in tries]
    if kept == 5:
        assert {"CREATE", "REPLACE", "COMMIT"} <= set(words)
        assert sorted(set(left)) == [0, 1, 3, 5], "as many lots as were brought to the disk are not decoded again"
        assert left == sorted(left, reverse=True)
    else:
        assert {"DELETE", "UPDATE", "COMMIT"} <= set(words)
        assert set(left) == {0}


def test_rows_of_files_that_are_gone_are_dropped_and_the_rest_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SPARE", 0)
    before = cached(tmp_path, root)
    kept_by_a_training = pixels_of(before).clone()
    for name in names_in(root)[3:]:
        (root / name).unlink()
    after = cached(tmp_path, root)
    assert len(after.pixels) == 3
    assert [path.name for path in (tmp_path / "cache").glob("pixels-*")] == ["pixels-2.u8"]
    assert torch.equal(pixels_of(before), kept_by_a_training), "a process that has the old file open reads on"


def test_unreadable_files_keep_their_reason(root: Path, tmp_path: Path) -> None:
    (root / "GO/000.png").write_bytes(b"")
    for _ in range(2):
        found = decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
        assert (found.rows[0], found.errors[0].split()[0]) == (-1, "empty")
    Image.new("RGB", (5, 5)).save(root / "GO/000.png")
    assert decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS).rows[0] >= 0


def test_whatever_may_change_a_pixel_has_a_folder_of_its_own(tmp_path: Path) -> None:
    ways = [Preprocess((6, 8)), Preprocess((8, 6)), Preprocess((6, 8), "pad"), Preprocess((6, 8), background="black")]
    names = {cache_name(root, way) for root in (tmp_path / "a", tmp_path / "b") for way in ways}
    assert len(names) == 8
    assert cache_name(tmp_path / "a", Preprocess((6, 8), mean=(0.5, 0.5, 0.5))) in names, "scaling comes later"


BUILD = """
import sys
from pathlib import Path
from fancnn.data import decoded_cache as cache
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
new = []
def track(entries, total):
    for entry in entries:
        new.append(entry)
        yield entry
root = Path(sys.argv[1])
names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
cache.decoded_files(Path(sys.argv[2]), root, names, Preprocess((6, 8)), track=track)
print(len(new))
"""


@pytest.mark.slow
def test_two_processes_that_start_together_build_once(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(root), str(tmp_path / "cache")]
    started = [
        subprocess.Popen(command, env=process_environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    built = [int(process.communicate()[0]) for process in started]
    assert sorted(built) == [0, 20]
    cached(tmp_path, root)


FULL_DISK = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a file may not grow further, as on a full disk
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.split_plan import SplitPlan
data = ImageDataModule(sys.argv[1], "GO", Preprocess((6, 8)), SplitPlan(), cache=Path(sys.argv[2]))
data.setup()
print(len(data.images))
"""


@pytest.mark.slow
@pytest.mark.parametrize("obstacle", ["full disk", "a file in the way"])
def test_without_a_place_for_the_cache_training_goes_on(obstacle: str, root: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    if obstacle == "a file in the way":
        place.write_text("x")
    command = [sys.executable, "-c", FULL_DISK, str(root), str(place)]
    answer = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "warning: decoded images cannot be kept in" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "20"


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jpg", "gif", "ppm"])
@settings(max_examples=8)
@given(size=st.tuples(st.integers(1, 60), st.integers(1, 60)), resize=st.sampled_from(["squash", "pad"]))
def test_pixels_are_the_same_with_and_without_cache_and_for_one_image_alone(
    suffix: str, size: tuple[int, int], resize: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("formats")
    random = np.random.default_rng(size[0] * 100 + size[1])
    Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(place / f"a.{suffix}")
    preprocess = Preprocess((20, 24), resize)  # type: ignore[arg-type]
    kept = decoded_files(place / "cache", place, [f"a.{suffix}"], preprocess)
    again = decoded_files(place / "cache", place, [f"a.{suffix}"], preprocess)
    (alone,) = decode([place / f"a.{suffix}"], preprocess)
    assert alone.pixels is not None
    assert torch.equal(kept.pixels[0], alone.pixels)
    assert torch.equal(again.pixels[0], alone.pixels)


def test_what_is_held_in_memory_are_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_up(paths: Iterable[Path], preprocess: Preprocess, gate: ImageGate) -> Iterator[Decoded]:
        for path in paths:
            sha256 = hashlib.sha256(str(path).encode()).hexdigest()
            yield Decoded(path, sha256, torch.zeros(3, 1, 1, dtype=torch.uint8), pixel_sha256=sha256)

    monkeypatch.setattr(cache, "decode", made_up)
    names = [f"GO/{number:05}.png" for number in range(5000)]

    def memory(place: Path) -> float:
        """Bytes for each file, at most, to read a whole cache."""
        decoded_files(place, tmp_path, names, Preprocess((1, 1)))
        tracemalloc.start()
        found = decoded_files(place, tmp_path, names, Preprocess((1, 1)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.rows.tolist() == list(range(5000))
        return most / len(names)

    assert memory(tmp_path / "cache") < 100, "8 for the row and 64 for two hashes; an object with both takes 500"


def test_an_index_that_is_damaged_is_refused_in_words(root: Path, tmp_path: Path) -> None:
    cached(tmp_path, root)
    path = tmp_path / "cache" / INDEX
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match=r"cache is damaged: its index\.sqlite is no .* Remove the folder"):
        decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)


def test_a_file_that_goes_away_while_rows_move_is_said_to_be_missing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(tmp_path, root)
    monkeypatch.setattr(cache, "SPARE", 0)
    (root / "GO/000.png").unlink()
    found = decoded_files(tmp_path / "cache", root, ["GO/000.png", "GO/001.png"], PREPROCESS)
    assert found.errors == {0: "no such file: was it moved or deleted?"}
