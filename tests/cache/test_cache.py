import json
from pathlib import Path

import pytest
import torch
from samples import compose_command, write_images

from fancnn.cache.cache import look_after
from fancnn.cache.settings import CacheSettings
from fancnn.data.decoded_cache import cache_name, decoded_files
from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A cache with the decoded images of one folder; returns that cache folder."""
    root, preprocess = write_images(tmp_path / "images", {"GO": 5}), Preprocess((6, 8))
    folder = tmp_path / "cache/decoded" / cache_name(root, preprocess)
    decoded_files(folder, root, [f"GO/00{i}.png" for i in range(5)], preprocess)
    return folder


def ask(tmp_path: Path, do: str) -> bool:
    return look_after(compose_command("cache", CacheSettings, f"do={do}", f"folder={tmp_path / 'cache'}"))


def test_the_list_has_the_images_and_how_they_are_kept(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tmp_path, "list")
    output = capsys.readouterr().out
    assert "6x8 squash" in output
    assert "images" in output


def test_a_row_that_is_wrong_is_found_and_its_folder_made_anew(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tmp_path, "verify")
    pixels = kept / "pixels-1.u8"
    content = bytearray(pixels.read_bytes())
    content[3 * 6 * 8 * 2] ^= 1  # one bit of the third image
    pixels.write_bytes(content)
    assert not ask(tmp_path, "verify")
    assert "1 row was wrong, first of GO/002.png" in capsys.readouterr().out
    assert not kept.exists()
    assert ask(tmp_path, "verify")


def test_clear_removes_what_is_kept_and_nothing_else(kept: Path, tmp_path: Path) -> None:
    own = kept.parent / "notes"
    own.mkdir()
    (own / "mine.txt").write_text("keep")
    assert ask(tmp_path, "clear")
    assert not kept.exists()
    assert (own / "mine.txt").is_file()


@pytest.mark.parametrize("do", ["list", "verify", "clear"])
def test_what_a_killed_clear_has_left_is_not_looked_at_and_goes_with_the_next(
    kept: Path, tmp_path: Path, do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(tmp_path, "clear")
    assert not kept.exists()
    assert list(kept.parent.iterdir())
    assert ask(tmp_path, do)
    assert ask(tmp_path, "clear")
    assert not list(kept.parent.iterdir())


def test_a_folder_of_an_earlier_version_is_named_and_cleared(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = json.loads((kept / "about.json").read_text())
    (kept / "about.json").write_text(json.dumps({**about, "version": 2}))
    (kept / "index.sqlite").unlink()
    (kept / "index.csv").write_text("pixels-1.u8\r\nGO/000.png,10,20,30,40,abc,0,,def,end\r\n")
    assert ask(tmp_path, "list")
    assert "no longer used" in capsys.readouterr().out
    assert ask(tmp_path, "verify")
    assert f"{kept} is of an earlier version and no longer used; it can be removed" in capsys.readouterr().out
    assert ask(tmp_path, "clear")
    assert not kept.exists()


def test_another_wish_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do='tidy' is none of list, verify, clear"):
        ask(tmp_path, "tidy")


def test_rows_are_those_of_the_images(kept: Path, tmp_path: Path) -> None:
    again = decoded_files(kept, tmp_path / "images", ["GO/003.png"], Preprocess((6, 8)))
    assert again.pixels.shape == (5, 3, 6, 8)
    assert not torch.equal(again.pixels[again.rows[0]], again.pixels[0])
