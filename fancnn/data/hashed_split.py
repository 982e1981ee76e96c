"""Divide images by a hash of what they are, so that images which come later move none that were there before.

What is guaranteed: the split of an image depends on its key, the seed and the fractions alone. Its key is the group
where `data.group` names one, else the part where `data.part` does, else its content: the decoded pixels. So

- images that are added or removed, or a class more, move no other image, and neither does another name or folder of it
  where the key is its content;
- images of one key are in one split: those of a group or part, and, where neither is named, copies in any file format;
- a larger fraction of val or test takes images from train alone.

What is not: that classes have their shares exactly (of `n` keys they are off by some `sqrt(n f (1 - f))`), or that a
small class is in each split at all, which is refused in words. And where groups or parts are named, two of them may
share a content. Kept together, a copy that is added would move a group that is old; divided, a copy of a training image
would be recognised in val, not judged. Neither is done: such copies are refused in words where they come to lie in two
splits.
The pixels of a JPEG file may differ by the version of what decodes it; `data.split_file` keeps a split whatever comes.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from fancnn.data.labeled_images import LabeledImage
from fancnn.data.split_sizes import Split, listed, or_no_test, wanted_fractions
from fancnn.errors import UserError
from fancnn.plurals import plural


def hashed_split(
    classes: Sequence[str], keys: Sequence[str], *, val_fraction: float, test_fraction: float = 0.0, seed: int
) -> list[Split]:
    """Return the split of each image, by the hash of its key and the seed.

    Args:
        classes: Class of each image; they decide nothing, but each has to be in every split.
        keys: What decides of each image: its group, its part or its content.
        val_fraction: Share of all keys, in (0, 1).
        test_fraction: Share of all keys, in [0, 1); 0 leaves `test` empty.
        seed: Any whole number.

    Raises:
        UserError: If the fractions do not fit, or a class is missing from a split.
    """
    fractions = wanted_fractions(val_fraction, test_fraction)
    split_of = {key: _split(_place(key, seed), val_fraction, test_fraction) for key in dict.fromkeys(keys)}
    splits = [split_of[key] for key in keys]
    _refuse_missing_classes(classes, splits, fractions, seed)
    return splits


def validate_copies_in_one_split(images: Sequence[LabeledImage]) -> None:
    """Refuse images of equal content in two splits, as groups or parts that share one may be.

    Raises:
        UserError: Naming two of them, and the ways out.
    """
    first: dict[str, LabeledImage] = {}
    divided = [
        (first[image.content], image)
        for image in images
        if image.content and first.setdefault(image.content, image).split != image.split
    ]
    if not divided:
        return
    one, other = divided[0]
    what = "group" if one.group and other.group else "part"
    more = f", and so are {plural(len(divided) - 1, 'more image')}" if len(divided) > 1 else ""
    raise UserError(
        f"data.split_method=hashed: {one.path} ({one.split}) and {other.path} ({other.split}) have the same pixels, "
        f"and their {what}s are in two splits{more}. A copy of a training image would be recognised, not judged, and "
        f"to bring one {what} to the other would move images that were there before. Remove the copies, let "
        f"data.{what} name both alike, or take {_ways_to_join(what)}, where new images may move old ones"
    )


def _ways_to_join(what: str) -> str:
    return "data.split_method=grouped" if what == "group" else "data.split_method=stratified"


def _place(key: str, seed: int) -> float:
    """Return a number from 0 to below 1, as if drawn at random, that (seed, key) decides."""
    digest = sha256(f"{seed}/{key}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _split(place: float, val_fraction: float, test_fraction: float) -> Split:
    """Return the split at a place: val from the lower end, test from the upper, so that each grows into train alone."""
    if place < val_fraction:
        return "val"
    return "test" if place >= 1 - test_fraction else "train"


def _refuse_missing_classes(
    classes: Sequence[str], splits: Sequence[Split], fractions: dict[Split, float], seed: int
) -> None:
    seen, counts = set(zip(classes, splits, strict=True)), Counter(classes)
    wanted: tuple[Split, ...] = ("train", *fractions)
    if missing := [(name, split) for name in sorted(counts) for split in wanted if (name, split) not in seen]:
        of_each = ", ".join(f"{split} has none of {name} ({plural(counts[name], 'image')})" for name, split in missing)
        raise UserError(
            f"data.split_method=hashed with seed={seed} leaves a class out, and each of {listed(fractions)} needs "
            f"every one: {of_each}. Take another seed, a larger share, or more images of the class, which move none of "
            f"the others; or data.split_method=stratified, which draws from each class{or_no_test(fractions)}"
        )
