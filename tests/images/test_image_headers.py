"""Small files that claim much: refused by what their headers say, in words that name the key."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from samples import process_environment

from fancnn.cli.command import conf_dir
from fancnn.data.decoded_cache import decoded_files, wrong_rows
from fancnn.errors import UserError
from fancnn.images import preprocess, reading
from fancnn.images.decoding import decode_file
from fancnn.images.image_gate import ImageGate, Room
from fancnn.images.image_headers import decoding_bytes
from fancnn.images.preprocess import Preprocess, resized
from fancnn.images.reading import UnreadableImage, opened, read_image
from fancnn.settings.groups import ImageLimits

Image.init()


def png(width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG of that size whose pixels are all there, in few bytes."""
    rows = zlib.compress((b"\0" + bytes(3 * width)) * height, 9) if width * height < 10**8 else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiff(*entries: tuple[int, int, int, int]) -> bytes:
    """A little TIFF with one directory of (tag, type, count, value)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(64)


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 100).convert("RGB").convert(mode).save(file, kind, **options)
    return file.getvalue()


SIDE_OF_TIFF = tiff((256, 4, 1, 10**6), (257, 4, 1, 1), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8))
BOMBS = {
    "a PNG of one row": (png(20_000_000, 1), "20000000x1: a side of more than 65,535 pixels; image_limits.max_side="),
    "a PNG of many pixels": (
        png(13_000, 13_000),
        "13000x13000: 169 megapixels, more than 100; image_limits.megapixels=169 allows it",
    ),
    "a PNG of far more": (png(60_000, 60_000), "3,600 megapixels: more than any image may have"),
    "a GIF": (
        b"GIF89a" + struct.pack("<HHBBB", 60_000, 2_000, 0, 0, 0) + b",\0\0\0\0\x01\0\x01\0\0\x02\0",
        "60000x2000",
    ),
    "a GIF of remarks": (b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe" + (b"\xff" + bytes(255)) * 5_000, "before its image"),
    "a WebP": (b"RIFF\x20\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + b"\xff\xff\x00" * 2, "65536x65536: a side of more"),
    "a PPM": (b"P6\n90000 3\n255\n", "90000x3: a side of more"),
    "a PPM of remarks": (b"P6\n#" + b"x" * 2**21 + b"\n1 1\n255\n\0\0\0", "its header cannot be read"),
    "a BMP": (saved("BMP")[:18] + struct.pack("<ii", 70_000, 30) + saved("BMP")[26:], "70000x30: a side of more"),
    "a TIFF": (SIDE_OF_TIFF, "1000000x1: a side of more"),
    "a TIFF of strips": (tiff((273, 4, 10**9, 8)), "tag 273 has 1,000,000,000 values"),
    "a TIFF of one tile": (tiff((322, 4, 1, 30_000), (323, 4, 1, 30_000)), "30000x30000: 900 megapixels"),
    "a TIFF of overlapping tags": (tiff(*((40_000 + index, 1, 150, 0) for index in range(9))), "its tags have more"),
    "a JPEG of scans": (saved("JPEG")[:-2] + b"\xff\xda\0\2" * 101 + b"\xff\xd9", "more than 100 scans"),
}


@pytest.mark.parametrize(("content", "reason"), BOMBS.values(), ids=BOMBS)
def test_what_claims_too_much_is_refused_before_a_pixel_is_decoded(
    content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(image: Image.Image) -> None:
        raise AssertionError(f"{image.size} decoded")

    monkeypatch.setattr(reading, "as_rgb", loaded)
    with pytest.raises(UnreadableImage) as caught:
        read_image(content)
    assert reason in str(caught.value)


def test_all_bounds_that_an_image_exceeds_are_named_with_the_keys_that_move_them() -> None:
    limits = ImageLimits(max_side=50, megapixels=0.001, megabytes=1, decoding_megabytes=0.05)
    with pytest.raises(UnreadableImage) as caught:
        opened(saved("PNG", size=(60, 40)), limits, work=lambda height, width: 100_000)
    assert str(caught.value) == (
        "60x40: a side of more than 50 pixels; 0.0024 megapixels, more than 0.001; 0 MB of memory to decode it, more "
        "than 0.05; image_limits.max_side=60 image_limits.megapixels=1 image_limits.decoding_megabytes=1 together "
        "allow it"
    )


def test_an_indexed_png_without_a_palette_is_damaged_and_no_fault_of_the_program() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(20)))
    for order in (pixels + header, chunk(b"PLTE", b"") + header + pixels):
        with pytest.raises(UnreadableImage, match="damaged|cut off"):
            read_image(b"\x89PNG\r\n\x1a\n" + order + chunk(b"IEND", b""))


def test_a_jpeg_with_a_film_behind_it_is_an_image_as_before() -> None:
    """Telephones put one there; its bytes are no scans."""
    content = saved("JPEG")
    assert (read_image(content + b"\xff\xda" * 5_000) == read_image(content)).all()


def test_metadata_that_claim_more_than_there_is_say_nothing_against_the_pixels() -> None:
    exif = tiff((0x0112, 3, 1, 6), *((40_000 + index, 1, 60, 0) for index in range(9)))
    assert read_image(saved("PNG", exif=exif)).shape == (30, 40, 3)
    assert read_image(saved("PNG", exif=tiff((0x0112, 3, 1, 6)))).shape == (40, 30, 3)


def test_large_texts_of_a_png_take_no_memory() -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7), 9))
    with pytest.raises(UnreadableImage, match="damaged"):
        read_image(png(4, 4, text))


def test_limits_let_through_what_is_within_them_and_say_which_key_allows_more() -> None:
    limits = ImageLimits(max_side=40, megapixels=0.0012, megabytes=1, decoding_megabytes=0.02)
    assert read_image(saved("PNG"), gate=ImageGate(limits)).shape == (30, 40, 3)
    for content, reason in (
        (saved("PNG", size=(41, 2)), "image_limits.max_side=41 allows it"),
        (saved("PNG", size=(40, 31)), "image_limits.megapixels=1 allows it"),
        (saved("PNG", "RGBA"), r"of memory to decode, more than 0.02; image_limits.decoding_megabytes=1 allows it"),
    ):
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read_image(content, gate=ImageGate(limits))
        assert caught.value.too_large
        read_image(content)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(10**9)
    found = decode_file(path, Preprocess((4, 4)))
    assert (found.pixels, found.sha256, found.too_large) == (None, "", True)
    assert found.error == "more than 200 megabytes; a larger image_limits.megabytes allows it"


def test_pipes_and_devices_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zeros.png").symlink_to("/dev/zero")
    for name, kind in (("pipe.png", "a named pipe"), ("zeros.png", "a device")):
        with pytest.raises(UnreadableImage, match=f"cannot be read: {kind}, not a regular file"):
            read_image(tmp_path / name)


def test_the_configuration_begins_with_the_limits_of_python() -> None:
    said = yaml.safe_load((conf_dir() / "image_limits/default.yaml").read_text())
    assert said == asdict(ImageLimits())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("max_side", 0, "a whole number of pixels, 1 or more"),
        ("megapixels", float("nan"), "a number above 0"),
        ("megapixels", 179, "at most 178"),
        ("decoding_megabytes", -1, "a number above 0"),
    ],
)
def test_limits_that_are_none_are_refused(name: str, value: float, text: str) -> None:
    with pytest.raises(UserError, match=rf"^{name}=.* should be {text}"):
        ImageGate(ImageLimits(**{name: value}))  # type: ignore[arg-type]


def test_threads_wait_for_room_and_no_more_is_taken_than_there_is() -> None:
    room, most, now, lock = Room(100), 0, 0, threading.Lock()

    def work(count: int) -> None:
        nonlocal most, now
        for _ in range(50):
            taken = room.take(count)
            with lock:
                now += taken
                most = max(most, now)
            with lock:
                now -= taken
            room.give_back(taken)

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 30, 60, 99, 100, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 <= most <= 100
    assert now == 0


def test_a_limit_that_is_raised_reaches_what_the_cache_has_refused(tmp_path: Path) -> None:
    root, place, wanted = tmp_path / "images", tmp_path / "cache", Preprocess((6, 8))
    root.mkdir()
    (root / "a.png").write_bytes(saved("PNG"))
    narrow, wide = ImageGate(ImageLimits(max_side=10)), ImageGate(ImageLimits())
    assert decoded_files(place, root, ["a.png"], wanted, gate=narrow).rows[0] == -1
    assert decoded_files(place, root, ["a.png"], wanted, gate=wide).rows[0] == 0
    assert wrong_rows(place, wanted, narrow) == [], "a file that is not let in is not wrong"


@pytest.mark.parametrize("size", [(1, 1), (80, 80), (33, 7), (7, 200)])
def test_strips_give_the_bits_of_the_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for height, width in ((1, 300), (300, 1), (97, 61), (64, 128), (5, 5), (210, 200)):
        image = torch.from_numpy(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).permute(2, 0, 1)[None]
        whole = resized(image, size)
        for strip in (1, 300, 1000):
            monkeypatch.setattr(preprocess, "STRIP", strip)
            assert torch.equal(resized(image, size), whole)
        monkeypatch.undo()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "I;16"])
def test_strips_are_converted_to_the_pixels_of_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved("PNG", "L") if mode == "I;16" else saved("PNG", mode)
    if mode == "I;16":
        file = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 65536, (30, 40), dtype=np.uint16)).save(file, "PNG")
        content = file.getvalue()
    whole = read_image(content)
    monkeypatch.setattr(reading, "STRIP", 100)
    assert (read_image(content) == whole).all()


PEAK = """
import resource, sys
import numpy
from pathlib import Path
from fancnn.images.decoding import decode_file
from fancnn.images.preprocess import Preprocess
decode_file(Path(sys.argv[1]), Preprocess((80, 80)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert decode_file(Path(sys.argv[2]), Preprocess((80, 80))).pixels is not None
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_an_image_takes_no_more_memory_than_was_estimated(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(png(100, 100))
    large.write_bytes(png(6_000, 3_000))
    command = [sys.executable, "-c", PEAK, str(small), str(large)]
    found = subprocess.run(command, env=process_environment(), capture_output=True, text=True, check=True)
    estimate = decoding_bytes(opened(large.read_bytes(), ImageLimits()))
    assert int(found.stdout) < estimate + 30e6  # the strip that is resized
    assert estimate <= 11 * 18e6
