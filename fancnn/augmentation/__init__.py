"""New images out of old ones, by the batch and only in training: torch only.

Each transform assumes that it leaves the label true; its docstring says what that takes.
"""

from fancnn.augmentation.augment import Augment
from fancnn.augmentation.color import Brightness, ColourCast, Contrast, Saturation
from fancnn.augmentation.geometric import HorizontalFlip, Rotation, Shear, Shift, SquareSymmetry, VerticalFlip, Zoom
from fancnn.augmentation.mixing import CutMix, MixUp
from fancnn.augmentation.noise import Blur, Erasing, Noise

__all__ = [
    "Augment",
    "Blur",
    "Brightness",
    "ColourCast",
    "Contrast",
    "CutMix",
    "Erasing",
    "HorizontalFlip",
    "MixUp",
    "Noise",
    "Rotation",
    "Saturation",
    "Shear",
    "Shift",
    "SquareSymmetry",
    "VerticalFlip",
    "Zoom",
]
