"""Optimiser and schedule are made in the middle of `fit`; a wrong argument of theirs is told before."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fancnn.errors import UserError
from fancnn.learning.regularization import optimizer_of
from fancnn.learning.schedules import scheduled


def check_makers(optimizer: Any, schedule: Any, network: nn.Module) -> None:
    """Make both once, for nothing.

    Raises:
        UserError: If one of them cannot be called or refuses its arguments, naming its key.
    """
    sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    tries: tuple[tuple[str, Any, Callable[[], Any]], ...] = (
        ("model.optimizer", optimizer, lambda: optimizer_of(network, optimizer)),
        ("schedule", schedule, lambda: scheduled(schedule, sgd, lambda: 100)),
    )
    for key, maker, attempt in tries:
        if maker is None:
            continue
        if not callable(maker):
            raise UserError(f"{key} should have _partial_: true, since what it acts on is made later")
        try:
            attempt()
        except (TypeError, ValueError) as error:
            raise UserError(f"{key}: {error}{accepted(error, getattr(maker, 'func', maker))}") from error


def check_takes_outputs(network: Any, outputs: int) -> None:
    """Refuse a class of networks that cannot be told how many logits to give.

    Raises:
        UserError: With the way out.
    """
    arguments = inspect.signature(network).parameters
    if "outputs" not in arguments and not any(item.kind == item.VAR_KEYWORD for item in arguments.values()):
        raise UserError(
            f"model.outputs needs {outputs} logits for each picture, and {network.__name__} does not take how many. "
            "Give it an argument outputs: int = 1, or take model.outputs=one"
        )


def accepted(error: BaseException, target: Any) -> str:
    """After an unknown argument: those there are."""
    if "unexpected keyword argument" not in str(error):
        return ""
    names = [name for name in inspect.signature(target).parameters if name not in ("self", "args", "kwargs")]
    return f". It takes: {', '.join(names)}"
