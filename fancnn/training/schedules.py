"""How the learning rate changes: once an epoch, or after every step where a schedule takes `total_steps`.

Each is a function of its closed form alone, lr = lr0 * factor(t), and so goes on exactly where a run was stopped; but
for `Plateau`, which keeps what it has seen in the checkpoint.
"""

import inspect
from collections.abc import Callable
from math import cos, floor, pi
from typing import Any

from pytorch_lightning import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from fancnn.settings.validation import validate_monitor
from fancnn.training.epoch_scores import direction


def scheduled(
    make: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: Callable[[], float]
) -> dict[str, Any]:
    """Return the scheduler that `make` gives, and when it steps, in Lightning's form.

    Args:
        make: Takes the optimizer; one that takes `total_steps` as well steps after every step of the optimizer, any
            other once an epoch.
        optimizer: Whose rate changes.
        total_steps: How many steps the optimizer will make; asked only where it is needed.
    """
    function = getattr(make, "func", make)  # of a partial, which has no signature where it binds a wrong name
    if "total_steps" in inspect.signature(function).parameters:
        return {"scheduler": make(optimizer, total_steps=int(total_steps())), "interval": "step"}
    scheduler = make(optimizer)
    return {"scheduler": scheduler, "interval": "epoch", "monitor": getattr(scheduler, "monitor", "val/loss")}


def step_plateaus(trainer: Trainer) -> None:
    """Step each `Plateau` at the end of an epoch, before its checkpoint; Lightning itself would do so after it."""
    for config in trainer.lr_scheduler_configs:
        if isinstance(config.scheduler, ReduceLROnPlateau):
            config.scheduler.step(float(trainer.callback_metrics[str(config.monitor)]))


def constant(optimizer: Optimizer) -> LambdaLR:
    """Return `lr(epoch) = lr0`."""
    return LambdaLR(optimizer, lambda epoch: 1.0)


def exponential_decay(optimizer: Optimizer, epochs_per_decade: float | None) -> LambdaLR:
    """Return the original's decay: `lr(epoch) = lr0 * 0.1 ** (epoch / epochs_per_decade)`, once an epoch.

    Args:
        optimizer: Its learning rate is lr0.
        epochs_per_decade: Epochs in which the rate falls to a tenth; None keeps it constant.

    Raises:
        ValueError: If `epochs_per_decade` is not positive.
    """
    if epochs_per_decade is not None and not epochs_per_decade > 0:
        raise ValueError(
            f"epochs_per_decade={epochs_per_decade} should be above 0: the epochs in which the rate falls to a "
            "tenth, or null for a constant rate"
        )
    return LambdaLR(optimizer, lambda epoch: 0.1 ** (epoch / epochs_per_decade) if epochs_per_decade else 1.0)


def step_decay(optimizer: Optimizer, every: int, factor: float = 0.1) -> LambdaLR:
    """Return `lr(epoch) = lr0 * factor ** floor(epoch / every)`, once an epoch.

    Args:
        optimizer: Its learning rate is lr0.
        every: Epochs between two falls.
        factor: In (0, 1), by what the rate falls.

    Raises:
        ValueError: If `every` is below 1 or `factor` outside (0, 1).
    """
    if every < 1:
        raise ValueError(f"every={every} should be 1 or more epochs")
    _validate_inside(factor=factor)
    return LambdaLR(optimizer, lambda epoch: factor ** floor(epoch / every))


def cosine_decay(optimizer: Optimizer, total_steps: int, warmup: float = 0.05, final: float = 0.0) -> LambdaLR:
    """Raise the rate in a line, then lower it by half a cosine (Loshchilov and Hutter 2017, equation 5, one period).

    With w = round(warmup * total_steps): `lr0 * (t + 1) / w` for t < w, then
    `lr0 * (final + (1 - final) * (1 + cos(pi * (t - w) / (total_steps - w))) / 2)`.

    Args:
        optimizer: Its learning rate is lr0, the highest.
        total_steps: Steps of the whole training.
        warmup: Share of them, in [0, 1), that go up.
        final: Share of lr0, in [0, 1), at the end.

    Raises:
        ValueError: If a share is outside [0, 1).
    """
    _validate_share(warmup=warmup, final=final)
    rising = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return final + (1 - final) * _falling((step - rising) / max(1, total_steps - rising))

    return LambdaLR(optimizer, factor)


def one_cycle(
    optimizer: Optimizer, total_steps: int, rising: float = 0.3, start: float = 0.04, final: float = 4e-6
) -> LambdaLR:
    """Raise the rate by half a cosine from a low one, then lower it likewise to almost 0 (Smith and Topin 2018).

    The rates are those of torch's `OneCycleLR`; momentum is left alone. With u = rising * total_steps - 1 the rate is
    `start * lr0` at step 0, lr0 at step u, and `final * lr0` at the last step.

    Args:
        optimizer: Its learning rate is lr0, the highest.
        total_steps: Steps of the whole training.
        rising: Share of them, in (0, 1), that go up.
        start: Share of lr0, in (0, 1), to begin with.
        final: Share of lr0, in (0, 1), at the end.

    Raises:
        ValueError: If a share is outside (0, 1).
    """
    _validate_inside(rising=rising, start=start, final=final)
    top = rising * total_steps - 1

    def factor(step: int) -> float:
        if step <= top:
            return 1 + (start - 1) * _falling(step / top if top > 0 else 1.0)
        return final + (1 - final) * _falling((step - top) / max(1.0, total_steps - 1 - top))

    return LambdaLR(optimizer, factor)


class Plateau(ReduceLROnPlateau):
    """The rate falls when a score has not improved for some epochs.

    Args:
        optimizer: Its learning rate falls.
        monitor: Name of the score.
        factor: In (0, 1), by what the rate falls.
        patience: Epochs without improvement that are put up with; the rate falls after the next one.
        min_lr: No rate below this.

    Raises:
        UserError: If no epoch has that score.
        ValueError: If `factor` is outside (0, 1), or `patience` or `min_lr` negative.
    """

    def __init__(
        self, optimizer: Optimizer, monitor: str, factor: float = 0.1, patience: int = 2, min_lr: float = 0.0
    ) -> None:
        validate_monitor(monitor)
        _validate_inside(factor=factor)
        if patience < 0 or min_lr < 0:
            raise ValueError(f"patience={patience} and min_lr={min_lr} should be 0 or above")
        mode: Any = direction(monitor)
        super().__init__(optimizer, mode, factor=factor, patience=patience, min_lr=min_lr)
        self.monitor = monitor


def _falling(progress: float) -> float:
    """Return half a cosine: 1 at progress 0, 0 from progress 1 on."""
    return (1 + cos(pi * min(1.0, progress))) / 2


def _validate_inside(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}={value} should be above 0 and below 1")


def _validate_share(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value} should be from 0 to below 1")
