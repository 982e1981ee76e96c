"""The camera: light, lens, sensor and JPEG quality, as they vary from image to image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fancnn.fans.raster import Plane, tinted

# Blur is given for images of this size, in pixels, and grows with larger ones.
_REFERENCE_SIZE = 240


@dataclass(frozen=True)
class Camera:
    """How one image is taken.

    Attributes:
        gain: Exposure; 1 leaves the scene as it is.
        balance: Gains of red, green and blue.
        gradient: Relative change of the light from the middle to the right and to the lower border.
        vignetting: Loss of light in the corners, from 0 to 1.
        blur: Standard deviations of the blur down and across, in pixels of a 240 pixel image.
        grain: Standard deviation of the noise at mid grey, in values from 0 to 1.
        quality: JPEG quality.
    """

    gain: float
    balance: tuple[float, float, float]
    gradient: tuple[float, float]
    vignetting: float
    blur: tuple[float, float]
    grain: float
    quality: int


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a way of taking an image at random."""
    warmth, tint = rng.normal(0, 0.02), rng.normal(0, 0.008)
    defocus = rng.uniform(0.45, 1.0)
    # A hand that moves smears the image along one direction, in one image out of four.
    shake = rng.uniform(0.5, 1.3) if rng.uniform() < 0.25 else 0.0
    smear = float(np.hypot(defocus, shake))
    return Camera(
        gain=rng.uniform(0.98, 1.20),
        balance=(1 + warmth, 1 + tint, 1 - warmth),
        gradient=(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)),
        vignetting=rng.uniform(0.05, 0.25),
        blur=(smear, defocus) if rng.uniform() < 0.5 else (defocus, smear),
        grain=rng.uniform(0.005, 0.015),
        quality=int(rng.integers(78, 95)),
    )


def expose(image: Plane, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the image: return it as `(size, size, 3)` bytes; `rng` makes the sensor's noise."""
    size = image.shape[1]
    sharpness = size / _REFERENCE_SIZE
    sigma = (0, camera.blur[0] * sharpness, camera.blur[1] * sharpness)
    seen = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3.0)
    seen *= tinted(_light(camera, size), camera.balance)
    noise = rng.standard_normal(seen.shape, dtype=np.float32)
    # Photons arrive at random: noise grows with the root of the light.
    seen += noise * np.sqrt(np.maximum(seen, 0) + np.float32(0.05)) * np.float32(camera.grain * 1.35)
    return _developed(seen)


def _light(camera: Camera, size: int) -> Plane:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    slope = 1 + camera.gradient[0] * x + camera.gradient[1] * y
    return (camera.gain * slope * (1 - camera.vignetting / 2 * (x * x + y * y))).astype(np.float32)


def _developed(seen: Plane) -> NDArray[np.uint8]:
    """Return bytes with a soft shoulder, so that highlights do not clip at once."""
    over = np.maximum(seen - np.float32(0.8), 0)
    seen = np.minimum(seen, np.float32(0.8)) + over / (1 + over * np.float32(5))
    return (np.clip(seen, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8).transpose(1, 2, 0)
