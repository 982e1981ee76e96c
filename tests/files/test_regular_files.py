import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from fancnn.files.regular_files import read_regular, size_of_regular


def test_a_regular_file_is_read_whole_and_through_links(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"content")
    link.symlink_to(path)
    assert read_regular(path, 7) == read_regular(str(link), 10**12) == b"content"
    assert size_of_regular(link, 7) == 7


def test_more_bytes_than_expected_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(10**10)  # a hole takes no place on the disk
    with pytest.raises(OSError, match="more than 1,000 bytes") as caught:
        read_regular(path, 1000)
    assert caught.value.errno == errno.EFBIG


def test_a_file_without_a_size_is_read_up_to_the_bound() -> None:
    assert b"Pid:" in read_regular("/proc/self/status", 100_000)
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_regular("/proc/self/status", 10)


def test_nothing_but_regular_files_is_opened(tmp_path: Path) -> None:
    pipe, zeros = tmp_path / "pipe", tmp_path / "zeros"
    os.mkfifo(pipe)
    zeros.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name, kind in (("pipe", "a named pipe"), ("zeros", "a device"), ("socket", "a socket")):
            with pytest.raises(OSError, match=f"{kind}, not a regular file"):
                read_regular(tmp_path / name, 1000)
    with pytest.raises(IsADirectoryError, match="a folder, not a file"):
        read_regular(tmp_path, 1000)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "gone", 1000)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "a", os.open

    def swapped(name: str, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return real(name, flags)

    path.write_bytes(b"x")
    monkeypatch.setattr("fancnn.files.regular_files.os.open", swapped)
    found: list[BaseException] = []

    def read() -> None:
        try:
            read_regular(path, 10)
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(60)  # no bound on speed: where it waits, it waits for ever
    assert "a named pipe" in str(found)


def test_a_folder_that_cannot_be_listed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr("fancnn.files.regular_files.os.scandir", refused)
    with pytest.raises(IsADirectoryError, match="a folder that cannot be looked into: Permission denied"):
        read_regular(tmp_path, 10)
