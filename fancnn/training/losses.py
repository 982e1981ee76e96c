"""What training makes small: cross-entropy, weighted or smoothed if asked for, and focal loss.

Each takes `(batch,)` logits of NG and `(batch,)` labels in [0, 1] (0 GO, 1 NG, between where images are mixed), or
`(batch, k)` logits of a softmax, GO first, and `(batch, k)` shares of these classes that sum to 1; and gives the mean
over the batch. They are for training alone: the losses that are monitored, `train/loss` and `val/loss`, are the plain
binary cross-entropy of P(NG) whatever is trained with, so that they can be compared with each other and between runs.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.data.class_weights import ClassCounts, balanced_weights
from fancnn.errors import UserError


class CrossEntropy(nn.Module):
    """Cross-entropy: binary of one logit, categorical of several.

    Args:
        smoothing: s in [0, 1): a label y becomes y (1 - s) + s / k of k classes (2 of one logit), so that no
            probability is pushed to 0 or 1 (Szegedy et al. 2016, section 7).
        pos_weight: By what the loss of an NG image is multiplied, of whatever type, or a number for each type; None
            is 1. The configuration's `balanced` comes here as numbers, with `neg_weight`.
        neg_weight: By what that of a GO image is multiplied. A mixed label has the mixture of its classes' weights.

    Raises:
        ValueError: If `smoothing` is outside [0, 1) or a weight is not above 0.
        UserError: In use, if there are not as many weights as there are kinds of NG.

    Example:
        >>> CrossEntropy()(torch.zeros(3), torch.tensor([0.0, 1.0, 1.0]))
        tensor(0.6931)
        >>> CrossEntropy()(torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]]))  # log 4
        tensor(1.3863)
    """

    def __init__(
        self, smoothing: float = 0.0, pos_weight: float | Sequence[float] | None = None, neg_weight: float = 1.0
    ) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing={smoothing} should be from 0 to below 1, e.g. 0.1")
        each = pos_weight if isinstance(pos_weight, list | tuple) else [pos_weight]
        for name, given, weights in (("pos_weight", pos_weight, each), ("neg_weight", neg_weight, [neg_weight])):
            if not weights or not all(weight is None or _is_positive(weight) for weight in weights):
                raise ValueError(f"{name}={given!r} should be null, balanced, or a number above 0, e.g. 3")
        self.smoothing, self.neg_weight = smoothing, neg_weight
        self.pos_weight = 1.0 if pos_weight is None else pos_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if logits.ndim == 2:
            return self._of_several(logits, labels)
        weights = None
        (ng,) = self._weights_of_ng(1)
        if (self.neg_weight, ng) != (1, 1):  # of the labels as they are, not smoothed
            weights = self.neg_weight + (ng - self.neg_weight) * labels
        if self.smoothing:
            labels = labels * (1 - self.smoothing) + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, labels, weights)

    def _of_several(self, logits: Tensor, shares: Tensor) -> Tensor:
        kinds = logits.shape[1] - 1
        each = shares.new_tensor([self.neg_weight, *self._weights_of_ng(kinds)])
        weights = shares @ each  # (batch,), of the shares as they are, not smoothed
        if self.smoothing:
            shares = shares * (1 - self.smoothing) + self.smoothing / (kinds + 1)
        losses: Tensor = weights * F.cross_entropy(logits, shares, reduction="none")
        return losses.mean()

    def _weights_of_ng(self, kinds: int) -> Sequence[float]:
        ng = self.pos_weight if isinstance(self.pos_weight, Sequence) else [self.pos_weight] * kinds
        if len(ng) != kinds:
            raise UserError(f"model.loss.pos_weight={ng} has {len(ng)} numbers for {kinds} kinds of NG: say as many")
        return ng

    @property
    def is_plain(self) -> bool:
        """Return whether it is not weighted or smoothed: for one or two logits the monitored cross-entropy."""
        return (self.smoothing, self.neg_weight, self.pos_weight) == (0, 1, 1)


class FocalLoss(nn.Module):
    """Focal loss (Lin et al. 2017, equation 5): images that are right already hardly count.

    With p_t the probability of the right class, -alpha_t (1 - p_t)^gamma log p_t; a mixed label has the mixture of
    its classes' terms. Of several logits p_t is that of the softmax, and each kind of NG has the weight of NG.

    Args:
        gamma: From 0 (cross-entropy) on; 2 in the paper.
        alpha: Weight of NG in (0, 1), 1 - alpha that of GO; None weighs both by 1.

    Raises:
        ValueError: If `gamma` is negative or `alpha` outside (0, 1).

    Example:
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
        if logits.ndim == 2:
            kinds = logits.shape[1] - 1
            weights = labels * labels.new_tensor([go, *[ng] * kinds])
            log_wrong = torch.stack([_log_sum_without(logits, kind) for kind in range(kinds + 1)], 1)
            log_wrong = log_wrong - logits.logsumexp(1, keepdim=True)  # log(1 - p), finite as below
            return -(weights * (self.gamma * log_wrong).exp() * F.log_softmax(logits, 1)).sum(1).mean()
        # log p = logsigmoid(z) and log(1 - p) = logsigmoid(-z): finite for any logit, and so are their gradients
        of_ng = (self.gamma * F.logsigmoid(-logits)).exp() * F.logsigmoid(logits)
        of_go = (self.gamma * F.logsigmoid(logits)).exp() * F.logsigmoid(-logits)
        return -(ng * labels * of_ng + go * (1 - labels) * of_go).mean()


def with_balanced_weights(loss: Mapping[str, Any], counts: ClassCounts) -> Mapping[str, Any]:
    """Return the arguments of a loss, `pos_weight=balanced` replaced by numbers for a training split of `counts`.

    Example:
        >>> with_balanced_weights({"pos_weight": "balanced"}, (75, 25))
        {'pos_weight': [2.0], 'neg_weight': 0.6666666666666666}
    """
    if loss.get("pos_weight") != "balanced":
        return loss
    go, *ng = balanced_weights(counts)
    return {**loss, "pos_weight": ng, "neg_weight": go}


def _log_sum_without(logits: Tensor, column: int) -> Tensor:
    """Return the log of the sum of exp of all columns but one: `(batch,)`."""
    return torch.cat([logits[:, :column], logits[:, column + 1 :]], 1).logsumexp(1)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
