"""Where a network starts before it has seen an image."""

from collections.abc import Sequence

import torch
from torch import nn

from fancnn.errors import UserError


def set_output_bias(network: nn.Module, log_priors: Sequence[float]) -> None:
    """Start the bias of the layer that gives the logits at the logs of the classes' shares, or one at NG to GO.

    So the first loss is near the entropy of the classes' shares, and the first epochs need not learn that one class
    is rare (Lin et al. 2017, section 3.3, have the idea).

    Args:
        network: Ends in a linear layer.
        log_priors: `(k,)`, of GO and each kind of NG; for one logit `(2,)`.

    Raises:
        UserError: If the last linear layer has no bias or another number of outputs.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    last = layers[-1] if layers else None
    outputs = getattr(network, "outputs", 1)
    if last is None or last.out_features != outputs or last.bias is None:
        raise UserError(
            f"model.output_bias=balanced needs a network that ends in a linear layer for its logits, with a bias; "
            f"{type(network).__name__} does not. Take model.output_bias=null, or model.loss.pos_weight=balanced"
        )
    with torch.no_grad():
        last.bias.copy_(torch.tensor(log_priors if outputs > 1 else [log_priors[1] - log_priors[0]]))
