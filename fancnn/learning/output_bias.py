"""Where a network starts before it has seen a picture."""

import torch
from torch import nn

from fancnn.errors import UserError


def set_output_bias(network: nn.Module, logit: float) -> None:
    """Start the bias of the layer that gives the logit at `logit`.

    With the log of NG to GO the first loss is near the entropy of the classes' shares, and the first epochs need
    not learn that one class is rare (Lin et al. 2017, section 3.3, have the idea).

    Raises:
        UserError: If the last linear layer has no bias or more than one output.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    last = layers[-1] if layers else None
    if last is None or last.out_features != 1 or last.bias is None:
        raise UserError(
            f"model.output_bias=balanced needs a network that ends in a linear layer with one output and a bias; "
            f"{type(network).__name__} does not. Take model.output_bias=null, or model.loss.pos_weight=balanced"
        )
    with torch.no_grad():
        last.bias.fill_(logit)
