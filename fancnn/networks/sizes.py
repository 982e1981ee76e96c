"""How large a network is, before memory is taken for it."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

PER_WEIGHT = 8  # bytes in training, at least: itself and its gradient in float32
PER_VALUE = 2  # of what a layer gives, kept for its gradient: bfloat16 at least


def is_small(*numbers: int) -> bool:
    """Return whether no number among a network's arguments, nor the pixels of an image, can make it a large one.

    Networks that can be are made once without memory, which takes a second or two: the others need not wait.
    """
    return all(-1024 <= number <= 1024 for number in numbers)


def training_bytes(make: Callable[[], nn.Module], image_size: tuple[int, int], batch: int) -> int:
    """Return the bytes that training takes at least, by the shapes of weights and of what layers give.

    Args:
        make: Makes the network.
        image_size: Height and width, pixels.
        batch: Images of a step.

    Raises:
        RuntimeError: If a shape is beyond all numbers of bytes.

    Example:
        >>> from fancnn.networks import ConvNet
        >>> training_bytes(lambda: ConvNet((80, 80)), (80, 80), 32) // 10**7
        4
    """
    values = 0

    def count(layer: nn.Module, given: Any, output: Any) -> None:
        nonlocal values
        values += prod(output.shape) if isinstance(output, Tensor) else 0

    with torch.device("meta"), torch.no_grad():  # shapes alone
        network = make()
        for layer in network.modules():
            if not list(layer.children()):
                layer.register_forward_hook(count)
        network.eval()(torch.zeros(1, 3, *image_size))
    weights = sum(prod(weight.shape) for weight in network.parameters())
    return PER_WEIGHT * weights + PER_VALUE * batch * values
