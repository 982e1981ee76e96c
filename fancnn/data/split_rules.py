"""Divide images into train, val and test; every function depends on its arguments alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from fancnn.data.group_folds import Kinds, nearest_union
from fancnn.data.split_sizes import Split, drawn_splits, listed, or_no_test, wanted_counts, wanted_fractions
from fancnn.data.union_find import joined
from fancnn.errors import UserError

__all__ = ["Split", "grouped_split", "joined_groups", "ordered_split", "stratified_split"]


def stratified_split(
    classes: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float = 0.0,
    seed: int,
    contents: Sequence[str] | None = None,
    parts: Sequence[str] | None = None,
) -> list[Split]:
    """Draw val and test at random from each class.

    Of `n` images of a class, `floor(n * fraction)` go to a split, but at least 1; where that would leave
    none to train on, the larger of val and test gives way. A class is drawn from by `seed` and its own name,
    so another class beside it changes nothing.

    Images of equal content stay in one split, also across classes: a copy of a training image in val or
    test would be recognised, not judged. Sets of copies too large for a split stay in train, so that splits may
    fall below the floor; a split is above it only where the smallest set is. The same is true of images of one part.

    Args:
        classes: Class of each image.
        val_fraction: Share of all images, in (0, 1).
        test_fraction: Share of all images, in [0, 1); 0 leaves `test` empty.
        seed: Any whole number.
        contents: What identifies the content of each image, e.g. its SHA-256.
        parts: Of each image, where several are of one; parts that share a content stay together, too.

    Raises:
        UserError: If the fractions do not fit, or a class has fewer (different) images, or parts, than there are
            splits.
    """
    fractions = wanted_fractions(val_fraction, test_fraction)
    wishes = wanted_counts(classes, fractions)
    keys = [str(index) for index in range(len(classes))] if contents is None else list(contents)
    if parts is not None:
        keys = joined_groups(parts, keys)
    draw = _Draw(classes, keys, wishes, "image" if parts is None else "part")
    for name in sorted(wishes):
        order = draw.shuffled(name, seed)
        for split in drawn_splits(fractions):
            draw.fill(split, name, order)
    return [draw.split_of.get(key, "train") for key in keys]


def ordered_split(classes: Sequence[str], *, val_fraction: float, test_fraction: float = 0.0) -> list[Split]:
    """Take the first images of each class, in the given order, for val, the next for test, the rest for train.

    Counts, fractions and errors are those of `stratified_split`. With names in order and 0.2 this is the
    original program's split. Where names follow time or lots, val differs from train in kind.

    Raises:
        UserError: If the fractions do not fit, or a class has fewer images than there are splits.

    Example:
        >>> ordered_split(["GO"] * 5 + ["NG"] * 2, val_fraction=0.4)
        ['val', 'val', 'train', 'train', 'train', 'val', 'train']
    """
    wishes = wanted_counts(classes, wanted_fractions(val_fraction, test_fraction))
    queues: dict[str, Iterator[Split]] = {name: _in_order(wish) for name, wish in wishes.items()}
    return [next(queues[name]) for name in classes]


def grouped_split(
    classes: Sequence[str],
    groups: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float = 0.0,
    seed: int,
    contents: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
) -> list[Split]:
    """Draw whole groups (a lot, a panel, a patient) for test and val, keeping shares as well as they go.

    Shares of classes are those of `stratified_split`, and those of defect types the fractions, met as nearly as the
    sizes of the groups let: scikit-learn's `StratifiedGroupKFold` makes folds, and the union of folds that is nearest
    to the wish becomes the split, test first. Every split gets every class, but not every type: one in a single group
    can only go with it.

    Args:
        classes: Class of each image.
        groups: Group of each image; no group is in two splits.
        val_fraction: Share of all images, in (0, 1).
        test_fraction: Share of all images, in [0, 1); 0 leaves `test` empty.
        seed: Any whole number; used modulo 2**32.
        contents: What identifies the content of each image. Groups that share one go together: a copy of a training
            image in val or test would be recognised, not judged.
        types: Defect type of each image within its class, empty where it has none.

    Raises:
        UserError: If the fractions do not fit, or there are too few groups, of all or with some class.
    """
    groups = groups if contents is None else joined_groups(groups, contents)
    fractions = wanted_fractions(val_fraction, test_fraction)
    wishes = wanted_counts(classes, fractions)
    _refuse_few_groups(classes, groups, fractions)
    labels = np.unique(np.asarray(classes, dtype=object), return_inverse=True)[1]
    members = np.unique(np.asarray(groups, dtype=object), return_inverse=True)[1]
    kinds = None if types is None else _divisible_types(classes, types, groups)
    counts = None if kinds is None else np.bincount(kinds)
    splits: list[Split] = ["train"] * len(classes)
    free = np.arange(len(classes))
    drawn = drawn_splits(fractions)
    for place, split in enumerate(drawn):
        wish = np.array([wishes[name][split] for name in sorted(wishes)])
        within = None
        if kinds is not None and counts is not None:
            present, of = np.unique(kinds[free], return_inverse=True)
            within = Kinds(of, counts[present] * fractions[split])
        taken = nearest_union(Kinds(labels[free], wish), members[free], len(drawn) - place, seed % 2**32, types=within)
        if taken is None:
            raise UserError(_no_union(split, classes, groups))
        for index in free[taken]:
            splits[index] = split
        free = free[~taken]
    return splits


def _divisible_types(classes: Sequence[str], types: Sequence[str], groups: Sequence[str]) -> NDArray[np.intp] | None:
    """Number the types of which there are images in several groups; all others of a class are one kind.

    Returns:
        `(images,)`; None where no class has types that could be divided.
    """
    pairs = list(zip(classes, types, strict=True))
    groups_of = defaultdict(set)
    for pair, group in zip(pairs, groups, strict=True):
        groups_of[pair].add(group)
    kinds = [(name, kind if len(groups_of[name, kind]) > 1 else "") for name, kind in pairs]
    if len(set(kinds)) == len(set(classes)):
        return None
    numbers = {kind: number for number, kind in enumerate(sorted(set(kinds)))}
    return np.array([numbers[kind] for kind in kinds])


def joined_groups(groups: Sequence[str], contents: Sequence[str]) -> list[str]:
    """Name the set of groups that each image is of, where groups that share a content are one set.

    The name is that of the set's group that comes first.

    Args:
        groups: Group of each image.
        contents: What identifies the content of each image; empty where that is not known.

    Example:
        >>> joined_groups(["lot1", "lot2", "lot2", "lot3"], ["a", "a", "b", "c"])
        ['lot1', 'lot1', 'lot1', 'lot3']
    """
    names = list(dict.fromkeys(groups))
    place, first_with = {name: place for place, name in enumerate(names)}, dict[str, str]()
    pairs = (
        (place[group], place[first_with.setdefault(content, group)])
        for group, content in zip(groups, contents, strict=True)
        if content
    )
    first = joined(len(names), pairs)
    return [names[first[place[group]]] for group in groups]


def _in_order(wish: dict[Split, int]) -> Iterator[Split]:
    order: tuple[Split, ...] = ("val", "test", "train")
    return (split for split in order for _ in range(wish.get(split, 0)))


class _Draw:
    """Sets of equal images, or of one part's (of one image each, where there are neither), and each one's split.

    No set is drawn if that would leave a class fewer sets than there are splits still without one of its.
    """

    def __init__(
        self, classes: Sequence[str], keys: Sequence[str], wishes: dict[str, dict[Split, int]], noun: str
    ) -> None:
        self.split_of: dict[str, Split] = {}
        self.sizes: dict[str, Counter[str]] = defaultdict(Counter)  # key -> class -> images
        for key, name in zip(keys, classes, strict=True):
            self.sizes[key][name] += 1
        self.keys: dict[str, list[str]] = {name: [] for name in wishes}  # in order of appearance
        for key, size in self.sizes.items():
            for name in size:
                self.keys[name].append(key)
        self.room = {name: dict(wish) for name, wish in wishes.items()}
        self.free = {name: len(class_keys) for name, class_keys in self.keys.items()}
        self.lacking = {name: set(wish) for name, wish in wishes.items()}
        for name, class_keys in self.keys.items():
            if len(class_keys) < len(wishes[name]):
                raise UserError(_only_copies(name, len(class_keys), wishes[name], noun))

    def shuffled(self, name: str, seed: int) -> list[str]:
        digest = sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()
        order = np.random.default_rng(int.from_bytes(digest)).permutation(len(self.keys[name]))
        return [self.keys[name][place] for place in order]

    def fill(self, split: Split, name: str, order: Sequence[str]) -> None:
        for key in order:
            if self.room[name][split] <= 0:
                break
            if self._may_go(key, split) and self._fits(key, split):
                self._put(key, split)
        if split in self.lacking[name]:
            choice = [key for key in order if self._may_go(key, split)]
            if not choice:
                raise UserError(_only_shared(name, split))
            self._put(min(choice, key=lambda key: self.sizes[key].total()), split)

    def _fits(self, key: str, split: Split) -> bool:
        return all(size <= self.room[name][split] for name, size in self.sizes[key].items())

    def _may_go(self, key: str, split: Split) -> bool:
        return key not in self.split_of and all(
            self.free[name] > len(self.lacking[name] - {split}) for name in self.sizes[key]
        )

    def _put(self, key: str, split: Split) -> None:
        self.split_of[key] = split
        for name, size in self.sizes[key].items():
            self.room[name][split] -= size
            self.free[name] -= 1
            self.lacking[name].discard(split)


def _only_copies(name: str, different: int, splits: Iterable[Split], noun: str) -> str:
    what = f"one {noun}" if different == 1 else f"{different} {noun}s"
    copies = "copies" if noun == "image" else "images"
    return (
        f"Class {name} has only {copies} of {what}, but each of {listed(splits)} needs a different one. "
        f"Add {noun}s or remove the class{or_no_test(splits)}"
    )


def _only_shared(name: str, split: Split) -> str:
    return (
        f"Class {name} has no image left for {split}: too many of its files are copies of each other or of files "
        "in other classes, and copies stay in one split. Remove those that are in the wrong class, or add images"
    )


def _refuse_few_groups(classes: Sequence[str], groups: Sequence[str], fractions: dict[Split, float]) -> None:
    splits = len(fractions) + 1
    if len(set(groups)) < splits:
        raise UserError(
            f"data.split_method=grouped needs at least {splits} groups, one for each of {listed(fractions)}, but "
            f"data.group names {len(set(groups))}. Name finer groups, or use data.split_method=stratified"
            f"{or_no_test(fractions)}"
        )
    for name, names in sorted(_groups_of(classes, groups).items()):
        if len(names) < splits:
            raise UserError(
                f"Class {name} is in too few groups: {', '.join(sorted(names))}. Each of {listed(fractions)} needs "
                f"one with it, so {splits} at least. Name finer groups, or use data.split_method=stratified"
                f"{or_no_test(fractions)}"
            )


def _groups_of(classes: Sequence[str], groups: Sequence[str]) -> dict[str, set[str]]:
    groups_of: dict[str, set[str]] = defaultdict(set)
    for name, group in zip(classes, groups, strict=True):
        groups_of[name].add(group)
    return groups_of


def _no_union(split: Split, classes: Sequence[str], groups: Sequence[str]) -> str:
    rarest, its_groups = min(sorted(_groups_of(classes, groups).items()), key=lambda item: len(item[1]))
    return (
        f"No choice of whole groups gives {split} and the other splits every class: the {len(set(groups))} groups are "
        f"too few or too uneven; class {rarest} is in {len(its_groups)}. Name finer groups, or use "
        "data.split_method=stratified"
    )
