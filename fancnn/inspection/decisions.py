"""From a probability of NG to a decision."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Decision = Literal["GO", "NG"]


def is_ng(probabilities: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """True where a part is rejected: `probability > threshold`, strict as in torchmetrics and Keras.

    Example:
        >>> is_ng([0.2, 0.5, 0.7], threshold=0.5).tolist()
        [False, False, True]
    """
    return np.asarray(probabilities, dtype=np.float64) > threshold


def decide(probability: float, threshold: float) -> Decision:
    """The decision on one part.

    Example:
        >>> decide(0.5, threshold=0.5)
        'GO'
    """
    return "NG" if bool(is_ng(probability, threshold)) else "GO"
