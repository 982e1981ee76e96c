"""The original's network, of any depth and width."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from fancnn.networks.filter_bank import prepare_first_layer
from fancnn.networks.initializers import initialize
from fancnn.networks.layers import (
    GLOBAL_POOLS,
    MONOTONE,
    activation_layer,
    dropout_layers,
    each,
    global_pool,
    norm_layers,
    too_small,
    validate_choice,
    validate_lists,
    validate_rates,
    validate_widths,
)

POOLINGS = ("max", "average", "strided")
HEADS = ("flatten", *GLOBAL_POOLS)
Padding = Literal[False, "same"]


class ConvNet(nn.Module):
    r"""Blocks of convolution, norm, activation and pool, fully connected layers, and one logit per image.

    By default convolutions have no padding and pools drop an odd last row, as in the original:
    80 > 78 > 39 > 37 > 18, so `Flatten` gives 18 * 18 * 64 = 20,736 values and the network has
    2,673,857 parameters.

    Args:
        image_size: Height and width of the images, pixels.
        filters: Output channels of each block, shallow to deep.
        hidden: Width of each fully connected layer before the logit; may be empty.
        kernel_size: Side of the square kernels, pixels: one number, or one for each block.
        initializer: A name of `fancnn.networks.initializers`; biases start at zero.
        padding: False, or `same`: zeros around, so that convolutions keep the size (odd kernels only).
        activation: A name of `fancnn.networks.layers`, for blocks and hidden layers.
        pooling: What halves height and width: `max`, `average`, or `strided`, a 2x2 convolution of stride 2 with
            an activation (Springenberg et al. 2015).
        head: `flatten`, or what is left of each channel: `average`, `max` or `both`, see `layers.global_pool`.
        norm: `none`, `batch`, `layer` or `group`, after the convolution of each block; hidden layers have none.
        dropout: Share of the values dropped after the activation of the hidden layers: one number, or one for each.
        spatial_dropout: Share of whole channels dropped at the end of the blocks (Tompson et al. 2015), likewise.
        block_dropout: Share of single values dropped at the end of the blocks, likewise.
        first_layer: A bank of `fancnn.networks.filter_bank` that the first convolution starts with.
        freeze_first_layer: Whether the first convolution stays as it starts.
        outputs: Logits for each image.

    Shape:
        - Input: `(batch, 3, height, width)`, float, as `Preprocess` returns it.
        - Output: `(batch,)`, float. A logit: its sigmoid is P(NG). With k > 1 outputs `(batch, k)`.

    Raises:
        ValueError: If an argument is out of range, or the images are too small for the blocks.

    Example:
        >>> import torch
        >>> ConvNet(image_size=(80, 80))(torch.zeros(4, 3, 80, 80)).shape
        torch.Size([4])
    """

    def __init__(
        self,
        image_size: Sequence[int],
        filters: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (128,),
        kernel_size: int | Sequence[int] = 3,
        initializer: str = "glorot_uniform",
        *,
        padding: Padding = False,
        activation: str = "relu",
        pooling: str = "max",
        head: str = "flatten",
        norm: str = "none",
        dropout: float | Sequence[float] = 0.0,
        spatial_dropout: float | Sequence[float] = 0.0,
        block_dropout: float | Sequence[float] = 0.0,
        first_layer: str | None = None,
        freeze_first_layer: bool = False,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        validate_lists(filters=filters, hidden=hidden)
        kernels = [int(side) for side in each("kernel_size", kernel_size, len(filters), "blocks")]
        channel_rates = each("spatial_dropout", spatial_dropout, len(filters), "blocks")
        value_rates = each("block_dropout", block_dropout, len(filters), "blocks")
        rates = each("dropout", dropout, len(hidden), "hidden layers")
        if not filters:
            raise ValueError("filters=[] has no block: give the output channels of one or more, e.g. [32, 64]")
        validate_widths(filters=filters, hidden=hidden, kernel_size=kernels, outputs=[outputs])
        validate_rates(dropout=rates, spatial_dropout=channel_rates, block_dropout=value_rates)
        _validate_choices(padding, kernels, pooling, head)
        height, width = _size_after_blocks(image_size, kernels, padding)
        channels = [3, *filters]
        block = partial(_block, padding=padding, activation=activation, pooling=pooling, norm=norm)
        plan = zip(pairwise(channels), kernels, channel_rates, value_rates, strict=True)
        self.blocks = nn.Sequential(*(block(*ends, kernel, dropped, rate) for ends, kernel, dropped, rate in plan))
        values = {"flatten": height * width, "both": 2}.get(head, 1)  # of each channel
        features = [channels[-1] * values, *hidden]
        dense = (_dense(a, b, activation, rate) for (a, b), rate in zip(pairwise(features), rates, strict=True))
        self.hidden = nn.Sequential(nn.Flatten() if head == "flatten" else global_pool(head), *dense)
        self.logit = nn.Linear(features[-1], outputs)
        self.outputs = outputs
        self.initialized = initialize(self, initializer)
        prepare_first_layer(self, "blocks.0.0", self.initialized, first_layer, freeze_first_layer)

    def forward(self, images: Tensor) -> Tensor:
        features = self.hidden(self.blocks(images))  # (batch, 3, 80, 80) > (batch, 64, 18, 18) > (batch, 128)
        logits: Tensor = self.logit(features)
        return logits.squeeze(1) if self.outputs == 1 else logits

    def feature_map(self, images: Tensor) -> Tensor:
        """Return the output of the blocks, `(batch, channels, rows, columns)`; pretraining learns these layers."""
        features: Tensor = self.blocks(images)
        return features


def _block(
    channels_in: int,
    channels_out: int,
    kernel_size: int,
    spatial_dropout: float,
    block_dropout: float,
    *,
    padding: Padding,
    activation: str,
    pooling: str,
    norm: str,
) -> nn.Module:
    # batch norm takes off what a bias adds
    sides = kernel_size // 2 if padding else 0
    convolution = nn.Conv2d(channels_in, channels_out, kernel_size, padding=sides, bias=norm != "batch")
    active = activation_layer(activation)
    if pooling == "strided":
        halved = [active, nn.Conv2d(channels_out, channels_out, 2, stride=2), activation_layer(activation)]
    elif pooling == "average":
        halved = [active, nn.AvgPool2d(2)]
    elif activation in MONOTONE:
        # the pool comes first: an activation that keeps order gives the function and the gradient of the original's
        # ReLU and pool either way, and it has a quarter of the work
        halved = [nn.MaxPool2d(2), active]
    else:
        halved = [active, nn.MaxPool2d(2)]
    dropped = [*dropout_layers(nn.Dropout2d, spatial_dropout), *dropout_layers(nn.Dropout, block_dropout)]
    return nn.Sequential(convolution, *norm_layers(norm, channels_out), *halved, *dropped)


def _dense(features_in: int, features_out: int, activation: str, dropout: float) -> nn.Module:
    linear = nn.Linear(features_in, features_out)
    return nn.Sequential(linear, activation_layer(activation), *dropout_layers(nn.Dropout, dropout))


def _validate_choices(padding: Padding, kernels: Sequence[int], pooling: str, head: str) -> None:
    validate_choice("padding", padding, (False, "same"))
    validate_choice("pooling", pooling, POOLINGS)
    validate_choice("head", head, HEADS)
    if padding and not all(side % 2 for side in kernels):
        raise ValueError(f"padding=same needs odd kernels, to have as much on either side; kernel_size={list(kernels)}")


def _size_after_blocks(image_size: Sequence[int], kernels: Sequence[int], padding: Padding) -> tuple[int, int]:
    height, width = image_size
    for block, kernel in enumerate(kernels, start=1):
        before, lost = (height, width), 0 if padding else kernel - 1
        height, width = (height - lost) // 2, (width - lost) // 2
        if height < 1 or width < 1:
            why = f"its {kernel}x{kernel} convolution and 2x2 pool leave none"
            raise too_small(f"block {block} of {len(kernels)}", before, why, image_size, "fewer blocks")
    return height, width
