"""Parts of which there are several images (cameras, sides, exposures): the worst image decides.

P(NG) of a part is the highest of its images, so that it is NG if one of them is, GO if all are, and RECHECK between.
What is calibrated, chosen, counted and promised is then of parts. An image without a part is a part of its own.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction
from fancnn.plurals import plural


def worst_places(parts: Sequence[str], scores: ArrayLike) -> list[int]:
    """Return the place of the highest score of each part, the parts in the order of their first images.

    Args:
        parts: Of each image; one with an empty name is a part of its own.
        scores: P(NG) or its logit `(images,)`; of equal ones the first counts.

    Raises:
        ValueError: If there are not as many scores as images.

    Example:
        >>> worst_places(["a", "b", "a", "", ""], [0.1, 0.5, 0.3, 0.2, 0.9])
        [2, 1, 3, 4]
    """
    worst: dict[str | int, int] = {}
    values = np.asarray(scores, np.float64)
    for place, (part, score) in enumerate(zip(parts, values, strict=True)):
        name = part or place
        if name not in worst or score > values[worst[name]]:
            worst[name] = place
    return list(worst.values())


def worst_of_parts(
    parts: Sequence[str], scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the highest score and the highest label of each part: a part is NG if one of its images is.

    Args:
        parts: As `worst_places` takes them, with `scores`.
        scores: `(images,)`.
        labels: `(images,)`, 0 GO and 1 NG.

    Returns:
        `(parts,)` each, in the order of first images.

    Example:
        >>> scores, labels = worst_of_parts(["a", "b", "a"], [0.1, 0.5, 0.3], [1, 0, 0])
        >>> scores.tolist(), labels.tolist()
        ([0.3, 0.5], [1.0, 0.0])
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    return values[worst_places(parts, values)], truth[worst_places(parts, truth)]


def by_part(rows: Iterable[Prediction]) -> list[Prediction]:
    """Return a row for each part, the parts in the order of their first images: that of its worst image.

    Of several images the row has the roles of all, and as its content what tells a copy of the part: the contents of
    all. Where one of them has no probability, or no label, the part has none either: its worst image may be that one.
    Class and defect type are those of the worst of the images that have the part's label.

    Args:
        rows: Of images, all those of a part among them; rows of parts stay as they are.

    Raises:
        UserError: If images of a part have different labels, and no `part_label` says which is the part's.
    """
    members: dict[str | int, list[Prediction]] = {}
    for place, row in enumerate(rows):
        members.setdefault(row.part or place, []).append(row)
    return [_alone(*images) if len(images) == 1 else _standing_for(images) for images in members.values()]


def images_of_parts(parts: Iterable[Prediction], rows: Iterable[Prediction]) -> list[Prediction]:
    """Return the rows of the images of some parts, all those of a part together.

    Args:
        parts: As `by_part` returns them; a row without a part stands for itself.
        rows: Of images.
    """
    members: dict[str, list[Prediction]] = {}
    for row in rows:
        members.setdefault(row.part, []).append(row)
    return [image for part in parts for image in (members.get(part.part, [part]) if part.part else [part])]


def counted_noun(rows: Iterable[Prediction]) -> str:
    """Return what rows are counted as: `part` where they name parts, of which there are several images, else `image`.

    Example:
        >>> counted_noun([Prediction("a.png", 0.5, part="a")]), counted_noun([Prediction("a.png", 0.5)])
        ('part', 'image')
    """
    return "part" if any(row.part for row in rows) else "image"


def parts_in_words(parts: Iterable[str]) -> str:
    """Return how many parts there are, and how many images each has.

    Example:
        >>> parts_in_words(["a", "b", "a", "b"]), parts_in_words(["a", "a", "b"])
        ('2 parts of 2 images', '2 parts of 1 to 2 images')
    """
    sizes = Counter(parts).values()
    low, high = min(sizes), max(sizes)
    return f"{plural(len(sizes), 'part')} of " + (
        plural(low, "image") if low == high else f"{low:,} to {high:,} images"
    )


def images_of_each(parts: Iterable[str]) -> int | None:
    """Return how many images each part has; None where their numbers differ, or images name no parts.

    Example:
        >>> images_of_each(["a", "b", "b", "a"]), images_of_each(["a", "b", "b"]), images_of_each(["", ""])
        (2, None, None)
    """
    sizes = set(Counter(part for part in parts if part).values())
    return sizes.pop() if len(sizes) == 1 else None


def uneven_parts(parts: Iterable[str]) -> str:
    """Return what it may mean that parts have different numbers of images; empty where all have as many.

    Example:
        >>> uneven_parts(["a", "a", "b"])[:51]
        'parts have 1 to 2 images (b has 1): one may be miss'
    """
    sizes = Counter(part for part in parts if part)
    if len(set(sizes.values())) < 2:
        return ""
    least = min(sizes, key=lambda part: sizes[part])
    return (
        f"parts have {sizes[least]:,} to {max(sizes.values()):,} images ({least} has {sizes[least]:,}): one may be "
        "missing, and a defect with it, or two parts have one name"
    )


def _alone(image: Prediction) -> Prediction:
    return image if image.part_label is None else replace(image, label=image.part_label)


def _standing_for(images: Sequence[Prediction]) -> Prediction:
    label = _part_label(images)
    undecided = [image for image in images if image.probability is None]
    worst = undecided[0] if undecided else _worst(images)
    shows = _worst([image for image in images if image.label == label] or images)  # what the part is, and why
    return replace(
        worst,
        label=label,
        class_name=shows.class_name,
        defect_type=shows.defect_type,
        true_type=shows.true_type,
        sha256="",
        pixel_sha256=_content(images),
        seen=_seen(images),
    )


def _worst(images: Sequence[Prediction]) -> Prediction:
    return images[worst_places(["part"] * len(images), [image.probability or 0.0 for image in images])[0]]


def _part_label(images: Sequence[Prediction]) -> int | None:
    """Return the truth of a part: as the table states it, else that of its images; None where one is not known."""
    path_of = {(image.label if image.part_label is None else image.part_label): image.path for image in images}
    if {0, 1} <= path_of.keys():
        raise UserError(
            f"the part {images[0].part} is GO by {path_of[0]} and NG by {path_of[1]}: expected one truth of a part, or "
            "a column part_label that states it. Where `part` means something else in this table, give the column "
            "another name"
        )
    return next(iter(path_of)) if len(path_of) == 1 else None


def _content(images: Sequence[Prediction]) -> str:
    """Return a hash of all contents, in whatever order; empty where one is not known."""
    contents = sorted(image.content for image in images)
    return hashlib.sha256("\n".join(contents).encode("utf-8", "surrogateescape")).hexdigest() if all(contents) else ""


def _seen(images: Sequence[Prediction]) -> str:
    """Return the roles in which the model has seen any of the images; empty where one is not known and none is."""
    roles = [role for image in images for role in image.roles or ()]
    if roles:
        return " ".join(dict.fromkeys(roles))
    return "none" if all(image.seen for image in images) else ""
