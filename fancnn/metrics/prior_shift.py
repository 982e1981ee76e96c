"""What a probability means where parts are mixed otherwise than the images that it was fitted on.

Without SciPy, as a computer on the line is without it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def at_prior(probabilities: ArrayLike, from_rate: float, to_rate: float) -> NDArray[np.float64]:
    """Return P(NG) for parts of another mix, of whom the NG ones and the GO ones look as before.

    The odds are multiplied by the ratio of the prior odds (Saerens, Latinne and Decaestecker 2002, equation 4): exact
    where the probabilities are right for the mix `from_rate` and images of each class are alike in both mixes. The
    order stays, and so do decisions: what changes is what a probability means.

    Args:
        probabilities: P(NG) in [0, 1], of any shape.
        from_rate: Share of NG in the mix that they are for, in (0, 1).
        to_rate: Share of NG in the mix that is asked for, in (0, 1).

    Returns:
        Float64 of the same shape, in [0, 1]; 0 and 1 stay.

    Raises:
        ValueError: If a rate is not in (0, 1), or a probability not in [0, 1].

    Example:
        >>> at_prior([0.0, 0.5, 1.0], 0.5, 0.02).round(3).tolist()
        [0.0, 0.02, 1.0]
    """
    probs = np.asarray(probabilities, dtype=np.float64)
    for name, rate in (("from_rate", from_rate), ("to_rate", to_rate)):
        if not 0 < rate < 1:
            raise ValueError(f"{name}={rate}: expected a share of NG above 0 and below 1")
    if not ((probs >= 0) & (probs <= 1)).all():  # nor NaN
        raise ValueError("expected probabilities in [0, 1]")
    odds_ratio = (to_rate / (1 - to_rate)) / (from_rate / (1 - from_rate))
    ng, go = probs * odds_ratio, 1 - probs
    return np.asarray(ng / (ng + go))


def mix_in_words(from_rate: float, line_rate: float | None = None) -> str:
    """Say which parts a probability is for, and what one of 0.5 means on the line.

    Example:
        >>> mix_in_words(0.46, 0.02).partition("; ")[2]
        'on a line with 2 % NG a part with 0.5 is NG in 2.3 %'
        >>> print(mix_in_words(0.46))
        P(NG) is for parts mixed like the validation images, 46 % NG; line.ng_rate says what it means on the line
    """
    mix = f"P(NG) is for parts mixed like the validation images, {_percent(from_rate)} NG"
    if line_rate is None:
        return f"{mix}; line.ng_rate says what it means on the line"
    half = float(at_prior(0.5, from_rate, line_rate))
    return f"{mix}; on a line with {_percent(line_rate)} NG a part with 0.5 is NG in {_percent(half)}"


def _percent(share: float) -> str:
    """Return two digits that count, and as many as it takes to distinguish it from 100 %."""
    digits = next((count for count in range(2, 17) if float(f"{100 * share:.{count}g}") < 100), 2)
    return f"{100 * share:.{digits}g} %"
