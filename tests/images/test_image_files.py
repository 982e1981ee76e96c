"""Every image below a folder once, whatever links there are, and nothing passed over in silence."""

import os
from collections import Counter
from glob import glob
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.errors import UserError
from fancnn.files.regular_files import read_regular
from fancnn.images import image_files as walking
from fancnn.images.image_files import iter_image_files, matching_image_files


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def below(root: Path) -> list[str]:
    return [path.as_posix() for path in iter_image_files(root)]


def test_paths_come_by_folder_and_name(tmp_path: Path) -> None:
    others: Counter[str] = Counter()
    root = touched(tmp_path, "b/2.png", "b/10.png", "a/z/1.png", "a/1.png", "9.png", "b/notes.txt", ".hidden/1.png")
    assert [str(path) for path in iter_image_files(root, others)] == [
        "9.png", "a/1.png", "a/z/1.png", "b/10.png", "b/2.png"
    ]  # fmt: skip
    assert others == {".txt": 1}


def test_a_link_takes_no_folder_away_from_its_own_place(tmp_path: Path) -> None:
    """`a` comes before `real` by name, and yet the images are those of `real`."""
    root = touched(tmp_path, "set/real/1.png", "elsewhere/2.png") / "set"
    (root / "a").symlink_to(root / "real")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    assert below(root) == ["b/2.png", "real/1.png"]


def test_folders_that_link_to_each_other_are_looked_into_once(tmp_path: Path) -> None:
    """Each of 12 folders links to all: there are 12! ways through them."""
    root = tmp_path / "set"
    for index in range(12):
        touched(tmp_path, f"net/{index:02}/{index}.png")
    for index in range(12):
        for other in range(12):
            (tmp_path / f"net/{index:02}/to{other:02}").symlink_to(tmp_path / f"net/{other:02}")
    touched(root, "1.png")
    (root / "in").symlink_to(tmp_path / "net/00")
    found = below(root)
    assert len(found) == 13
    assert found == below(root)
    assert len(matching_image_files(root / "**/*.png")) == 13


def test_a_link_to_a_folder_above_brings_in_no_other_class(tmp_path: Path) -> None:
    root = touched(tmp_path, "GO/1.png", "NG/2.png", "elsewhere/3.png")
    (root / "GO/up").symlink_to(root)
    (root / "GO/out").symlink_to(root / "elsewhere")
    (root / "elsewhere/back").symlink_to(root)
    assert below(root / "GO") == ["1.png", "out/3.png"]


def refusing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = os.scandir

    def scandir(folder: str | Path) -> object:
        if Path(folder).name in names:
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_folder_that_cannot_be_listed_is_one_of_the_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touched(tmp_path, "a/1.png", "shut/2.png")
    refusing(monkeypatch, "shut")
    assert below(root) == ["a/1.png", "shut"]
    assert below(root / "shut") == ["."]
    for pattern in ("**/*.png", "*/*.png"):
        assert matching_image_files(root / pattern) == [root / "a/1.png", root / "shut"]
    with pytest.raises(IsADirectoryError, match="a folder that cannot be looked into: Permission denied"):
        read_regular(root / "shut", 10)


@pytest.mark.skipif(os.geteuid() == 0, reason="here every folder may be read")
def test_a_folder_that_really_cannot_be_listed(tmp_path: Path) -> None:
    root = touched(tmp_path, "a/1.png", "shut/2.png")
    (root / "shut").chmod(0)
    try:
        assert below(root) == ["a/1.png", "shut"]
    finally:
        (root / "shut").chmod(0o700)


def test_broken_links_and_pipes_with_the_name_of_an_image_are_among_the_paths(tmp_path: Path) -> None:
    root = touched(tmp_path, "1.png")
    (root / "broken.png").symlink_to(tmp_path / "gone")
    (root / "round.png").symlink_to(root / "round.png")
    os.mkfifo(root / "pipe.png")
    expected = ["1.png", "broken.png", "pipe.png", "round.png"]
    assert below(root) == expected
    assert [path.name for path in matching_image_files(root / "*.png")] == expected


def test_a_tree_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_FOLDERS", 3)
    touched(tmp_path, "a/1.png", "b/1.png")
    assert below(tmp_path) == ["a/1.png", "b/1.png"]
    touched(tmp_path, "c/1.png")
    with pytest.raises(UserError, match="has more than 3 folders: name a folder with fewer"):
        below(tmp_path)
    monkeypatch.setattr(walking, "MOST_FILES", 2)
    with pytest.raises(UserError, match="has more than 2 files"):
        matching_image_files(tmp_path / "*/*.png")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
def test_folders_of_the_operating_system_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc/self")
    with pytest.raises(UserError, match="lies in /proc, a folder of the operating system without images"):
        below(tmp_path)


names = st.sampled_from(["a", "b1", "b2.png", "c.png", ".d.png"])


@given(
    paths=st.lists(st.lists(names, min_size=1, max_size=3), max_size=8),
    pattern=st.lists(st.sampled_from(["**", "*", "b*", "?.png", "a", "[bc]*", "b2.png"]), min_size=1, max_size=4),
)
def test_patterns_mean_what_they_mean_elsewhere(
    paths: list[list[str]], pattern: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts in paths:
        path = root.joinpath(*(part.replace(".png", "") or part for part in parts[:-1]), parts[-1])
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            touched(root, str(path.relative_to(root)))
    expected = [Path(name) for name in glob(str(root.joinpath(*pattern)), recursive=True)]  # noqa: PTH207
    wanted = {path for path in expected if path.is_file() and path.suffix == ".png"}
    assert matching_image_files(root.joinpath(*pattern)) == sorted(wanted)
