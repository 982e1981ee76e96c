"""A small residual network for images of 64 to 160 pixels."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.networks.filter_bank import prepare_first_layer
from fancnn.networks.initializers import Start, initialize
from fancnn.networks.layers import (
    MONOTONE,
    MOST_LAYERS,
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

STEM_STRIDES = (1, 2, 4)
ORDERS = ("post", "pre")


class ResidualNet(nn.Module):
    r"""A stem, stages of residual blocks, what is left of each channel, and one logit per image (He et al. 2016).

    A block adds to its input what two 3x3 convolutions make of it. Each stage after the first halves height and
    width in its first block, whose input passes a 1x1 convolution of the same stride. What a branch ends with
    starts at zero, so that a fresh network is as shallow as its stem and grows from there (Goyal et al. 2017).

    Args:
        image_size: Height and width of the images, pixels.
        widths: Channels of each stage.
        depths: Blocks of each stage: one number, or one for each stage.
        stem_kernel_size: Side of the first convolution's kernel, pixels, odd.
        stem_stride: By how much the stem makes images smaller: 1, 2 (its convolution) or 4 (and a max pool).
        order: `pre`: norm, activation, convolution, which leaves the sum untouched (He et al. 2016, identity
            mappings) and learns sooner. `post`: convolution, norm, activation.
        norm: `batch`, `layer`, `group` or `none`, of every convolution.
        activation: A name of `fancnn.networks.layers`.
        head: What is left of each channel: `average`, `max` or `both`, see `layers.global_pool`.
        dropout: Share of that dropped before the logit.
        initializer: A name of `fancnn.networks.initializers`; biases start at zero.
        first_layer: A bank of `fancnn.networks.filter_bank` that the stem's convolution starts with.
        freeze_first_layer: Whether the stem's convolution stays as it starts.
        outputs: Logits for each image.

    Shape:
        - Input: `(batch, 3, height, width)`, float, as `Preprocess` returns it.
        - Output: `(batch,)`, float. A logit: its sigmoid is P(NG). With k > 1 outputs `(batch, k)`.

    Raises:
        ValueError: If an argument is out of range, or the images are too small for the stages.

    Example:
        >>> import torch
        >>> ResidualNet(image_size=(80, 80))(torch.zeros(4, 3, 80, 80)).shape
        torch.Size([4])
    """

    def __init__(
        self,
        image_size: Sequence[int],
        widths: Sequence[int] = (32, 64, 128),
        depths: int | Sequence[int] = 1,
        *,
        stem_kernel_size: int = 3,
        stem_stride: int = 4,
        order: str = "pre",
        norm: str = "batch",
        activation: str = "relu",
        head: str = "average",
        dropout: float = 0.0,
        initializer: str = "he_normal",
        first_layer: str | None = None,
        freeze_first_layer: bool = False,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        validate_lists(widths=widths)
        if not widths:
            raise ValueError("widths=[] has no stage: give the channels of one or more, e.g. [32, 64]")
        blocks = [int(depth) for depth in each("depths", depths, len(widths), "stages")]
        validate_widths(widths=widths, depths=blocks, stem_kernel_size=[stem_kernel_size], outputs=[outputs])
        validate_rates(dropout=[dropout])
        if sum(blocks) > MOST_LAYERS:
            raise ValueError(f"depths={depths} gives {sum(blocks):,} blocks: {MOST_LAYERS:,} at most")
        validate_choice("stem_stride", stem_stride, STEM_STRIDES)
        validate_choice("order", order, ORDERS)
        if stem_kernel_size % 2 == 0:
            raise ValueError(f"stem_kernel_size={stem_kernel_size} must be odd, to have as much on either side")
        _validate_size(image_size, len(widths), stem_stride)
        self.stem = _stem(widths[0], stem_kernel_size, stem_stride, norm, activation, order)
        self.stages = nn.Sequential(
            *(
                _stage(a, b, depth, 1 if index == 0 else 2, order, norm, activation)
                for index, ((a, b), depth) in enumerate(zip(pairwise([widths[0], *widths]), blocks, strict=True))
            )
        )
        last = [*norm_layers(norm, widths[-1]), activation_layer(activation)] if order == "pre" else []
        self.before_pool = len(last)
        self.head = nn.Sequential(*last, global_pool(head), *dropout_layers(nn.Dropout, dropout))
        self.logit = nn.Linear(widths[-1] * (2 if head == "both" else 1), outputs)
        self.outputs = outputs
        self.initialized = initialize(self, initializer)
        _start_at_zero(self, self.initialized)
        prepare_first_layer(self, "stem.0", self.initialized, first_layer, freeze_first_layer)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(self.stem(images))  # (batch, 3, 80, 80) > (batch, 32, 20, 20) > (batch, 128, 5, 5)
        logits: Tensor = self.logit(self.head(features))
        return logits.squeeze(1) if self.outputs == 1 else logits

    def feature_map(self, images: Tensor) -> Tensor:
        """Return the output of the stages, `(batch, channels, rows, columns)`; pretraining learns these layers."""
        features: Tensor = self.stages(self.stem(images))
        for layer in list(self.head)[: self.before_pool]:
            features = layer(features)  # in `pre` order the last norm and activation belong to the stages
        return features


class ResidualBlock(nn.Module):
    """What a branch of two 3x3 convolutions makes of its input, added to it.

    Shape:
        - Input: `(batch, channels_in, height, width)`.
        - Output: `(batch, channels_out, height / stride, width / stride)`, rounded up.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, *, order: str, norm: str, activation: str
    ) -> None:
        super().__init__()
        first = _convolution(channels_in, channels_out, 3, stride, norm)
        second = _convolution(channels_out, channels_out, 3, 1, norm)
        if order == "pre":
            before, between = norm_layers(norm, channels_in), norm_layers(norm, channels_out)
            acts = (activation_layer(activation), activation_layer(activation))
            self.branch = nn.Sequential(*before, acts[0], first, *between, acts[1], second)
            self.after: nn.Module = nn.Identity()
        else:
            norms = norm_layers(norm, channels_out), norm_layers(norm, channels_out)
            self.branch = nn.Sequential(first, *norms[0], activation_layer(activation), second, *norms[1])
            self.after = activation_layer(activation)
        self.shortcut = _shortcut(channels_in, channels_out, stride, norm if order == "post" else "none")

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = self.after(self.shortcut(features) + self.branch(features))
        return added

    @property
    def last(self) -> nn.Module:
        """Return what the branch ends with."""
        return self.branch[-1]


