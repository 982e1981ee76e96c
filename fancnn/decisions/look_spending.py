"""How a certificate's confidence is spent over all looks at the same images."""

import math
from decimal import ROUND_FLOOR, Decimal


def spent_alpha(alpha: float, number: int, planned: int | None = None) -> float:
    """Return what look `number` at the same images may err, so that all looks together err at most `alpha`.

    Without a plan look k has `alpha * 6 / (pi * k)**2`: the sum over all k is `alpha`, since that of `1 / k**2` is
    `pi**2 / 6` (Euler), and there is no last look. With a plan each of `planned` looks has `alpha / planned`.

    What that promises. Number the questions (a model, and a claim on it) that are ever asked of one set of images, and
    let question k be answered with an error probability of at most `alpha_k`. By the union bound (Bonferroni) the
    probability that any claim that is granted is false is at most the sum, `alpha`: all of them hold together, and so
    does the one that is kept, whichever of the models it is of and for whatever reason it was picked, its score on
    these images included. A model has its number from the moment it is scored, since it might be the one that is
    picked. What the bound does not cover are questions that these images have written: a model that was changed, or
    trained again in another way, for what an earlier look has shown, or a further claim that was made up for it. No
    count of looks mends these; images that nobody has looked at do.

    Args:
        alpha: 1 - confidence, over all looks; in (0, 1).
        number: Of the look, from 1.
        planned: How many looks there will ever be; None leaves it open.

    Raises:
        ValueError: If `alpha` is not in (0, 1), `number` below 1 or above `planned`.

    Example:
        >>> [round(spent_alpha(0.05, number), 4) for number in (1, 2, 7)]
        [0.0304, 0.0076, 0.0006]
        >>> spent_alpha(0.05, 1, planned=1), spent_alpha(0.05, 3, planned=4)
        (0.05, 0.0125)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha}: expected an error probability above 0 and below 1, e.g. 0.05")
    if number < 1 or (planned is not None and number > planned):
        raise ValueError(f"number={number}: expected a look from 1 to {planned or 'any'}")
    return alpha * 6 / (math.pi * number) ** 2 if planned is None else alpha / planned


def held_to(confidence: float, number: int, planned: int | None = None) -> float:
    """Return the confidence that look `number` is held to, so that `confidence` holds over all looks.

    `1 - spent_alpha(...)`, with what may be spent rounded down to three digits, so that people can be given the number
    as it is.

    Raises:
        ValueError: As `spent_alpha`.

    Example:
        >>> held_to(0.95, 1), held_to(0.95, 1, planned=1), held_to(0.95, 20)
        (0.9697, 0.95, 0.9999241)
    """
    spent = spent_alpha(1 - confidence, number, planned)
    if planned == 1:
        return confidence
    exact = Decimal(repr(spent))
    return float(1 - exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_FLOOR))
