"""Choose whole groups for a split of the data: a union of stratified folds that is nearest to a wish."""

import math
import warnings
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

MOST_UNIONS = 5000  # of folds, compared for one choice


def nearest_union(
    labels: NDArray[np.intp], groups: NDArray[np.intp], wish: NDArray[np.intp], splits_left: int, seed: int
) -> NDArray[np.bool_] | None:
    """Choose whole groups whose images per class are nearest to a wish.

    scikit-learn's `StratifiedGroupKFold` makes folds, as many as bring some of them near the wished size; all
    unions of that many folds are compared.

    Args:
        labels: `(images,)`, the class of each, 0 to classes - 1, each of them present.
        groups: `(images,)`, the group of each, 0 or above.
        wish: `(classes,)`, the images wanted of each, at least 1.
        splits_left: In how many groups outside the choice each class must stay.
        seed: 0 to 2**32 - 1.

    Returns:
        `(images,)`, true for those chosen: every class is among them. None if there is no such choice.
    """
    held = np.zeros((groups.max() + 1, len(wish)), int)  # (group, class), images
    np.add.at(held, (groups, labels), 1)
    most = min(len(np.unique(groups)), np.bincount(labels).max())
    for count, size in _shares(wish.sum() / len(labels), most):
        fold_of = _folds(labels, groups, size, seed)  # (group,)
        per_fold = np.array([held[fold_of == fold].sum(axis=0) for fold in range(size)])
        groups_per_fold = np.array([(held[fold_of == fold] > 0).sum(axis=0) for fold in range(size)])
        unions = [
            (_distance(per_fold[list(union)].sum(axis=0), wish), union)
            for union in combinations(range(size), count)
            if per_fold[list(union)].any(axis=0).all()
            and (np.delete(groups_per_fold, union, axis=0).sum(axis=0) >= splits_left).all()
        ]
        if unions:
            return np.isin(fold_of[groups], min(unions)[1])
    return None


def _shares(share: float, most: int) -> list[tuple[int, int]]:
    """List `count` of `size` folds, `size` up to `most`, the nearest to `share` first and the simplest of these."""
    sizes = range(2, min(most, max(20, math.ceil(1 / share))) + 1)
    pairs = [(min(max(round(share * size), 1), size - 1), size) for size in sizes]
    few = [(count, size) for count, size in pairs if math.comb(size, count) <= MOST_UNIONS]
    return sorted(few, key=lambda pair: (abs(pair[0] / pair[1] - share), pair[1]))


def _folds(labels: NDArray[np.intp], groups: NDArray[np.intp], size: int, seed: int) -> NDArray[np.intp]:
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import, and needed here only

    fold_of = np.full(groups.max() + 1, -1)
    folds = StratifiedGroupKFold(size, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # it warns of classes rarer than folds; unions without them are refused
        warnings.simplefilter("ignore")
        for fold, (_, members) in enumerate(folds.split(labels, labels, groups)):
            fold_of[groups[members]] = fold
    return fold_of


def _distance(counts: NDArray[np.intp], wish: NDArray[np.intp]) -> float:
    """Return the relative error of the size plus the mean relative error of the classes."""
    return float(abs(counts.sum() - wish.sum()) / wish.sum() + np.mean(np.abs(counts - wish) / wish))
