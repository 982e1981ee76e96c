"""New images out of old ones, by the batch and only in training: torch only.

Each transform assumes that it leaves the label true; its docstring says what that takes.
"""

from fancnn.augmentation.augment import Augment
from fancnn.augmentation.color import Brightness, ChannelGain, Contrast, Saturation
from fancnn.augmentation.geometric import (
    DihedralSymmetry,
    HorizontalFlip,
    Rotation,
    Shear,
    Translate,
    VerticalFlip,
    Zoom,
)
from fancnn.augmentation.mixing import CutMix, MixUp
from fancnn.augmentation.noise import Blur, Noise, RandomErasing

__all__ = [
    "Augment",
    "Blur",
    "Brightness",
    "ChannelGain",
    "Contrast",
    "CutMix",
    "DihedralSymmetry",
    "HorizontalFlip",
    "MixUp",
    "Noise",
    "RandomErasing",
    "Rotation",
    "Saturation",
    "Shear",
    "Translate",
    "VerticalFlip",
    "Zoom",
]
