"""How the kernels of a network start, by the names the field uses."""

from collections.abc import Callable

from torch import Tensor, nn

INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    # Glorot and Bengio 2010: variance 2 / (fan_in + fan_out); what Keras does where nothing is said
    "glorot_uniform": nn.init.xavier_uniform_,
}


def initialize(network: nn.Module, name: str) -> None:
    """Fill the kernels of all convolutions and linear layers by `name` and their biases with zeros.

    Raises:
        ValueError: If `name` is none of `INITIALIZERS`.
    """
    if name not in INITIALIZERS:
        raise ValueError(f"initializer={name!r} is none of {', '.join(sorted(INITIALIZERS))}")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            INITIALIZERS[name](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
