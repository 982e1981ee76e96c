"""How the learning rate changes from epoch to epoch."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def exponential_decay(optimizer: Optimizer, epochs_per_decade: float | None) -> LambdaLR:
    """The original's decay: `lr(epoch) = lr0 * 0.1 ** (epoch / epochs_per_decade)`, once an epoch.

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
