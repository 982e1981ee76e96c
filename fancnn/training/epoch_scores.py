"""Scores of an epoch while it is trained: gathered batch by batch, computed once at its end."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_average_precision,
    binary_f1_score,
    binary_precision,
    binary_recall,
    binary_specificity,
    binary_stat_scores,
)

from fancnn.metrics.score_registry import SCORES
from fancnn.metrics.scored_images import ScoredImages
from fancnn.metrics.thresholds import Thresholds

Metric = Callable[..., Tensor]
# by the names of the registry; scores that are not here are computed as those of a prediction table are
AT_THRESHOLD: dict[str, Metric] = {
    "accuracy": binary_accuracy,
    "precision": binary_precision,
    "recall": binary_recall,
    "f1": binary_f1_score,
    "specificity": binary_specificity,
}
RANKING: dict[str, Metric] = {"auroc": binary_auroc, "average_precision": binary_average_precision}


def direction(name: str) -> str:
    """Return `max` where a higher score is better, else `min`, as Lightning's callbacks want it.

    Example:
        >>> direction("val/loss"), direction("val/f1")
        ('min', 'max')
    """
    return "max" if SCORES[name.rpartition("/")[2]].higher_is_better else "min"


class EpochScores:
    """Logits and labels of an epoch; memory is 8 bytes an image and nothing waits for the device."""

    def __init__(self) -> None:
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Keep a batch: `(batch,)` logits and `(batch,)` labels, 0 GO and 1 NG."""
        self._logits.append(logits.detach().float())
        self._labels.append(labels)

    def take(self) -> tuple[Tensor, Tensor]:
        """Return all logits and labels since the last call, `(n,)` each."""
        taken = torch.cat(self._logits), torch.cat(self._labels)
        self._logits, self._labels = [], []
        return taken


def epoch_scores(
    logits: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor], threshold: float
) -> dict[str, Tensor]:
    """Compute the scores of a whole epoch: those that the registry has for each epoch.

    An undefined score (precision when nothing is called NG, say) is left out rather than given as 0.

    Args:
        logits: `(n,)`, of NG.
        labels: `(n,)`, 0 GO and 1 NG, floats; of a mixture of both (see `fancnn.augmentation.mixing`) the loss is
            that of the mixture, and the other scores take it for what most of it is.
        loss: Takes logits and labels.
        threshold: NG if the probability is above it.
    """
    # probabilities, never logits: torchmetrics guesses which of them it got, batch by batch
    probabilities, truth = logits.sigmoid(), labels.round().long()
    tp, fp, tn, fn, _ = binary_stat_scores(probabilities, truth, threshold).tolist()
    defined = {
        "accuracy": True,
        "precision": tp + fp > 0,
        "recall": tp + fn > 0,
        "f1": tp + fp + fn > 0,
        "specificity": tn + fp > 0,
        "auroc": tp + fn > 0 and tn + fp > 0,
        "average_precision": tp + fn > 0,
    }
    at_threshold = {
        name: metric(probabilities, truth, threshold) for name, metric in AT_THRESHOLD.items() if defined[name]
    }
    ranking = {name: metric(probabilities, truth) for name, metric in RANKING.items() if defined[name]}
    scores = {"loss": loss(logits, labels), **at_threshold, **ranking}
    others = [name for name, score in SCORES.items() if score.each_epoch and name not in {"loss", *defined}]
    return {**scores, **_scores_of_a_table(others, probabilities, truth, threshold)} if others else scores


def _scores_of_a_table(
    names: Iterable[str], probabilities: Tensor, truth: Tensor, threshold: float
) -> dict[str, Tensor]:
    images = ScoredImages.of(truth.cpu(), probabilities.cpu(), Thresholds.single(threshold))
    values = {name: SCORES[name].measure.value(images) for name in names}
    return {name: probabilities.new_tensor(value) for name, value in values.items() if value is not None}
