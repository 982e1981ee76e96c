import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from samples import write_images

from fancnn.images.decoding import AHEAD, decode
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import read_image


def test_results_come_in_order_with_the_pixels_of_one_image_at_a_time(tmp_path: Path) -> None:
    paths = sorted(write_images(tmp_path, {"a": 60}).rglob("*.png"))
    preprocess = Preprocess((10, 12), "pad", "black")
    for path, found in zip(paths, decode(paths, preprocess, workers=3), strict=True):
        alone = preprocess.fit(torch.from_numpy(read_image(path)).permute(2, 0, 1)[None])[0]
        assert found.path == path
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert found.pixels is not None
        assert torch.equal(found.pixels, alone)


def test_threads_resize_alone_and_the_callers_number_of_threads_stays(tmp_path: Path) -> None:
    paths = sorted(write_images(tmp_path, {"a": 12}).rglob("*.png"))
    before, seen = torch.get_num_threads(), []

    class Watched(Preprocess):
        def fit(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return super().fit(images)

    assert len(list(decode(paths, Watched((10, 12)), workers=3))) == 12
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    path = tmp_path / "glass.png"
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(path)
    for background, level in (("white", 255), ("black", 0)):
        (found,) = decode([path], Preprocess((4, 4), background=background))  # type: ignore[arg-type]
        assert found.pixels is not None
        assert (found.pixels == level).all()


def test_a_bad_file_is_a_result_with_its_reason_and_stops_nothing(tmp_path: Path) -> None:
    paths = sorted(write_images(tmp_path, {"a": 3}).rglob("*.png"))
    paths[1].write_bytes(b"no image")
    found = list(decode([*paths, tmp_path / "gone.png"], Preprocess((4, 4))))
    assert [item.pixels is None for item in found] == [False, True, False, True]
    assert found[1].error.startswith("not an image")
    assert found[3].error.startswith("no such file")


def test_files_are_read_only_so_far_ahead(tmp_path: Path) -> None:
    """What keeps memory flat over any number of files."""
    (path,) = write_images(tmp_path, {"a": 1}).rglob("*.png")
    asked = 0

    def many() -> Iterator[Path]:
        nonlocal asked
        for _ in range(10_000):
            asked += 1
            yield path

    decoded = decode(many(), Preprocess((4, 4)), workers=2)
    for taken in range(1, 300):
        next(decoded)
        assert asked <= taken + 2 * AHEAD + 2
    decoded.close()  # type: ignore[attr-defined]  # a generator
    assert asked < 10_000
