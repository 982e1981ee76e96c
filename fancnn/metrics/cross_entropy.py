"""Cross-entropy in float64, and how probabilities come from logits; logarithms are natural, so a loss is in nats."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def sigmoid(logits: ArrayLike) -> Floats:
    """Return the 1 / (1 + exp(-z)), also where exp would overflow.

    Example:
        >>> sigmoid([-1000, 0, 1000])
        array([0. , 0.5, 1. ])
    """
    z = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(z))
    probabilities: Floats = np.where(z >= 0, 1, small) / (1 + small)
    return probabilities


def softmax(logits: ArrayLike) -> Floats:
    """Return exp(z) over its sum, along the last axis.

    Example:
        >>> softmax([[1000, 1000]])
        array([[0.5, 0.5]])
    """
    z = np.asarray(logits, dtype=np.float64)
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def binary_cross_entropy_of_logits(labels: ArrayLike, logits: ArrayLike) -> float:
    """Return the mean of `max(z, 0) - z y + log(1 + exp(-|z|))`: exact and finite where a probability rounds to 0 or 1.

    Args:
        labels: `(n,)`, in [0, 1]: 0 GO and 1 NG, or between for soft labels.
        logits: `(n,)`.

    Example:
        >>> binary_cross_entropy_of_logits([1], [-1000])
        1000.0
    """
    y, z = np.asarray(labels, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    return float((np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).mean())
