"""Defect types: what the outputs of a network are called, which type it finds, and how often that is right."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fancnn.errors import UserError
from fancnn.inspection.clusters import clustered_interval, natural_groups, unit_numbers
from fancnn.inspection.cross_entropy import softmax
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import Interval, exact_interval
from fancnn.inspection.predictions import Prediction, TypeGuess
from fancnn.pictures import Picture

ONE, TWO = ("NG",), ("GO", "NG")  # what one and two outputs are called
FRESH = {"one": ONE, "two": TWO, "types": ("GO", "NG", "NG")}  # where the pictures are not known yet


def type_of(class_name: str, defect_type: str, classes: Sequence[str]) -> str:
    """What the type of an NG picture is called.

    The folders inside the one NG class are the types; of several NG classes each is a type, and with folders inside
    each of these. A picture straight in its class folder has the class as its type.

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


def output_names(outputs: str, pictures: Iterable[Picture], classes: Sequence[str]) -> tuple[str, ...]:
    """What the outputs of a network are called: `NG`, or `GO` and `NG`, or `GO` and each type of the NG `pictures`.

    Args:
        outputs: `one`, `two` or `types`.
        pictures: Of the training part.
        classes: All class folders.

    Raises:
        UserError: For `types`, if all NG pictures are of one.
    """
    if outputs != "types":
        return FRESH[outputs]
    types = sorted({type_of(item.class_name, item.defect_type, classes) for item in pictures if item.label})
    if len(types) < 2:
        raise UserError(
            f"model.outputs=types: all NG pictures for training are of one type, {', '.join(types)}. Expected a folder "
            "for each type inside the NG class, or several NG classes; or take model.outputs=two"
        )
    return ("GO", *types)


def known_type(picture: Picture, classes: Sequence[str], names: Sequence[str]) -> str:
    """The true type of a picture, one of the outputs `names`; empty for GO, and where no output is called so."""
    found = type_of(picture.class_name, picture.defect_type, classes) if picture.label and len(names) > 2 else ""
    return found if found in names[1:] else ""


def output_index(picture: Picture, classes: Sequence[str], names: Sequence[str]) -> int:
    """Which of the outputs `names` a picture belongs to: 0 for GO, 1 for NG, and for types from 1 on.

    A type that no output is called after has 1: what it is called plays no part where nothing is trained on it.
    """
    found = known_type(picture, classes, names)
    return names.index(found, 1) if found else int(picture.label > 0)


def guessed(outputs: ArrayLike, names: Sequence[str]) -> list[TypeGuess]:
    """The likeliest type of each picture, were it NG.

    Args:
        outputs: `(n, k)` logits, GO first.
        names: Of the k outputs.

    Example:
        >>> guessed([[9.0, 0.0, 0.0, -9.0], [0.0, -50.0, 3.0, -50.0]], ["GO", "chip", "dent", "stain"])[1]
        TypeGuess(name='dent', share=1.0)
    """
    shares = softmax(np.asarray(outputs)[:, 1:])  # given NG: the logit of GO plays no part
    best = shares.argmax(axis=1)
    return [TypeGuess(names[1 + place], float(row[place])) for place, row in zip(best, shares, strict=True)]


@dataclass(frozen=True)
class Naming:
    """How the NG parts that were found are named.

    Attributes:
        right: With the right type.
        of: All that were found and whose type the model knows.
        confusion: True type, then found type: how many.
        interval: 95 %, of the share that is named rightly: exact, or with groups that of `clustered_interval`; None
            where none was found, or all are of one group.
    """

    right: int
    of: int
    confusion: dict[str, dict[str, int]]
    interval: Interval | None

    @property
    def found_names(self) -> list[str]:
        """The types that are true or found, in the order of names."""
        return sorted({*self.confusion, *(name for found in self.confusion.values() for name in found)})

    def as_plain(self) -> dict[str, Any]:
        """As `metrics.json` has it."""
        share = self.right / self.of if self.of else None
        interval = None if self.interval is None else list(astuple(self.interval))
        return {
            "right": self.right,
            "of": self.of,
            "share": share,
            "interval": interval,
            "confusion": self.confusion,
        }


def naming(rows: Iterable[Prediction], thresholds: Thresholds) -> Naming | None:
    """How the NG parts above the upper threshold are named; None where rows say no types.

    Example:
        >>> rows = [
        ...     Prediction("a", 0.9, label=1, true_type="chip", found_type="chip"),
        ...     Prediction("b", 0.8, label=1, true_type="chip", found_type="dent"),
        ...     Prediction("c", 0.1, label=1, true_type="dent", found_type="chip"),
        ... ]
        >>> named = naming(rows, Thresholds.single(0.5))
        >>> named.right, named.of, named.confusion
        (1, 2, {'chip': {'chip': 1, 'dent': 1}, 'dent': {}})
    """
    rows = list(rows)
    known = [row for row in rows if row.label == 1 and row.true_type and row.found_type]
    if not known:
        return None
    rejected = [row for row in known if (row.probability or 0) > thresholds.upper]
    found = Counter((row.true_type, row.found_type) for row in rejected)
    names = sorted({row.true_type for row in known})
    confusion = {true: {name: found[true, name] for of, name in sorted(found) if of == true} for true in names}
    grouped = natural_groups([row.group for row in rows]) is not None
    return Naming(sum(found[name, name] for name in names), len(rejected), confusion, _interval(rejected, grouped))


def _interval(rejected: Sequence[Prediction], grouped: bool) -> Interval | None:
    right = np.array([row.true_type == row.found_type for row in rejected], dtype=np.int64)
    if not grouped:
        return exact_interval(int(right.sum()), right.size)
    units = unit_numbers([row.group for row in rejected], right.size)
    return clustered_interval(np.bincount(units, right), np.bincount(units))
