"""The original's network, of any depth and width."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from fancnn.networks.initializers import initialize


class ConvNet(nn.Module):
    r"""Convolution-pool-ReLU blocks, fully connected ReLU layers, and one logit per image.

    Convolutions have no padding and pools drop an odd last row, as in the original: with the
    defaults 80 > 78 > 39 > 37 > 18, so `Flatten` gives 18 * 18 * 64 = 20,736 values and the
    network has 2,673,857 parameters.

    Args:
        image_size: Height and width of the pictures, pixels.
        filters: Output channels of each block, shallow to deep.
        hidden: Width of each fully connected layer before the logit.
        kernel_size: Side of the square kernels, pixels.
        initializer: A name of `fancnn.networks.initializers`; biases start at zero.

    Shape:
        - Input: `(batch, 3, height, width)`, float, as `Preprocess` returns it.
        - Output: `(batch,)`, float. A logit: its sigmoid is P(NG).

    Raises:
        ValueError: If a width is not positive, or the pictures are too small for the blocks.

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
        kernel_size: int = 3,
        initializer: str = "glorot_uniform",
    ) -> None:
        super().__init__()
        _check_widths(filters=filters, hidden=hidden, kernel_size=[kernel_size])
        height, width = _sizes_after_blocks(image_size, kernel_size, len(filters))[-1]
        channels = [3, *filters]
        self.blocks = nn.Sequential(*(_block(a, b, kernel_size) for a, b in pairwise(channels)))
        features = [height * width * channels[-1], *hidden]
        self.hidden = nn.Sequential(nn.Flatten(), *(_dense(a, b) for a, b in pairwise(features)))
        self.logit = nn.Linear(features[-1], 1)
        initialize(self, initializer)

    def forward(self, images: Tensor) -> Tensor:
        features = self.hidden(self.blocks(images))  # (batch, 3, 80, 80) > (batch, 64, 18, 18) > (batch, 128)
        logits: Tensor = self.logit(features).squeeze(1)
        return logits


def _block(channels_in: int, channels_out: int, kernel_size: int) -> nn.Module:
    # the pool comes first: ReLU keeps order, so function and gradient are those of the original's ReLU and
    # pool, and ReLU has a quarter of the work
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel_size), nn.MaxPool2d(2), nn.ReLU())


def _dense(features_in: int, features_out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features_in, features_out), nn.ReLU())


def _check_widths(**widths: Sequence[int]) -> None:
    for name, values in widths.items():
        if not all(value >= 1 for value in values):
            raise ValueError(f"{name} must be 1 or more, got {list(values)}")


def _sizes_after_blocks(image_size: Sequence[int], kernel_size: int, blocks: int) -> list[tuple[int, int]]:
    sizes = [(image_size[0], image_size[1])]
    for block in range(1, blocks + 1):
        height, width = ((side - kernel_size + 1) // 2 for side in sizes[-1])
        if height < 1 or width < 1:
            raise ValueError(
                f"block {block} of {blocks} gets {sizes[-1][0]}x{sizes[-1][1]} pixels and its {kernel_size}x"
                f"{kernel_size} convolution and 2x2 pool leave none. Take larger pictures "
                f"(data.image_size={list(image_size)} now) or fewer blocks"
            )
        sizes.append((height, width))
    return sizes
