"""What tells the weights of one network from those of another."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values of tensors, in the order of names.

    Example:
        >>> weights_hash({"a": torch.zeros(2)}) == weights_hash({"a": torch.zeros(2)})
        True
        >>> weights_hash({"a": torch.zeros(2)}) == weights_hash({"a": torch.zeros(1, 2)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}\t{value.dtype}\t{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
