"""Choose whole groups for a split of the data: a union of stratified folds that is nearest to a wish."""

import math
import warnings
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_UNIONS = 5000  # of folds, compared for one choice


class Kinds(NamedTuple):
    """What is to keep its share: the classes, or the defect types within them.

    Attributes:
        of: `(images,)`, the kind of each image, 0 to kinds - 1, each of them present.
        wish: `(kinds,)`, the images wanted of each, above 0.
    """

    of: NDArray[np.intp]
    wish: NDArray[np.floating] | NDArray[np.intp]


class _Union(NamedTuple):
    """Folds that are chosen together: `fold_of` `(groups,)` has the fold of each group."""

    fold_of: NDArray[np.intp]
    folds: tuple[int, ...]
    classes: float  # distance from the wish
    types: float


def nearest_union(
    classes: Kinds, groups: NDArray[np.intp], splits_left: int, seed: int, types: Kinds | None = None
) -> NDArray[np.bool_] | None:
    """Choose whole groups whose images per class, and per defect type, are nearest to a wish.

    scikit-learn's `StratifiedGroupKFold` makes folds, as many as bring some of them near the wished size; all
    unions of that many folds are compared. Where there are types, it makes other folds that keep these; of the unions
    of both the nearest is chosen in classes and types together, and none that is further from the types' wish than the
    choice would be that knows of no types.

    Args:
        classes: At least 1 image is wanted of each.
        groups: `(images,)`, the group of each, 0 or above.
        splits_left: In how many groups outside the choice each class must stay.
        seed: 0 to 2**32 - 1.
        types: None where there are none.

    Returns:
        `(images,)`, true for those chosen: every class is among them. None if there is no such choice.
    """
    most = min(len(np.unique(groups)), np.bincount(classes.of).max())
    for count, size in _shares(classes.wish.sum() / len(groups), most):
        unions = list(_unions(classes.of, (count, size), classes, groups, splits_left, seed, types))
        if not unions:
            continue
        best = min(unions, key=lambda union: union.classes)
        if types is not None:
            if size <= np.bincount(types.of).max():  # more folds than images of any type are refused
                unions += _unions(types.of, (count, size), classes, groups, splits_left, seed, types)
            most_off = best.types
            best = min(
                (union for union in unions if union.types <= most_off), key=lambda union: union.classes + union.types
            )
        return np.isin(best.fold_of[groups], best.folds)
    return None


def _unions(
    kept: NDArray[np.intp],
    share: tuple[int, int],
    classes: Kinds,
    groups: NDArray[np.intp],
    splits_left: int,
    seed: int,
    types: Kinds | None,
) -> Iterator[_Union]:
    """List the unions of folds that keep the shares of `kept`, and leave every class on both sides."""
    count, size = share
    fold_of = _folds(kept, groups, size, seed)
    sides = list(combinations(range(size), count))
    chosen = np.zeros((len(sides), size), int)
    np.put_along_axis(chosen, np.array(sides), 1, axis=1)
    of_classes, groups_per_fold = _per_fold(classes, fold_of, groups, size)
    images = chosen @ of_classes  # (unions, classes)
    groups_left = (1 - chosen) @ groups_per_fold
    of_types = None if types is None else chosen @ _per_fold(types, fold_of, groups, size)[0]
    for place in np.flatnonzero((images > 0).all(axis=1) & (groups_left >= splits_left).all(axis=1)):
        off = 0.0 if types is None or of_types is None else _off(of_types[place], types.wish)
        yield _Union(fold_of, sides[place], _distance(images[place], classes.wish), off)


def _per_fold(
    kinds: Kinds, fold_of: NDArray[np.intp], groups: NDArray[np.intp], size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return how many images of each kind each fold has, and how many groups with it: `(folds, kinds)` each."""
    images = np.zeros((size, len(kinds.wish)), int)
    np.add.at(images, (fold_of[groups], kinds.of), 1)
    pairs = np.unique(np.stack([groups, kinds.of]), axis=1)  # each group with each of its kinds, once
    with_kind = np.zeros_like(images)
    np.add.at(with_kind, (fold_of[pairs[0]], pairs[1]), 1)
    return images, with_kind


def _shares(share: float, most: int) -> list[tuple[int, int]]:
    """List `count` of `size` folds, `size` up to `most`, the nearest to `share` first and the simplest of these."""
    sizes = range(2, min(most, max(20, math.ceil(1 / share))) + 1)
    pairs = [(min(max(round(share * size), 1), size - 1), size) for size in sizes]
    few = [(count, size) for count, size in pairs if math.comb(size, count) <= MOST_UNIONS]
    return sorted(few, key=lambda pair: (abs(pair[0] / pair[1] - share), pair[1]))


def _folds(kept: NDArray[np.intp], groups: NDArray[np.intp], size: int, seed: int) -> NDArray[np.intp]:
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import, and needed here only

    fold_of = np.full(groups.max() + 1, -1)
    folds = StratifiedGroupKFold(size, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # it warns of classes rarer than folds; unions without them are refused
        warnings.simplefilter("ignore")
        for fold, (_, members) in enumerate(folds.split(kept, kept, groups)):
            fold_of[groups[members]] = fold
    return fold_of


def _distance(counts: NDArray[np.intp], wish: NDArray[np.floating] | NDArray[np.intp]) -> float:
    """Return the relative error of the size plus the mean relative error of the classes."""
    return float(abs(counts.sum() - wish.sum()) / wish.sum() + np.mean(np.abs(counts - wish) / wish))


def _off(counts: NDArray[np.intp], wish: NDArray[np.floating] | NDArray[np.intp]) -> float:
    """Return the mean relative error of types; of one of which less than an image is wanted, that in images."""
    return float(np.mean(np.abs(counts - wish) / np.maximum(wish, 1)))