def _convolution(channels_in: int, channels_out: int, kernel_size: int, stride: int, norm: str) -> nn.Conv2d:
    kind = SkippingConv2d if kernel_size == 1 < stride and channels_in < 8 else nn.Conv2d
    # batch norm takes off what a bias adds
    return kind(channels_in, channels_out, kernel_size, stride, kernel_size // 2, bias=norm != "batch")


class SkippingConv2d(nn.Conv2d):
    """A 1x1 convolution that leaves out pixels before it, and not in it: the same values from the same weights.

    With fewer than 8 input channels, strides and channels last, the gradient of torch's own overwrites memory that is
    not its own, on processors without AVX-512 (seen with torch 2.14.1: 1 to 7 channels, every number of outputs).
    """

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(input[..., ::rows, ::columns], self.weight, self.bias)


def _stem(width: int, kernel_size: int, stride: int, norm: str, activation: str, order: str) -> nn.Sequential:
    convolution = _convolution(3, width, kernel_size, min(stride, 2), norm if order == "post" else "none")
    pool: list[nn.Module] = [nn.MaxPool2d(3, stride=2, padding=1)] if stride == 4 else []
    if order == "pre":  # the first block begins with norm and activation
        return nn.Sequential(convolution, *pool)
    active = activation_layer(activation)
    # the pool first where that is the same: see ConvNet
    rest = [*pool, active] if activation in MONOTONE else [active, *pool]
    return nn.Sequential(convolution, *norm_layers(norm, width), *rest)


def _stage(
    channels_in: int, channels_out: int, depth: int, stride: int, order: str, norm: str, activation: str
) -> nn.Sequential:
    ends = [(channels_in, stride), *[(channels_out, 1)] * (depth - 1)]
    blocks = (ResidualBlock(a, channels_out, s, order=order, norm=norm, activation=activation) for a, s in ends)
    return nn.Sequential(*blocks)


def _shortcut(channels_in: int, channels_out: int, stride: int, norm: str) -> nn.Module:
    if channels_in == channels_out and stride == 1:
        return nn.Identity()
    return nn.Sequential(_convolution(channels_in, channels_out, 1, stride, norm), *norm_layers(norm, channels_out))


def _start_at_zero(network: nn.Module, filled: dict[str, Start]) -> None:
    """Let each branch give zero at first: by its last norm, or by its last convolution where no norm comes after it.

    In `pre` order the last norm is followed by an activation, and ReLU passes no gradient at zero: the branch would
    stay zero for ever.
    """
    for name, block in network.named_modules():
        if isinstance(block, ResidualBlock):
            nn.init.zeros_(block.last.weight)  # type: ignore[arg-type]
            if isinstance(block.last, nn.Conv2d):
                filled[f"{name}.branch.{len(block.branch) - 1}"] = Start("zeros", 0.0)


def _validate_size(image_size: Sequence[int], stages: int, stem_stride: int) -> None:
    """Validate that two pixels a side are left at each stage: batch norm has no spread of one."""
    height, width = (-(-side // stem_stride) for side in image_size)  # each halving rounds up
    for stage in range(1, stages + 1):
        before, step = (height, width), 1 if stage == 1 else 2
        height, width = -(-height // step), -(-width // step)
        if min(height, width) < 2:
            why = f"its {'stride of 2' if step == 2 else 'blocks'} would leave less than 2x2"
            raise too_small(
                f"stage {stage} of {stages}", before, why, image_size, "fewer stages, or a smaller stem_stride"
            )
