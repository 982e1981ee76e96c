"""Files that nobody should trust: valid ones, changed by a seed in ways that readers were seen to stumble over."""

import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "PPM": ".ppm"}


def image(kind: str, seeded: random.Random) -> bytes:
    """Return a valid file of a kind, in one of the modes that it knows."""
    modes = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "L", "RGBA", "P", "I;16", "1"), "PPM": ("RGB", "L")}
    mode = seeded.choice(modes.get(kind, ("RGB", "L", "P")))
    size = seeded.choice(((24, 20), (16, 16), (1, 1), (300, 7)))
    pixels = np.random.default_rng(seeded.randrange(2**32)).integers(0, 255, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    if kind == "WEBP" and mode not in ("RGB", "RGBA"):
        image = image.convert("RGB")
    file = io.BytesIO()
    options = {
        "JPEG": {"progressive": seeded.random() < 0.5},
        "TIFF": {"compression": seeded.choice((None, "tiff_lzw"))},
    }
    image.save(file, kind, **options.get(kind, {}))
    return file.getvalue()


def truncated(content: bytes, seeded: random.Random) -> bytes:
    return content[: seeded.randrange(len(content) + 1)]


def flipped(content: bytes, seeded: random.Random) -> bytes:
    """Flip one to twenty bits."""
    found = bytearray(content)
    for _ in range(seeded.randint(1, 20)):
        if found:
            found[seeded.randrange(len(found))] ^= 1 << seeded.randrange(8)
    return bytes(found)


def overwritten(content: bytes, seeded: random.Random) -> bytes:
    """Put an extreme number over two or four bytes near the beginning, where sizes and lengths are."""
    found, wide = bytearray(content), seeded.choice((2, 4))
    place = seeded.randrange(max(1, min(len(found), 200) - wide))
    value = seeded.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\1"))
    found[place : place + wide] = value[:wide]
    return bytes(found)


def shuffled(content: bytes, seeded: random.Random) -> bytes:
    """Cut into pieces at PNG chunks or anywhere, and put these into another order, some twice."""
    if content.startswith(b"\x89PNG"):
        pieces, place = [], 8
        while place + 8 <= len(content):
            size = struct.unpack(">I", content[place : place + 4])[0] + 12
            pieces.append(content[place : place + size])
            place += size
        head = content[:8]
    else:
        cuts = sorted(seeded.randrange(4, len(content) + 1) for _ in range(4)) if len(content) > 4 else []
        edges = [4, *cuts, len(content)]
        head, pieces = content[:4], [content[low:high] for low, high in pairwise(edges)]
    pieces += seeded.sample(pieces, len(pieces) // 2)
    seeded.shuffle(pieces)
    return head + b"".join(pieces)


def polyglot(content: bytes, seeded: random.Random) -> bytes:
    """Two files in one."""
    other = image(seeded.choice(list(KINDS)), seeded)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    return seeded.choice((content + other, other[:20] + content, content + file.getvalue(), b"GIF89a/*" + content))


def bomb(content: bytes, seeded: random.Random) -> bytes:
    """A small file of very many pixels, or one that says so."""
    side = seeded.choice((9_000, 13_000, 30_000, 65_535, 2**31 - 1))
    if seeded.random() < 0.2:
        return f"P5 {side} {side} 255\n".encode() + bytes(100)
    if seeded.random() < 0.2:
        return b"BM" + struct.pack(
            "<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, min(side, 2**31 - 1), side, 1, 24, 0, 0, 0, 0, 0, 0
        )
    row = zlib.compress(bytes(min(side, 9_000) // 8 + 1) * 9_000, 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", row), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def circular(content: bytes, seeded: random.Random) -> bytes:
    """A TIFF whose directories follow one another for ever, or a deep nest of something."""
    entry = struct.pack("<HHII", 0x014A, 4, 1, 8)  # SubIFDs: this one
    tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    return seeded.choice((tiff, b"RIFF\xff\xff\xff\xffWEBP" + b"RIFF" * 5000, b"\xff\xd8" + b"\xff\xda\0\3\0" * 30_000))


def other(content: bytes, seeded: random.Random) -> bytes:
    """Something else altogether."""
    texts = (
        b"",
        b"\0" * 5000,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n",
        b"#!/bin/sh\n",
    )
    return seeded.choice((*texts, seeded.randbytes(3000)))


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(truncated, flipped, flipped, overwritten, overwritten, shuffled, polyglot, bomb, circular, other),
)
NAMES = (
    *(
        "new\nline",
        "\x1b[31mred\x1b[0m",
        "no utf8 \udcff\udcfe",
        "n" * 250,
        "\u202egnp",
        "a;b,c\"'",
        "=cmd|' /C calc'!A0",
    ),
    *("  spaces  ", "-rf", "{brace}", "$HOME", "%s%n", "NUL", "..hidden"),
)


def hostile_image(seeded: random.Random, folder: Path) -> Path:
    """Write a hostile file into a folder; most have hostile content, some a name or a kind that is."""
    kind = seeded.choice(list(KINDS))
    content = seeded.choice(CHANGES)(image(kind, seeded), seeded)
    suffix = seeded.choice([KINDS[kind]] * 4 + list(KINDS.values()))
    name = os.fsencode(seeded.choice(NAMES))[:200].decode("utf-8", "surrogateescape").replace("/", "\u2215")
    stem = seeded.choice(["image"] * 3 + [name])
    path = folder / f"{stem}{suffix}"
    odd = seeded.random()
    if odd < 0.02:
        os.mkfifo(path)
    elif odd < 0.08:
        path.symlink_to(seeded.choice((path.name, "/dev/zero", "/nowhere", "/proc/self/mem", "/", "/dev/stdin")))
    else:
        path.write_bytes(content)
    return path


HEADER = "path,split,class_name,label,probability,decision,version"
CELLS = (
    "",
    "nan",
    "inf",
    "-1",
    "1e999",
    "9" * 5000,
    "\0",
    "NG",
    "\u0664",
    "1.0.0",
    "true",
    "=1+1",
    "x" * 140_000,
    "-0.0",
    " 1 ",
)


def hostile_table(seeded: random.Random) -> bytes:
    """Return a prediction table with something wrong."""
    rows = [
        f"{('NG/a', 'GO')[i % 2]}/{i}.png,test,{('NG', 'GO')[i % 2]},{(i + 1) % 2},{seeded.random():.4f},,1"
        for i in range(30)
    ]
    lines = [HEADER, *rows]
    for _ in range(seeded.randint(1, 3)):
        place = seeded.randrange(len(lines))
        cells = lines[place].split(",")
        if cells:
            cells[seeded.randrange(len(cells))] = seeded.choice(CELLS)
        lines[place] = ",".join(cells)
    text = seeded.choice(("\n", "\n", "\r\n", "\r", ";")).join(lines)
    encoded = text.encode(seeded.choice(("utf-8", "utf-8", "utf-16", "utf-8-sig", "latin-1")), "replace")
    return seeded.choice((truncated, flipped, lambda whole, _: whole, lambda whole, _: whole))(encoded, seeded)


def hostile_json(content: bytes, seeded: random.Random) -> bytes:
    """Return a JSON document with one value changed, or a damaged one."""
    values = (
        None,
        [],
        {},
        "x",
        -1,
        1e308,
        float("nan"),
        float("inf"),
        True,
        "9" * 5000,
        [[]],
        {"": None},
        [None, None],
        10**400,
    )
    choice = seeded.random()
    if choice < 0.2:
        return seeded.choice((truncated, flipped))(content, seeded)
    if choice < 0.3:
        return seeded.choice((b"[" * 200_000, b'{"a":' * 100_000, b"null", b"[]", b'"x"', b"9" * 10_000, b"\xff\xfe{}"))
    document = json.loads(content)
    here = document
    while isinstance(here, dict) and here:
        key = seeded.choice(list(here))
        if isinstance(here[key], dict) and here[key] and seeded.random() < 0.7:
            here = here[key]
            continue
        if seeded.random() < 0.2:
            del here[key]
        else:
            here[key] = seeded.choice(values)
        break
    return json.dumps(document).encode()


def hostile_archive(content: bytes, seeded: random.Random) -> bytes:
    """Return a changed checkpoint or other archive: bits, cuts, records left out, doubled or exchanged."""
    if seeded.random() < 0.5:
        return seeded.choice((truncated, flipped, overwritten))(content, seeded)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        names = old.namelist()
        victim = seeded.choice(names)
        for name in names:
            body = old.read(name)
            if name == victim:
                body = seeded.choice(
                    (b"", flipped(body, seeded), truncated(body, seeded), body * 2, b"cos\nsystem\n(S'true'\ntR.")
                )
            if name != victim or seeded.random() < 0.8:
                new.writestr(name, body)
    return file.getvalue()


def hostile_onnx(content: bytes, seeded: random.Random) -> bytes:
    """Return a changed ONNX file: bits and cuts, or other words of its own about itself."""
    if seeded.random() < 0.5:
        return seeded.choice((truncated, flipped, overwritten))(content, seeded)
    import onnx

    model = onnx.load_from_string(content)
    facts = next(item for item in model.metadata_props if item.key == "fancnn")
    changed = hostile_json(facts.value.encode(), seeded)
    facts.value = changed.decode("utf-8", "replace")
    if seeded.random() < 0.3 and model.graph.initializer:
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=seeded.choice(("/etc/passwd", "../../secret", "a.bin")))
    return bytes(model.SerializeToString())
