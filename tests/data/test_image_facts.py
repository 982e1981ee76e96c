import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fancnn.data import image_facts
from fancnn.data.image_facts import ImageFacts, read_facts
from fancnn.images.image_gate import DEFAULT_GATE
from fancnn.images.reading import pixel_hash, read_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder, random = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for number in range(4):
        Image.fromarray(random.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_facts_are_those_of_the_file(root: Path) -> None:
    Image.fromarray(np.full((30, 50), 77, np.uint8)).save(root / "gray.jpg", quality=95)
    (gray,) = read_facts(root, ["gray.jpg"], DEFAULT_GATE)
    assert (gray.format, gray.mode, gray.height, gray.width, gray.error) == ("JPEG", "L", 30, 50, "")
    assert gray.pixel_sha256 == pixel_hash(read_image(root / "gray.jpg"))
    assert gray.megabytes == pytest.approx((root / "gray.jpg").stat().st_size / 1e6)
    assert (gray.brightness, gray.contrast, gray.sharpness) == (77, 0, 0)
    assert gray.color == gray.border == (77, 77, 77)
    assert (gray.gray == 77).all()


def test_the_border_is_the_outermost_sixteenth(root: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[4:-4, 4:-4] = (200, 100, 0)
    Image.fromarray(pixels).save(root / "framed.png")
    (framed,) = read_facts(root, ["framed.png"], DEFAULT_GATE)
    assert framed.border == (0, 0, 0)
    assert framed.color == pytest.approx((200 * 0.765625, 100 * 0.765625, 0))


def test_a_blurred_image_is_less_sharp(root: Path) -> None:
    image = Image.open(root / "0.png").resize((240, 160))
    for radius in (0, 1, 3):
        image.filter(ImageFilter.GaussianBlur(radius)).save(root / f"blurred-{radius}.png")
    sharp = [item.sharpness for item in read_facts(root, [f"blurred-{r}.png" for r in (0, 1, 3)], DEFAULT_GATE)]
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[0] > 3 * sharp[2] > 0


def test_what_was_read_is_not_read_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache")
    read = list[str]()
    original = image_facts._facts
    monkeypatch.setattr(
        image_facts, "_facts", lambda root, name, *more: read.append(name) or original(root, name, *more)
    )
    again = read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache")
    assert again == before
    assert all((one.gray == other.gray).all() for one, other in zip(before, again, strict=True))
    assert read == []
    Image.new("RGB", (9, 9)).save(root / "1.png")
    (root / "5.png").write_bytes((root / "0.png").read_bytes())
    changed = read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache")
    assert sorted(read) == ["1.png", "5.png"]
    assert changed == read_facts(root, names(root), DEFAULT_GATE)


def test_a_file_that_cannot_be_read_says_why_and_is_tried_again(root: Path, tmp_path: Path) -> None:
    (root / "0.png").write_bytes(b"no image")
    for _ in range(2):
        (bad,) = read_facts(root, ["0.png"], DEFAULT_GATE, tmp_path / "cache")
        assert bad.error.startswith("not an image")
    Image.new("RGB", (9, 9)).save(root / "0.png")
    assert read_facts(root, ["0.png"], DEFAULT_GATE, tmp_path / "cache")[0].error == ""


@pytest.mark.parametrize("damage", ["no database", "another version", "no JSON", "short gray"])
def test_a_damaged_store_is_made_anew(root: Path, tmp_path: Path, damage: str) -> None:
    expected = read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache")
    (store,) = (tmp_path / "cache").iterdir()
    if damage == "no database":
        store.write_bytes(b"x" * 5000)
    else:
        with closing(sqlite3.connect(store, isolation_level=None)) as database:
            database.execute(
                {
                    "another version": "PRAGMA user_version = 99",
                    "no JSON": "UPDATE facts SET facts = '[1'",
                    "short gray": "UPDATE facts SET gray = x'00'",
                }[damage]
            )
    assert read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache") == expected


def test_an_interrupted_reading_goes_on(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_facts, "FLUSH_EVERY", 1)

    def stop_at_the_third(facts: object, total: int) -> object:
        for number, item in enumerate(facts):  # type: ignore[call-overload]
            if number == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache", stop_at_the_third)  # type: ignore[arg-type]
    left = list[int]()

    def count(facts: object, total: int) -> object:
        left.append(total)
        return facts

    read = read_facts(root, names(root), DEFAULT_GATE, tmp_path / "cache", count)  # type: ignore[arg-type]
    assert left == [2]
    assert all(isinstance(item, ImageFacts) and not item.error for item in read)
