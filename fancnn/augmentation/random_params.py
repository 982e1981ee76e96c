"""What is drawn for each image of a batch, from torch's global generator of the device, and what may be drawn."""

import torch
from torch import Tensor

from fancnn.settings.validation import is_number


def uniform(count: int, low: float, high: float, device: torch.device) -> Tensor:
    """Return `(count,)` numbers from [low, high)."""
    return torch.rand(count, device=device).mul_(high - low).add_(low)


def chosen(count: int, probability: float, device: torch.device) -> Tensor:
    """Return `(count,)` booleans, each true with `probability`: never with 0, always with 1."""
    return torch.rand(count, device=device) < probability


def occasional(values: Tensor, neutral: float, probability: float) -> Tensor:
    """Return `(count, ...)` values: those of each image with `probability`, else `neutral`, which changes nothing."""
    taken = chosen(len(values), probability, values.device)
    return torch.where(taken.view(-1, *[1] * (values.ndim - 1)), values, neutral)


def validate_range(low: float = 0.0, high: float = 1.0, **values: float) -> None:
    """Refuse arguments outside [low, high].

    Raises:
        ValueError: With the argument's name, what it is and what it may be.

    Example:
        >>> validate_range(probability=2)
        Traceback (most recent call last):
        ValueError: probability=2 should be a number from 0 to 1
    """
    for name, value in values.items():
        if not is_number(value) or not low <= value <= high:
            raise ValueError(f"{name}={value!r} should be a number from {low:g} to {high:g}")


def validate_ordered(name: str, low: float, high: float) -> None:
    """Refuse a range whose ends are the wrong way round.

    Raises:
        ValueError: With both.
    """
    if low > high:
        raise ValueError(f"least_{name}={low!r} should not be above most_{name}={high!r}")
