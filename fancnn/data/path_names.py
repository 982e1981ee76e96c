"""What a regular expression finds in the paths of images: the group (a lot, a panel) or the part that each is of."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError
from fancnn.plurals import plural
from fancnn.settings.choices import PartLabels
from fancnn.settings.validation import validate_pattern


def names_in_paths(paths: Sequence[str], pattern: str, key: str) -> list[str]:
    r"""Return the name that a regular expression finds in each relative path.

    Args:
        paths: Relative paths with `/`.
        pattern: The first capture group is the name, or the whole match if there is none.
        key: Of the configuration that has the pattern, `data.group` say, for texts: its last word is what is named.

    Raises:
        UserError: If the pattern is no regular expression, or finds no name, or an empty one, in some path.

    Example:
        >>> names_in_paths(["NG/person12_virus_3.jpg"], r"(person\d+)_", "data.group")
        ['person12']
    """
    what = key.rpartition(".")[2]
    expression = validate_pattern(pattern, what)
    matches = [expression.search(path) for path in paths]
    names = [(match[1] if expression.groups else match[0]) if match else None for match in matches]
    without = [path for path, name in zip(paths, names, strict=True) if not name]
    if without:
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        raise UserError(
            f"{key}={pattern!r} names no {what} for {len(without)} of {plural(len(paths), 'image')}: "
            f"{', '.join(without[:3])}{more}. Widen the expression (| separates alternatives), or leave these "
            "images out"
        )
    return [name for name in names if name]


def with_parts(
    images: Sequence[LabeledImage], pattern: str | None, part_labels: PartLabels = PartLabels.same
) -> list[LabeledImage]:
    """Return the images with the part that `data.part` finds in their paths, and its label.

    Args:
        images: In class folders.
        pattern: As in `names_in_paths`; None leaves the images as they are.
        part_labels: Whether images of a part have one class, or are sorted one by one, so that a part is NG if one of
            them is.

    Raises:
        UserError: As `names_in_paths`; or if images of one part are in two groups, splits or, with `same`, classes.
    """
    if pattern is None:
        return list(images)
    names = names_in_paths([image.path for image in images], pattern, "data.part")
    bad = {name for image, name in zip(images, names, strict=True) if image.label == 1}
    named = [replace(image, part=name, part_label=int(name in bad)) for image, name in zip(images, names, strict=True)]
    if part_labels == PartLabels.same:
        _refuse_two(named, pattern, "classes", lambda image: image.class_name, OF_TWO_CLASSES)
    _refuse_two(named, pattern, "groups", lambda image: image.group, "A group (lot, panel, patient) holds whole parts")
    validate_parts_in_one_split(named, pattern)
    return named


def validate_parts_in_one_split(images: Sequence[LabeledImage], pattern: str) -> None:
    """Refuse parts of which one split knows images and another tests them; images without a split are in none yet.

    Raises:
        UserError: Naming one.
    """
    _refuse_two(
        [image for image in images if image.split],
        pattern,
        "splits",
        lambda image: image.split,
        "A part that was trained on would be recognised, not judged: move its images into one split",
    )


def part_classes(images: Sequence[LabeledImage]) -> list[str]:
    """Return the class that each image is divided by: of an image of a bad part the first NG class of that part."""
    return [image.class_name for image in _deciding(images)]


def part_types(images: Sequence[LabeledImage]) -> list[str]:
    """Return the defect type that each image is divided by, as `part_classes`; empty where it has none."""
    return [image.defect_type for image in _deciding(images)]


def _deciding(images: Sequence[LabeledImage]) -> list[LabeledImage]:
    """Return the first NG image of the part of each, or the image itself where there is none."""
    of_part: dict[str, LabeledImage] = {}
    for image in images:
        if image.part and image.label == 1:
            of_part.setdefault(image.part, image)
    return [of_part.get(image.part, image) for image in images]


OF_TWO_CLASSES = (
    "Where images are sorted one by one, and a part is NG if one of its images is: data.part_labels=any_ng. Where a "
    "part is GO or NG as a whole, move all of its images into one folder. Where numbers begin again in each folder, "
    r"""take the folder into the name: 'data.part="[^/]+/part-\d+"'"""
)


def _refuse_two(
    images: Sequence[LabeledImage], pattern: str, what: str, of: Callable[[LabeledImage], str], way_out: str
) -> None:
    seen: dict[str, dict[str, str]] = defaultdict(dict)  # part -> class, group or split -> a path
    for image in images:
        seen[image.part].setdefault(of(image), image.path)
    if not (divided := {part: paths for part, paths in seen.items() if len(paths) > 1}):
        return
    part, paths = next(iter(divided.items()))
    more = f", and {plural(len(divided) - 1, 'more part')}" if len(divided) > 1 else ""
    examples = ", ".join(f"{path} in {name}" for name, path in list(paths.items())[:2])
    raise UserError(
        f"data.part={pattern!r} puts images of several {what} into one part: {part} ({examples}){more}. {way_out}"
    )
