import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from samples import process_environment

from fancnn.files.atomic_files import atomic_file, atomic_folder, remove_folder, write_atomically

HOLDS = """
import sys
from pathlib import Path
from fancnn.files.atomic_files import atomic_file
with atomic_file(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Another process, in the middle of writing `tmp_path / "a.csv"`."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "a.csv")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=process_environment())
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_file(tmp_path / "a.csv") as partial:
            partial.write_bytes(b"ne")
            raise OSError("disk full")

    write_atomically(tmp_path / "a.csv", b"old")
    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"old"


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path, writer: "subprocess.Popen[bytes]") -> None:
    (tmp_path / ".b.csv.partial-1").write_bytes(b"of another file")
    (tmp_path / ".a.csv.partial-1").mkdir()  # a folder may be half-written, too
    writer.kill()
    writer.communicate()
    assert len(names(tmp_path)) == 3
    write_atomically(tmp_path / "a.csv", b"new")
    assert names(tmp_path) == [".b.csv.partial-1", "a.csv"]


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path, writer: "subprocess.Popen[bytes]") -> None:
    write_atomically(tmp_path / "a.csv", b"here")
    assert len(names(tmp_path)) == 2
    writer.communicate(b"")
    assert writer.returncode == 0
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"half"


def test_two_writers_in_one_process_do_not_meet(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as first, atomic_file(tmp_path / "a") as second:
        first.write_bytes(b"1")
        second.write_bytes(b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["a"]


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path) -> None:
    for name in ("n" * 251 + ".csv", "\u00e9" * 125 + ".csv", "[a-z]*.csv"):
        write_atomically(tmp_path / name, b"all")
        write_atomically(tmp_path / name, b"all of it")
        assert (tmp_path / name).read_bytes() == b"all of it"
    assert len(names(tmp_path)) == 3


def test_rights_and_times_are_those_of_a_file_that_is_written_or_copied(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"1")
    write_atomically(tmp_path / "written", b"1")
    assert stat.S_IMODE((tmp_path / "written").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    os.utime(tmp_path / "plain", (1, 1))
    with atomic_file(tmp_path / "copy") as partial:
        shutil.copy2(tmp_path / "plain", partial)
    assert (tmp_path / "copy").stat().st_mtime == 1


def test_a_folder_vanishes_with_what_is_left_in_it(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "new/a.xml") as folder:
        (folder / "a.xml").write_bytes(b"1")
        (folder / "rest").write_bytes(b"2")
        (folder / "a.xml").replace(tmp_path / "new/a.xml")
    assert names(tmp_path / "new") == ["a.xml"]


def test_a_folder_that_is_removed_is_whole_or_gone_and_its_rest_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["b"]
    remove_folder(tmp_path / "b")
    assert not list(tmp_path.iterdir())
