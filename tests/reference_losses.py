"""Cross-entropy and its gradients written out, in float64: what the losses of training are held against.

With probability p = 1 / (1 + exp(-z)) of logit z, label y and n images, the mean binary cross-entropy is

    L = -1/n * sum(y log p + (1 - y) log(1 - p))
    dL/dp = (-y / p + (1 - y) / (1 - p)) / n
    dL/dz = (p - y) / n

(Bishop 2006, Pattern Recognition and Machine Learning, section 4.3.2; 4.3.4 for several classes). Logarithms are
natural, so a loss is in nats.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.metrics.cross_entropy import sigmoid, softmax

Floats = NDArray[np.float64]


def binary_cross_entropy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of `-(y log p + (1 - y) log(1 - p))`; infinite where an image is wrong with certainty.

    Args:
        labels: `(n,)`, in [0, 1]: 0 GO and 1 NG, or between for soft labels.
        probabilities: `(n,)`, of NG, in [0, 1].

    Raises:
        ValueError: If the shapes differ, are empty, or a value is outside [0, 1].
    """
    y, p = _checked(labels, probabilities)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(y > 0, y * np.log(p), 0) + np.where(y < 1, (1 - y) * np.log1p(-p), 0)
    return float(-terms.mean())


def binary_gradient_of_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """dL/dp of the mean binary cross-entropy, `(n,)`; `probabilities` in (0, 1)."""
    y, p = _checked(labels, probabilities)
    return (-y / p + (1 - y) / (1 - p)) / y.size


def binary_gradient_of_logits(labels: ArrayLike, logits: ArrayLike) -> Floats:
    """dL/dz of the mean binary cross-entropy, `(n,)`."""
    y = np.asarray(labels, dtype=np.float64)
    return (sigmoid(logits) - y) / y.size


def categorical_cross_entropy(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of `-log p` of the right class.

    Args:
        labels: `(n,)`, whole numbers: which class is right.
        probabilities: `(n, classes)`, each row sums to 1.
    """
    classes, p = np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or classes.shape != p.shape[:1] or not classes.size:
        raise ValueError(f"expected labels (n,) and probabilities (n, classes), got {classes.shape} and {p.shape}")
    with np.errstate(divide="ignore"):
        return float(-np.log(p[np.arange(classes.size), classes]).mean())


def categorical_gradient_of_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """dL/dp of the mean categorical cross-entropy, `(n, classes)`: -1 / (n p) for the right class, else 0."""
    p = np.asarray(probabilities, dtype=np.float64)
    return -_one_hot(labels, p) / p / len(p)


def categorical_gradient_of_logits(labels: ArrayLike, logits: ArrayLike) -> Floats:
    """dL/dz of the mean categorical cross-entropy of softmax(z), `(n, classes)`: (p - y) / n."""
    p = softmax(logits)
    return (p - _one_hot(labels, p)) / len(p)


def _one_hot(labels: ArrayLike, like: Floats) -> Floats:
    return np.eye(like.shape[1])[np.asarray(labels, dtype=np.int64)]


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1 or not y.size:
        raise ValueError(f"expected as many labels as probabilities, at least one; got {y.shape} and {p.shape}")
    for name, values in (("labels", y), ("probabilities", p)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} should be in [0, 1]; got {values.min()} to {values.max()}")
    return y, p
