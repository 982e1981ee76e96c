import os
import shutil
import subprocess
import sys
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
from fancnn.data.cache_index import Line, read_index
from fancnn.data.decoded_cache import DecodedFiles, cache_name, decoded_afresh, decoded_files
from fancnn.images.decoding import decode
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess

PREPROCESS = Preprocess((6, 8))


def names_in(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*") if path.is_file())


def pixels_of(found: DecodedFiles) -> torch.Tensor:
    return found.pixels[torch.tensor([line.row for line in found.lines])]


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
    assert again.lines[0].sha256 != before.lines[0].sha256


def test_a_touched_or_copied_file_gets_no_second_row(root: Path, tmp_path: Path) -> None:
    rows = len(cached(tmp_path, root).pixels)
    os.utime(root / "GO/000.png")
    shutil.copy(root / "GO/001.png", root / "GO/copy.png")
    assert len(cached(tmp_path, root).pixels) == rows


def test_an_interrupted_build_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, decoded_now: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "FLUSH_EVERY", 4)

    def stopped(lines: Iterable[Line], total: int) -> Iterator[Line]:
        for count, line in enumerate(lines):
            if count == 10:
                raise KeyboardInterrupt
            yield line

    with pytest.raises(KeyboardInterrupt):
        decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS, track=stopped)
    decoded_now.clear()
    decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS)
    assert len(decoded_now) == 20 - 8
    cached(tmp_path, root)


@pytest.mark.slow
@settings(max_examples=40)
@given(cut=st.integers(1, 3000), rows=st.integers(0, 20))
def test_files_cut_anywhere_by_a_crash_give_the_same_pixels(
    cut: int, rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("crash")
    root = write_images(place / "images", {"GO": 12, "NG": 8})
    cached(place, root)
    index = place / "cache/index.csv"
    header = len(b"pixels-1.u8\r\n")
    os.truncate(index, max(header, index.stat().st_size - cut))
    os.truncate(place / "cache/pixels-1.u8", rows * 3 * 6 * 8)
    cached(place, root)
    cached(place, root)


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
        assert (found.lines[0].row, found.lines[0].error.split()[0]) == (-1, "empty")
    Image.new("RGB", (5, 5)).save(root / "GO/000.png")
    assert decoded_files(tmp_path / "cache", root, names_in(root), PREPROCESS).lines[0].row >= 0


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
def track(lines, total):
    for line in lines:
        new.append(line)
        yield line
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


def test_a_line_cut_short_is_passed_over(root: Path, tmp_path: Path) -> None:
    cached(tmp_path, root)
    _, index = read_index(tmp_path / "cache")
    path = tmp_path / "cache/index.csv"
    os.truncate(path, path.stat().st_size - 5)
    _, shorter = read_index(tmp_path / "cache")
    assert len(shorter) == len(index) - 1
