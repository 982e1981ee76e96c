"""What the outputs of a network are called, and to which of them an image belongs."""

from collections.abc import Iterable, Sequence

from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError

ONE, TWO = ("NG",), ("GO", "NG")  # what one and two outputs are called
FRESH = {"binary": ONE, "softmax": TWO, "defect_types": ("GO", "NG", "NG")}  # where the images are not known yet


def type_of(class_name: str, defect_type: str, classes: Sequence[str]) -> str:
    """Return what the type of an NG image is called.

    The folders inside the one NG class are the types; of several NG classes each is a type, and with folders inside
    each of these. An image straight in its class folder has the class as its type.

    Args:
        class_name: Its class folder.
        defect_type: Folders inside that, empty for none.
        classes: All class folders, that of the good parts among them.

    Example:
        >>> type_of("NG", "scratch", ["GO", "NG"]), type_of("NG", "", ["GO", "NG"])
        ('scratch', 'NG')
        >>> type_of("dent", "", ["GO", "dent", "chip"]), type_of("dent", "deep", ["GO", "dent", "chip"])
        ('dent', 'dent/deep')
    """
    if len(classes) <= 2:
        return defect_type or class_name
    return "/".join(filter(None, (class_name, defect_type)))


def output_names(labels: str, images: Iterable[LabeledImage], classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a network's outputs: `NG`, or `GO` and `NG`, or `GO` and each type of the NG `images`.

    Args:
        labels: The mode: `binary`, `softmax` or `defect_types`.
        images: Of the training split.
        classes: All class folders.

    Raises:
        UserError: For `defect_types`, if all NG images are of one.
    """
    if labels != "defect_types":
        return FRESH[labels]
    types = sorted({type_of(item.class_name, item.defect_type, classes) for item in images if item.label})
    if len(types) < 2:
        raise UserError(
            f"model.labels=defect_types: all NG images for training are of one type, {', '.join(types)}. Expected a "
            "folder for each type inside the NG class, or several NG classes; or take model.labels=softmax"
        )
    return ("GO", *types)


def known_type(image: LabeledImage, classes: Sequence[str], names: Sequence[str]) -> str:
    """Return the true type of an image, one of the outputs `names`; empty for GO, and where no output is called so."""
    name = type_of(image.class_name, image.defect_type, classes) if image.label and len(names) > 2 else ""
    return name if name in names[1:] else ""


def output_index(image: LabeledImage, classes: Sequence[str], names: Sequence[str]) -> int:
    """Return which of the outputs `names` an image belongs to: 0 for GO, 1 for NG, and for types from 1 on.

    A type that no output is called after has 1: what it is called plays no part where nothing is trained on it.
    """
    name = known_type(image, classes, names)
    return names.index(name, 1) if name else int(image.label > 0)
