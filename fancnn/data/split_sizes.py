"""How many images of each class go to which split."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from fancnn.errors import UserError

Split = Literal["train", "val", "test"]
"""Train fits the weights, val chooses among fits and thresholds, test is looked at once."""


def wanted_fractions(val_fraction: float, test_fraction: float) -> dict[Split, float]:
    """Check the shares of all images that val and test are to get; a test share of 0 is left out.

    Raises:
        UserError: If one is outside its range, or nothing remains to train on.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"data.val_fraction={val_fraction}: expected a share above 0 and below 1, e.g. 0.2")
    if not 0 <= test_fraction < 1:
        raise UserError(f"data.test_fraction={test_fraction}: expected a share from 0 to below 1, e.g. 0.1")
    if val_fraction + test_fraction >= 1 - 1e-9:
        raise UserError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave nothing to train on: "
            "both are shares of all images, so their sum must be below 1"
        )
    return {"val": val_fraction, "test": test_fraction} if test_fraction else {"val": val_fraction}


def wanted_counts(classes: Sequence[str], fractions: dict[Split, float]) -> dict[str, dict[Split, int]]:
    """Count the images that each split, train included, should get of each class.

    `floor(n * fraction)`, but at least 1 in each split. Where that would leave nothing to train on, the larger
    of val and test gives way.

    Raises:
        UserError: If a class has fewer images than there are splits.
    """
    counts = Counter(classes)
    splits = len(fractions) + 1
    few = [f"{name} has {count}" for name, count in sorted(counts.items()) if count < splits]
    if few:
        raise UserError(
            f"Each class needs at least {splits} images, one for each of {listed(fractions)}, but "
            f"{', '.join(few)}. Add images or remove the class{or_no_test(fractions)}"
        )
    return {name: _split_counts(count, fractions) for name, count in counts.items()}


def _split_counts(count: int, fractions: dict[Split, float]) -> dict[Split, int]:
    # 0.29 * 100 is 28.999999999999996, which is meant to be 29.
    wish = {split: max(1, math.floor(count * fraction + 1e-9)) for split, fraction in fractions.items()}
    largest = max(wish, key=lambda split: wish[split])
    wish[largest] -= max(0, sum(wish.values()) - (count - 1))  # train keeps one
    return {**wish, "train": count - sum(wish.values())}


def drawn_splits(fractions: Iterable[Split]) -> list[Split]:
    """List the splits in the order they are drawn in; what is left is train."""
    return ["test", "val"] if "test" in fractions else ["val"]


def listed(fractions: Iterable[Split]) -> str:
    return "train, val and test" if "test" in fractions else "train and val"


def or_no_test(fractions: Iterable[Split]) -> str:
    return ", or set data.test_fraction=0" if "test" in fractions else ""
