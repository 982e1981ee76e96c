"""What the counts of the classes say: weights that make them equal, and where a network should start."""

from collections.abc import Sequence
from math import log

ClassCounts = tuple[int, ...]  # training images of GO first, then of NG, or of each NG type; at least one of each


def equal_counts(outputs: Sequence[str]) -> ClassCounts:
    """Return where the training split is not known yet: one of each class that the outputs distinguish."""
    return (1,) * max(2, len(outputs))


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return `N / (k N_c)` for each of k classes: all classes weigh the same, and the mean weight of an image is 1.

    Example:
        >>> balanced_weights((75, 25))
        (0.6666666666666666, 2.0)
    """
    total = sum(counts)
    return tuple(total / (len(counts) * count) for count in counts)


def log_priors(counts: Sequence[int]) -> tuple[float, ...]:
    """Return the log of each class's share, the best guess of a softmax before an image is seen.

    The difference of two is the best guess of one logit: the log of NG to GO.

    Example:
        >>> go, ng = log_priors((50, 50))
        >>> ng - go
        0.0
    """
    total = sum(counts)
    return tuple(log(count / total) for count in counts)
