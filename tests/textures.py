"""Images of blots of all sizes, no two alike."""

import torch
from torch import Tensor

from fancnn.data.fingerprints import SIDE


def textures(count: int, seed: int = 0) -> Tensor:
    """Return `(count, SIDE, SIDE)` float images of blots of all sizes, 0 to 255, no two alike."""
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.randn((count, 1, side, side), generator=generator) for side in (4, 8, 16, 32)]
    grown = [torch.nn.functional.interpolate(layer, (SIDE, SIDE), mode="bicubic") for layer in layers]
    return (128 + 30 * torch.stack(grown).sum(0)[:, 0]).clamp(0, 255)
