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
from fancnn.augmentation.planting import Blob, CutPaste, Plant, Scratch, Texture

__all__ = [
    "Augment",
    "Blob",
    "Blur",
    "Brightness",
    "ChannelGain",
    "Contrast",
    "CutMix",
    "CutPaste",
    "DihedralSymmetry",
    "HorizontalFlip",
    "MixUp",
    "Noise",
    "Plant",
    "RandomErasing",
    "Rotation",
    "Saturation",
    "Scratch",
    "Shear",
    "Texture",
    "Translate",
    "VerticalFlip",
    "Zoom",
]
