"""Move the pixels of images: an affine matrix for each image, read once.

It is `(3, 3)`, homogeneous, and takes a position in the new image to the position in the old one that is seen
there: `(x, y, 1)`, pixels from the middle of the image, x to the right and y down. Pixels, not shares of a side,
so that a rotation is one in images that are not square, too.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Border = Literal["reflection", "edge"] | float
MODES = {"reflection": "reflection", "edge": "border"}  # torch's names


def affine_matrices(count: int, device: torch.device, **entries: Tensor) -> Tensor:
    """Return `(count, 3, 3)` identities with `entries`, `(count,)` each, called by row and column: `xy`, `yx`, ...

    Example:
        >>> affine_matrices(1, torch.device("cpu"), x1=torch.tensor([5.0]))[0].tolist()
        [[1.0, 0.0, 5.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    made = torch.eye(3, device=device).repeat(count, 1, 1)
    for name, values in entries.items():
        made[:, "xy".index(name[0]), "xy1".index(name[1])] = values
    return made


def grid_sample_affine(images: Tensor, matrices: Tensor, border: Border = "reflection") -> Tensor:
    """Read each image where its matrix leads to, bilinearly between pixels.

    Not made for shrinking much: below half the size fine texture would alias.

    Args:
        images: `(batch, 3, height, width)`, float.
        matrices: `(batch, 3, 3)`, new positions to old ones.
        border: What is seen beyond the edges: `reflection` (the outermost pixel comes twice), `edge` (it goes on
            for ever) or a grey level.

    Returns:
        `(batch, 3, height, width)`, contiguous; an image whose matrix is the identity comes back bit for bit.
    """
    grid = _grid(matrices.to(images.dtype), *images.shape[-2:])
    if isinstance(border, str):
        sampled = F.grid_sample(images, grid, padding_mode=MODES[border], align_corners=False)
    else:  # zeros beyond the edges of images that are too dark by `border`
        sampled = F.grid_sample(images - border, grid, align_corners=False).add_(border)
    resting = (matrices == torch.eye(3, device=matrices.device)).all(dim=(1, 2))
    # into `sampled`: a new tensor might take the order of `images` in memory, and cost a copy later
    return torch.where(resting.view(-1, 1, 1, 1), images, sampled, out=sampled)


def permute_pixels(images: Tensor, matrices: Tensor) -> Tensor:
    """Move whole pixels: exact for matrices that only flip and turn by quarters (these in square images only).

    Args:
        images: `(batch, 3, height, width)`, of any type.
        matrices: `(batch, 3, 3)` with nothing but -1, 0 and 1, and no translation.

    Returns:
        `(batch, 3, height, width)`, contiguous.
    """
    height, width = images.shape[-2:]
    x, y = _centres(width, images.device), _centres(height, images.device).view(-1, 1)
    old_x, old_y = (
        matrices[:, row, 0].view(-1, 1, 1) * x + matrices[:, row, 1].view(-1, 1, 1) * y  # (batch, height, width)
        for row in (0, 1)
    )
    index = (old_y + (height - 1) / 2) * width + old_x + (width - 1) / 2
    index = index.long().flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).view(images.shape)


def _grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return `(batch, height, width, 2)`: where to read, as `grid_sample` wants it: -1 and 1 are the outer edges.

    `affine_grid` takes eight times as long, and in bfloat16 under autocast.
    """
    device = matrices.device
    scale = torch.tensor([2 / width, 2 / height, 1.0], dtype=matrices.dtype, device=device)
    relative = matrices * scale.view(1, 3, 1) / scale  # of shares of a side, not pixels
    x, y = _centres(width, device) * 2 / width, _centres(height, device).view(-1, 1) * 2 / height
    grid = matrices.new_empty(len(matrices), height, width, 2)
    for row in (0, 1):
        xx, xy, x1 = relative[:, row].view(-1, 3, 1, 1).unbind(1)
        torch.add(xx * x, xy * y + x1, out=grid[..., row])
    return grid


def _centres(side: int, device: torch.device) -> Tensor:
    """Return `(side,)`: of the pixels of a row, from the middle of the row."""
    return torch.arange(side, device=device) - (side - 1) / 2
