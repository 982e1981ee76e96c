"""What tells the weights of one network from those of another."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

PREFIX = "model."  # of the model's tensors among those of a checkpoint; others are of the loss, for one


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the model among the `state_dict` of a checkpoint, by the names that the model has."""
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Return SHA-256 over names, types, shapes and values of tensors, in the order of names.

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
