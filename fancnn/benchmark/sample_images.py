"""Images to measure on: noise over soft shapes, so that a JPEG of them is about as large as a photograph."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def write_jpegs(root: Path, count: int, size: tuple[int, int], seed: int = 0) -> Path:
    """Write class folders GO and NG with `count` images of `size` (height, width), half of each; NG has a bright spot.

    Every image is another one, but their backgrounds are cut from a few, since making noise takes longer than all
    that is measured.
    """
    random = np.random.default_rng(seed)
    height, width = size
    backgrounds = [_background(random, height + 64, width + 64) for _ in range(4)]
    for name in ("GO", "NG"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        top, left = random.integers(0, 64, 2)
        pixels = backgrounds[index % 4][top : top + height, left : left + width].copy()
        name = ("GO", "NG")[index % 2]
        if name == "NG":
            y, x = random.integers(0, height * 3 // 4), random.integers(0, width * 3 // 4)
            pixels[y : y + height // 6, x : x + width // 6] = 240
        Image.fromarray(pixels).save(root / name / f"{index:06}.jpg", quality=90)
    return root


def _background(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    soft = Image.fromarray(random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8))
    shapes = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2)))
    noise = random.normal(0, 6, (height, width, 3))
    return np.clip(shapes * 0.8 + noise, 0, 255).astype(np.uint8)
