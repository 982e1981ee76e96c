"""Optimizer and schedule are made in the middle of `fit`; a wrong argument of theirs is reported before."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fancnn.errors import UserError, collected
from fancnn.training.regularization import optimizer_of
from fancnn.training.schedules import scheduled

T = TypeVar("T")
# what classes of torch raise for an argument that they cannot take
ARGUMENTS_REFUSED = (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError, ArithmeticError)


def validate_makers(optimizer: Any, schedule: Any, network: nn.Module, layer_decay: float | None = None) -> None:
    """Make both once, for nothing, and let the optimizer take a step.

    Args:
        optimizer: Makes the optimizer; None where that is known to be wrong.
        schedule: Makes the schedule; None where there is none.
        network: What the optimizer acts on.
        layer_decay: As in `optimizer_of`.

    Raises:
        UserError: If one of them cannot be called, refuses its arguments or gives something else, naming its key.
    """
    sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    with collected() as check:
        if optimizer is not None:
            check(lambda: _validate_optimizer(optimizer, network, layer_decay))
        if schedule is not None:
            check(lambda: _tried("schedule", schedule, lambda: _validate_schedule(schedule, sgd)))


def _validate_optimizer(make: Any, network: nn.Module, layer_decay: float | None) -> None:
    _tried("model.optimizer", make, lambda: optimizer_of(network, make, layer_decay))
    made = _tried("model.optimizer", make, lambda: _stepped(make))
    if made is not None and not bool(made.isfinite().all()):
        raise UserError("model.optimizer: its first step is no number. Lower model.optimizer.lr")


def _stepped(make: Any) -> Tensor:
    """Return two weights of 1 after a step along a gradient of 1."""
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    optimizer = make([weight])
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"it makes a {type(optimizer).__name__}. Expected an Optimizer")
    optimizer.step()
    return weight.detach()


def _validate_schedule(make: Any, optimizer: Optimizer) -> None:
    made = scheduled(make, optimizer, lambda: 100)["scheduler"]
    if not isinstance(made, LRScheduler | ReduceLROnPlateau):
        raise TypeError(f"it makes a {type(made).__name__}. Expected an LRScheduler")


def _tried(key: str, make: Any, attempt: Callable[[], T]) -> T:
    """Return what `attempt` gives, where it does not find a mistake in the arguments that `make` has."""
    try:
        return attempt()
    except UserError:
        raise
    except ARGUMENTS_REFUSED as error:
        raise UserError(f"{key}: {error}{accepted(error, getattr(make, 'func', make))}") from error


def validate_loss(loss: nn.Module, outputs: int) -> None:
    """Let a loss judge two images, for nothing.

    Raises:
        UserError: If it refuses them, or gives anything else than one number.
    """
    logits = torch.zeros(2) if outputs == 1 else torch.zeros(2, outputs)
    labels = torch.tensor([0.0, 1.0]) if outputs == 1 else torch.eye(2, outputs)
    result = _tried("model.loss", type(loss), lambda: loss(logits, labels))
    if not isinstance(result, Tensor) or result.ndim > 0 or not bool(result.isfinite()):
        raise UserError(
            f"model.loss: {type(loss).__name__} gives no single number for the logits and labels of a batch"
        )


def validate_network(network: nn.Module, image_size: Sequence[int], outputs: int) -> None:
    """Let a network judge an empty image, for nothing.

    Raises:
        UserError: If it refuses images of that size, or does not give a logit for each output.
    """
    was_training = network.training
    with torch.no_grad():
        logits = _tried("model.network", type(network), lambda: network.eval()(torch.zeros(1, 3, *image_size)))
    network.train(was_training)
    expected = (1,) if outputs == 1 else (1, outputs)
    if not isinstance(logits, Tensor) or logits.shape != expected:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"model.network: {type(network).__name__} gives {shape} for an image of {list(image_size)}. Expected "
            f"{expected}: {'its logit of NG' if outputs == 1 else 'a logit for each output'}"
        )


def validate_takes_outputs(network: Any, outputs: int) -> None:
    """Refuse a class of networks that do not take how many logits to give.

    Raises:
        UserError: With the way out.
    """
    arguments = inspect.signature(network).parameters
    if "outputs" not in arguments and not any(item.kind == item.VAR_KEYWORD for item in arguments.values()):
        raise UserError(
            f"model.outputs needs {outputs} logits for each image, and {network.__name__} does not take how many. "
            "Give it an argument outputs: int = 1, or take model.labels=binary"
        )


def accepted(error: BaseException, target: Any) -> str:
    """Return a sentence with the arguments that there are, after an error of an unknown one; else an empty text."""
    if "unexpected keyword argument" not in str(error):
        return ""
    names = [name for name in inspect.signature(target).parameters if name not in ("self", "args", "kwargs")]
    end = "" if str(error).endswith("?") else "."  # Python 3.13 asks what may have been meant
    return f"{end} It takes: {', '.join(names)}"
