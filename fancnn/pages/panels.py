"""Panels: rows of small images with captions, for a page, as PNG files and for TensorBoard."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fancnn.images.contact_sheet import contact_sheet

Pixels = NDArray[np.uint8]
"""A colour image `(height, width, 3)`, 0 to 255."""

GREY = 160  # pixels: the longer side that small images are enlarged to on a sheet
PAGE_SIDE = 480  # pixels: the longer side of an image inside the page
HEAT = "inferno"  # dark to light in even steps, distinguishable without colours, too
SIGNED = "coolwarm"


@dataclass(frozen=True)
class ImageCell:
    """An image with its caption; `sharp` is shown with hard pixels, as filters and maps are."""

    pixels: Pixels
    caption: str
    sharp: bool = True

    @property
    def source(self) -> str:
        """Return a `data:` address."""
        image = Image.fromarray(self.pixels)
        kind = "png" if self.sharp else "jpeg"
        content = io.BytesIO()
        if not self.sharp:
            image.thumbnail((2 * PAGE_SIDE, PAGE_SIDE))
        image.save(content, kind, **({"optimize": True} if self.sharp else {"quality": 85}))
        return f"data:image/{kind};base64," + base64.b64encode(content.getvalue()).decode()


@dataclass(frozen=True)
class Panel:
    """One figure.

    Args:
        name: Unique on a page; letters, digits and `-`.
        title: A heading of a few words.
        says: One or two sentences: what it shows and how to read it.
        step: Of the network's work that it belongs to, e.g. `convolution`.
        tiles: Its images, of one size.
        size: How large they are shown: `small`, `medium` or `large`.
        note: What is left out, if anything.
        columns: Of a `large` panel: tiles in a row. The first has a row of its own.
    """

    name: str
    title: str
    says: str
    step: str
    tiles: tuple[ImageCell, ...]
    size: str = "small"
    note: str = ""
    columns: int = 0

    def png(self) -> bytes:
        """Return all tiles on one sheet."""
        factor = max(1, GREY // max(self.tiles[0].pixels.shape[:2])) if self.size != "large" else 1
        # tiles of one sheet have one size, that of the largest
        height = max(tile.pixels.shape[0] for tile in self.tiles) * factor
        width = max(tile.pixels.shape[1] for tile in self.tiles) * factor
        images = [_on_canvas(enlarged(tile.pixels, factor), height, width) for tile in self.tiles]
        captions = [tile.caption for tile in self.tiles]
        columns = {"small": 8, "medium": 6, "large": self.columns}[self.size]
        if self.size == "large":  # the first row is filled up
            images[1:1] = [np.full((height, width, 3), 255, np.uint8)] * (columns - 1)
            captions[1:1] = [""] * (columns - 1)
        sheet = contact_sheet(images, captions, columns)
        content = io.BytesIO()
        Image.fromarray(sheet).save(content, "PNG", optimize=True)
        return content.getvalue()


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    """Return each pixel as a square of `factor` by `factor`: nothing is smoothed."""
    return np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)


def weights_as_colours(kernel: NDArray[np.float32], scale: float) -> Pixels:
    """Return a filter over the three colours as an image: `-scale` is 0, nothing is mid-grey, `scale` is full colour.

    Args:
        kernel: `(3, height, width)`.
        scale: Greatest absolute weight that is shown; above 0.

    Example:
        >>> weights_as_colours(np.array([[[1.0]], [[0.0]], [[-1.0]]], np.float32), 1.0).tolist()
        [[[255, 128, 0]]]
    """
    shares = np.clip(0.5 + kernel / (2 * scale), 0, 1)
    colours: Pixels = np.floor(shares * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return colours


def map_as_colours(values: NDArray[np.float32], scale: float) -> Pixels:
    """Return a feature map: blue below zero, red above, grey at zero, `scale` at the ends; `(height, width)` in."""
    shares = 0.5 + values / (2 * scale) if scale > 0 else np.full(values.shape, 0.5)
    return _coloured(shares, SIGNED)


def heat_as_colours(heat: NDArray[np.float32], most: float) -> Pixels:
    """Return the heat from black at 0 to light yellow at `most`; `(height, width)` in."""
    return _coloured(heat / most if most > 0 else np.zeros(heat.shape), HEAT)


def overlay(image: Pixels, heat: NDArray[np.float32], most: float) -> Pixels:
    """Return the heat over the image in grey: nothing where there is no heat, colour where there is much.

    Args:
        image: `(height, width, 3)`.
        heat: `(height, width)`, 0 and above.
        most: The heat that is shown as the greatest.
    """
    share = np.clip(heat / most, 0, 1) if most > 0 else np.zeros(heat.shape)
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    weight = 0.85 * np.sqrt(share)[..., None]
    mixed = (1 - weight) * grey + weight * _coloured(share, HEAT)
    blended: Pixels = np.floor(mixed + 0.5).clip(0, 255).astype(np.uint8)
    return blended


def outlined(image: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """Return the outline of `mask`, `(height, width)`, on the image: cyan beside black, seen on any ground."""
    thick = max(1, max(image.shape) // 240)
    inner, outer = _grown(mask, thick) & ~mask, _grown(mask, 2 * thick) & ~_grown(mask, thick)
    shown = image.copy()
    shown[outer] = (0, 0, 0)
    shown[inner] = (0, 255, 255)
    return shown


def ringed(pixels: Pixels, place: tuple[float, float]) -> Pixels:
    """Return a ring at a place, given as shares of height and width; a small image is made larger for it."""
    image = Image.fromarray(enlarged(pixels, -(-240 // max(pixels.shape))))
    draw, radius = ImageDraw.Draw(image), max(image.size) // 12
    down, right = place[0] * image.height, place[1] * image.width
    box = (right - radius, down - radius, right + radius, down + radius)
    draw.ellipse(box, outline="black", width=max(4, radius // 4))
    draw.ellipse((box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), outline="cyan", width=max(2, radius // 4 - 2))
    return np.asarray(image)


def beside(images: Sequence[Pixels], gap: int = 4) -> Pixels:
    """Return images of one height side by side, grey between them: seen on a light page and on a dark one."""
    space = np.full((images[0].shape[0], gap, 3), 128, np.uint8)
    parts = [part for image in images for part in (space, image)][1:]
    return np.concatenate(parts, axis=1)


def _coloured(shares: NDArray[np.floating], name: str) -> Pixels:
    colours: Pixels = np.asarray(colormaps[name](np.clip(shares, 0, 1), bytes=True), np.uint8)[..., :3]
    return colours


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    padded = np.pad(mask, by)
    height, width = mask.shape
    shifts = [(down, right) for down in range(2 * by + 1) for right in range(2 * by + 1)]
    grown = np.zeros_like(mask)
    for down, right in shifts:
        grown |= padded[down : down + height, right : right + width]
    return grown


def _on_canvas(pixels: Pixels, height: int, width: int) -> Pixels:
    canvas = np.full((height, width, 3), 255, np.uint8)
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
    return canvas
