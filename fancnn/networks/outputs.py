"""One logit or several: how the outputs of a network say whether a part is NG."""

import torch
from torch import Tensor


def logit_of_ng(outputs: Tensor) -> Tensor:
    r"""Return the logit of P(NG), whatever number of outputs the network has.

    Several outputs are logits of a softmax, GO first. With z_0 that of GO, P(NG) = 1 - softmax(z)_0, whose logit is
    log sum_{c > 0} exp(z_c) - z_0: of two outputs their difference.

    Args:
        outputs: `(batch,)`, the logit of NG itself; or `(batch, k)`, k of 2 or more, GO first.

    Returns:
        `(batch,)`; its sigmoid is P(NG).

    Example:
        >>> logit_of_ng(torch.tensor([[1.0, 3.0]])), logit_of_ng(torch.tensor([2.0]))
        (tensor([2.]), tensor([2.]))
    """
    return outputs if outputs.ndim == 1 else torch.logsumexp(outputs[:, 1:], 1) - outputs[:, 0]


def probability_of_ng(labels: Tensor) -> Tensor:
    """Return how much of each image is NG: `(batch,)` in [0, 1], from that itself or `(batch, k)` shares, GO first.

    Example:
        >>> probability_of_ng(torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.5, 0.25]]))
        tensor([0.0000, 0.7500])
    """
    return labels if labels.ndim == 1 else 1 - labels[:, 0]
