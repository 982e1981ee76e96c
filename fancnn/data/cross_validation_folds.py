"""Folds for cross-validation: every image is judged once by a model that has not seen it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fancnn.data.labeled_images import LabeledImage
from fancnn.data.path_names import part_classes
from fancnn.data.split_rules import joined_groups
from fancnn.errors import UserError
from fancnn.settings.validation import validate_folds


def crossed(images: Sequence[LabeledImage], folds: int, seed: int, *, grouped: bool) -> list[list[LabeledImage]]:
    """Return the splits of the images in each fold: a fold tests, the next one validates, the others train.

    Classes are shared out evenly (scikit-learn's `StratifiedGroupKFold`); copies of a file stay together, and so do
    images of a part, or of a group where there are groups. The epoch is chosen on the validating fold, so that the
    testing one is seen by nobody.

    Args:
        images: All that take part.
        folds: How many, 3 or more.
        seed: Decides which image is in which, 0 to 2**32 - 1.
        grouped: Whether images of a group (lot, panel, patient) stay together.

    Raises:
        UserError: If there are fewer than 3 folds, or a class has too few images or groups for them.
    """
    validate_folds(folds)
    fold_of = _fold_of(images, folds, seed, grouped=grouped)
    _validate_classes(images, fold_of, folds)
    return [
        [replace(image, split=_split(int(of), fold, folds)) for image, of in zip(images, fold_of, strict=True)]
        for fold in range(folds)
    ]


def _fold_of(images: Sequence[LabeledImage], folds: int, seed: int, *, grouped: bool) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import, and needed here only

    classes = np.array(part_classes(images))
    together = [image.content for image in images]
    if any(image.part for image in images):
        together = joined_groups([image.part for image in images], together)
    if grouped:
        together = joined_groups([image.group for image in images], together)
    _validate_enough(classes, together, folds)
    fold_of = np.empty(len(images), dtype=np.intp)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, members) in enumerate(splitter.split(classes, classes, together)):
        fold_of[members] = fold
    return fold_of


def _split(own: int, fold: int, folds: int) -> str:
    if own == fold:
        return "test"
    return "val" if own == (fold + 1) % folds else "train"


def _validate_enough(classes: np.ndarray, together: Sequence[str], folds: int) -> None:
    for name in sorted(set(classes.tolist())):
        count = len({key for key, own in zip(together, classes, strict=True) if own == name})
        if count < folds:
            raise UserError(f"class {name} has {count} different images or groups: too few for folds={folds}")


def _validate_classes(images: Sequence[LabeledImage], fold_of: np.ndarray, folds: int) -> None:
    for fold in range(folds):
        labels = {
            image.label if image.part_label is None else image.part_label
            for image, own in zip(images, fold_of, strict=True)
            if own == fold
        }
        if len(labels) < 2:
            raise UserError(
                f"groups are so large that fold {fold + 1} of {folds} has one class alone: take fewer folds"
            )
