"""A network that judges an image cell by cell, and so finds what is small and says where it is."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from fancnn.networks.cell_network import CellLogits
from fancnn.networks.initializers import Start, initialize
from fancnn.networks.layers import (
    activation_layer,
    norm_layers,
    too_small,
    validate_choice,
    validate_lists,
    validate_rates,
    validate_widths,
)

POOLS = ("head", "max", "top_k", "log_sum_exp")
STRIDES = (2, 4, 8, 16)
SURE = -4.0  # logit of a fresh cell: nearly all cells of all images are good


class CellPool(nn.Module):
    """What is left of all cells of an image: their logits pooled, or what a head is to judge by.

    Args:
        kind: As `pool` of `PatchNet`.
        top: Likewise.

    Shape:
        - Input: features `(batch, channels, rows, columns)` and cells `(batch, rows, columns)`.
        - Output: `(batch,)`; for `head` `(batch, 2 channels + top)`: largest and mean values, the hottest cells last.
    """

    def __init__(self, kind: str, top: int) -> None:
        super().__init__()
        self.kind, self.top = kind, top

    def forward(self, features: Tensor, cells: Tensor) -> Tensor:
        flat = cells.flatten(1)
        if self.kind == "max":
            return flat.amax(1)
        if self.kind == "log_sum_exp":
            return flat.logsumexp(1)
        hottest = flat.topk(min(self.top, flat.shape[1]), 1).values
        if self.kind == "top_k":
            return hottest.mean(1)
        if hottest.shape[1] < self.top:
            hottest = torch.cat([hottest, hottest[:, -1:].expand(-1, self.top - hottest.shape[1])], 1)
        return torch.cat([features.amax((2, 3)), features.mean((2, 3)), hottest], 1)


class PatchNet(nn.Module):
    r"""Convolutions without a fully connected layer: one logit for each cell, and from all of them that of the image.

    A cell is a square of `stride` pixels, judged by what lies around it, its receptive field (`python -m
    fancnn.describe model=patches` prints it); it should be about three times a defect. As many cells as there are see
    the image at its own resolution, and weights do not depend on its size (Bozic et al. 2021, arXiv 2104.06064, whose
    decision head this is).

    Args:
        image_size: Height and width of the images, pixels.
        widths: Channels of each convolution of 3x3.
        stride: Pixels of a cell's side: 2, 4, 8 or 16. The first convolutions halve the image, one each.
        pool: How cells make the image's logit. `max`: the hottest. `top_k`: the mean of the `top` hottest.
            `log_sum_exp`: in between max and mean, and every cell learns. `head`: a linear layer on the hottest cells
            and the mean and largest value of each channel, which begins as `max`.
        top: Cells, for `top_k` and `head`.
        norm: `batch`, `layer`, `group` or `none`.
        activation: A name of `fancnn.networks.layers`.
        dropout: Share of whole channels dropped before the cells' logits.
        initializer: A name of `fancnn.networks.initializers`; biases start at zero, but for that of the cells.
        outputs: Logits for each image; more than one take `pool=head`.

    Shape:
        - Input: `(batch, 3, height, width)`, float, as `Preprocess` returns it.
        - Output: `(batch,)`, float. A logit: its sigmoid is P(NG). With k > 1 outputs `(batch, k)`.

    Raises:
        ValueError: If an argument is out of range, or the images are smaller than a cell.

    Example:
        >>> logits, cells = PatchNet((64, 96), stride=8).logits_and_cells(torch.zeros(2, 3, 64, 96))
        >>> logits.shape, cells.shape
        (torch.Size([2]), torch.Size([2, 8, 12]))
    """

    def __init__(
        self,
        image_size: Sequence[int],
        widths: Sequence[int] = (16, 32, 32, 64, 64),
        stride: int = 8,
        *,
        pool: str = "head",
        top: int = 3,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        initializer: str = "he_normal",
        outputs: int = 1,
    ) -> None:
        super().__init__()
        validate_lists(widths=widths)
        validate_widths(widths=widths, top=[top], outputs=[outputs])
        validate_rates(dropout=[dropout])
        validate_choice("stride", stride, STRIDES)
        validate_choice("pool", pool, POOLS)
        halvings = stride.bit_length() - 1
        if len(widths) < halvings:
            raise ValueError(f"widths={list(widths)} has {len(widths)} convolutions: stride={stride} takes {halvings}")
        if outputs > 1 and pool != "head":
            raise ValueError(f"pool={pool} gives one logit: {outputs} outputs take pool=head")
        if min(image_size) < stride:
            raise too_small("the first cell", image_size, f"is {stride} pixels wide", image_size, "a smaller stride")
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise([3, *widths])):
            step = 2 if index < halvings else 1
            layers += [nn.Conv2d(before, after, 3, step, 1, bias=norm != "batch")]
            layers += [*norm_layers(norm, after), activation_layer(activation)]
        self.features = nn.Sequential(*layers, *([nn.Dropout2d(dropout)] if dropout else []))
        self.cell = nn.Conv2d(widths[-1], 1, 1)
        self.head = nn.Linear(2 * widths[-1] + top, outputs) if pool == "head" else None
        self.pool, self.top, self.outputs = CellPool(pool, top), top, outputs
        self.initialized = initialize(self, initializer)
        assert self.cell.bias is not None
        nn.init.constant_(self.cell.bias, SURE)
        if self.head is not None:
            self._begin_as_the_hottest_cell(self.head)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits_and_cells(images).logits

    def feature_map(self, images: Tensor) -> Tensor:
        """Return what the cells are judged by, `(batch, channels, rows, columns)`; pretraining learns these layers."""
        features: Tensor = self.features(images)
        return features

    def logits_and_cells(self, images: Tensor) -> CellLogits:
        """Return the logits of the images, as `forward`, and those of their cells."""
        features = self.feature_map(images)
        cells = self.cell(features).squeeze(1)
        pooled = self.pool(features, cells)
        if self.head is None:
            return CellLogits(pooled, cells)
        logits = self.head(pooled)
        return CellLogits(logits.squeeze(1) if self.outputs == 1 else logits, cells)

    def _begin_as_the_hottest_cell(self, head: nn.Linear) -> None:
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        with torch.no_grad():
            head.weight[1 if self.outputs > 1 else 0 :, -self.top] = 1.0  # of NG, whatever its kind
        share = max(self.outputs - 1, 1) / head.weight.numel()  # of ones among zeros
        self.initialized["head"] = Start("hottest cell", math.sqrt(share * (1 - share)))
