"""What training makes small: binary cross-entropy, weighted or smoothed if asked for, and focal loss.

Each takes `(batch,)` logits of NG and `(batch,)` labels in [0, 1] (0 GO, 1 NG, between where pictures are mixed) and
gives the mean over the batch. They are for training alone: the losses that are monitored, `train/loss` and `val/loss`,
are the plain cross-entropy whatever is trained with, so that they can be compared with each other and between runs.
"""

from math import isfinite

import torch.nn.functional as F
from torch import Tensor, nn


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy of the logit.

    Args:
        smoothing: s in [0, 1): a label y becomes y (1 - s) + s / 2, so that no probability is pushed to 0 or 1
            (Szegedy et al. 2016, section 7).
        pos_weight: By what the loss of an NG picture is multiplied; None is 1. The configuration's `balanced` comes
            here as a number, with `neg_weight`.
        neg_weight: By what that of a GO picture is multiplied. A mixed label has the mixture of both.

    Raises:
        ValueError: If `smoothing` is outside [0, 1) or a weight is not above 0.

    Example:
        >>> import torch
        >>> BinaryCrossEntropy()(torch.zeros(3), torch.tensor([0.0, 1.0, 1.0]))
        tensor(0.6931)
    """

    def __init__(self, smoothing: float = 0.0, pos_weight: float | None = None, neg_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing={smoothing} should be from 0 to below 1, e.g. 0.1")
        for name, weight in (("pos_weight", pos_weight), ("neg_weight", neg_weight)):
            if weight is not None and not _is_positive(weight):
                raise ValueError(f"{name}={weight!r} should be null, balanced, or a number above 0, e.g. 3")
        self.smoothing, self.neg_weight = smoothing, neg_weight
        self.pos_weight = 1.0 if pos_weight is None else pos_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = None
        if (self.neg_weight, self.pos_weight) != (1, 1):  # of the labels as they are, not smoothed
            weights = self.neg_weight + (self.pos_weight - self.neg_weight) * labels
        if self.smoothing:
            labels = labels * (1 - self.smoothing) + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, labels, weights)

    @property
    def is_plain(self) -> bool:
        """Whether it is the cross-entropy that is monitored."""
        return (self.smoothing, self.neg_weight, self.pos_weight) == (0, 1, 1)


class FocalLoss(nn.Module):
    """Focal loss (Lin et al. 2017, equation 5): pictures that are right already hardly count.

    With p_t the probability of the right class, -alpha_t (1 - p_t)^gamma log p_t; a label between 0 and 1 has the
    mixture of both classes' terms.

    Args:
        gamma: From 0 (binary cross-entropy) on; 2 in the paper.
        alpha: Weight of NG in (0, 1), 1 - alpha that of GO; None weighs both by 1.

    Raises:
        ValueError: If `gamma` is negative or `alpha` outside (0, 1).

    Example:
        >>> import torch
        >>> FocalLoss(gamma=2)(torch.zeros(1), torch.ones(1))  # (1 - 1/2)^2 log 2
        tensor(0.1733)
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        if not (gamma >= 0 and isfinite(gamma)):
            raise ValueError(f"gamma={gamma} should be 0 or above: 0 is binary cross-entropy, 2 the paper's")
        if alpha is not None and not 0 < alpha < 1:
            raise ValueError(f"alpha={alpha} should be above 0 and below 1: the weight of NG, or null for none")
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        ng, go = (1.0, 1.0) if self.alpha is None else (self.alpha, 1 - self.alpha)
        # log p = logsigmoid(z) and log(1 - p) = logsigmoid(-z): finite for any logit, and so are their gradients
        of_ng = (self.gamma * F.logsigmoid(-logits)).exp() * F.logsigmoid(logits)
        of_go = (self.gamma * F.logsigmoid(logits)).exp() * F.logsigmoid(-logits)
        return -(ng * labels * of_ng + go * (1 - labels) * of_go).mean()


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
