"""The round label printed for the hub: a few designs with text, bars and marks.

Each design is lopsided on purpose, so that a turned label differs from a straight one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fancnn.fans.raster import Plane

_Pen = ImageDraw.ImageDraw

# A label is drawn this many pixels wide and then reduced to its size in the image.
_ART = 256


@dataclass(frozen=True)
class Print:
    """What a label shows: `design` is an index into `DESIGNS`, `serial` a number of four digits."""

    design: int
    serial: int


def artwork(label: Print, diameter: int) -> Plane:
    """Return the label as a `(3, diameter, diameter)` image with values from 0 to 1.

    The corners outside the disc hold the label's ground colour.
    """
    ground, draw = DESIGNS[label.design]
    art = Image.new("RGB", (_ART, _ART), ground)
    draw(ImageDraw.Draw(art), label.serial)
    small = art.resize((diameter, diameter), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 255


def _silver(pen: _Pen, serial: int) -> None:
    pen.ellipse((8, 8, 248, 248), outline="#777", width=3)
    pen.chord((14, 14, 242, 242), 195, 345, fill="#1d4f91")
    _text(pen, 128, 62, "AEROVANE", 30, "#fff")
    _text(pen, 128, 118, f"AV-{serial}", 30, "#111")
    _text(pen, 128, 150, "DC 12V  0.18A", 20, "#222")
    pen.line((40, 170, 216, 170), fill="#333", width=3)
    _text(pen, 92, 192, "CE", 26, "#111")
    pen.rectangle((124, 182, 142, 202), outline="#111", width=3)
    _bars(pen, 152, 180, 24, "#111")
    _text(pen, 128, 222, "MADE FOR AIR", 13, "#333")


def _night(pen: _Pen, serial: int) -> None:
    pen.ellipse((10, 10, 246, 246), outline="#9aa4ad", width=4)
    pen.pieslice((64, 24, 192, 152), 200, 340, fill="#c8d2da")
    pen.ellipse((104, 64, 152, 112), fill="#16181c")
    pen.ellipse((116, 76, 140, 100), fill="#c8d2da")
    _text(pen, 128, 134, "NORDWIND", 32, "#f4f4f4")
    pen.line((30, 156, 226, 156), fill="#c8d2da", width=4)
    _text(pen, 128, 174, f"NW {serial}  12V", 20, "#e8e8e8")
    _bars(pen, 84, 190, 22, "#f4f4f4")
    _text(pen, 166, 202, "UL", 22, "#e8e8e8")


def _banner(pen: _Pen, serial: int) -> None:
    pen.rectangle((0, 92, 256, 146), fill="#1f5673")
    pen.polygon(((36, 84), (72, 30), (84, 84)), fill="#1f5673")
    pen.polygon(((88, 84), (124, 20), (136, 84)), fill="#444")
    _text(pen, 182, 66, "120", 40, "#222")
    _text(pen, 128, 119, "KESTREL", 44, "#fff")
    _text(pen, 128, 164, f"MODEL K{serial}", 22, "#222")
    _text(pen, 128, 188, "12V 0.25A 3W", 18, "#333")
    _bars(pen, 70, 202, 26, "#111")
    pen.ellipse((158, 202, 184, 228), outline="#111", width=4)


DESIGNS: tuple[tuple[str, Callable[[_Pen, int], None]], ...] = (
    ("#d4d6d8", _silver),
    ("#16181c", _night),
    ("#e4e8ea", _banner),
)


def _text(pen: _Pen, x: int, y: int, text: str, size: int, fill: str) -> None:
    pen.text((x, y), text, fill=fill, font=_font(size), anchor="mm")


def _bars(pen: _Pen, x: int, y: int, height: int, fill: str) -> None:
    """Draw a bar code, the same on every label."""
    for offset, width in ((0, 4), (7, 2), (12, 5), (20, 2), (25, 4), (33, 6), (42, 2), (47, 3), (54, 5)):
        pen.rectangle((x + offset, y, x + offset + width - 1, y + height), fill=fill)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own font: nothing to install, and the same on every system.
    return ImageFont.load_default(size)
