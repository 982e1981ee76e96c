"""Which images a model has seen, and in which role: the record that travels with its weights.

An image is known by its content, in two ways: SHA-256 of the file's bytes, and SHA-256 of the decoded pixels (as
`fancnn.images.reading.pixel_hash` makes it), so that a copy in another file format is the same image. Of each hash the
first eight bytes are kept: among a million images and a million others, two are mistaken for one another with a
probability of 1 in 5 million.

Format inside a checkpoint and the metadata of an exported file, version 1: `{"version": 1, "complete": true,
"weights": ..., "epoch": ..., "calibration": ..., "thresholds": ...}`, each value of a role the sorted eight-byte hashes
one after the other, in base64.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from fancnn.errors import UserError
from fancnn.files.plain_data import record, truth, validate, whole
from fancnn.plurals import plural

VERSION = 1
Role = Literal["weights", "epoch", "calibration", "thresholds"]
ROLES: tuple[Role, ...] = get_args(Role)
_HASH = re.compile("[0-9a-fA-F]{16,}")
_RECORD = record({"version": whole(1), "complete": truth}, ("version",))
KEPT = 16  # hexadecimal digits of a hash: eight bytes
MEANINGS: Mapping[Role, str] = {
    "weights": "trained the weights",
    "epoch": "chose the epoch",
    "calibration": "fitted the calibration",
    "thresholds": "chose the thresholds",
}


EXPECTED: Mapping[str, frozenset[Role]] = {
    "train": frozenset({"weights"}),
    "val": frozenset({"epoch", "calibration", "thresholds"}),
}
"""What images of a split are for: that a model has seen them so goes without saying."""


def seen_sentences(counts: Mapping[str, int], total: int, split: str) -> list[str]:
    """Say which images of a split a model has seen, beyond what they are for.

    Example:
        >>> seen_sentences({"weights": 2, "epoch": 0}, 60, "test")
        ['2 of these 60 images trained the weights, by their pixels or their bytes: the scores are too good']
    """
    return [
        f"{counts[role]:,} of these {plural(total, 'image')} {MEANINGS[role]}, by their pixels or their bytes: "
        "the scores are "
        "too good"
        for role in ROLES
        if counts.get(role) and role not in EXPECTED.get(split, ())
    ]


class Hashed(Protocol):
    """Anything that has an image's two hashes, in hexadecimal digits; empty where they are not known."""

    @property
    def sha256(self) -> str: ...

    @property
    def pixel_sha256(self) -> str: ...


Hashes = NDArray[np.uint64]
_NONE: Hashes = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class SeenImages:
    """Hashes of the images that a model has seen, by role; ascending, each once.

    Attributes:
        by_role: A role without images may be missing.
        complete: Whether it has all of them. It has not where weights came from a file that has no such record.

    Example:
        >>> from fancnn.data.labeled_images import LabeledImage
        >>> image = LabeledImage("GO/1.png", "GO", 0, sha256="0f" * 32, pixel_sha256="a1" * 32)
        >>> seen = SeenImages.of(weights=[image])
        >>> copy = LabeledImage("copy.bmp", "GO", 0, sha256="00" * 32, pixel_sha256="a1" * 32)
        >>> seen.roles_of_all([image, copy])
        [('weights',), ('weights',)]
    """

    by_role: Mapping[Role, Hashes] = field(default_factory=dict)
    complete: bool = True

    @staticmethod
    def of(**images: Iterable[Hashed]) -> "SeenImages":
        """Return the record of images by role, e.g. `SeenImages.of(weights=train, epoch=val)`.

        Raises:
            ValueError: If a role is none of `ROLES`.
        """
        if unknown := [role for role in images if role not in ROLES]:
            raise ValueError(f"role {unknown[0]!r} is none of {', '.join(ROLES)}")
        return SeenImages({role: _hashes(images[role]) for role in ROLES if role in images})

    def merged(self, *others: "SeenImages") -> "SeenImages":
        """Return the union with `others`, role by role: what a model has seen that descends from all of them."""
        together = (self, *others)
        return SeenImages(
            {role: np.unique(np.concatenate([one.in_role(role) for one in together])) for role in ROLES},
            complete=all(one.complete for one in together),
        )

    def without(self, *roles: Role) -> "SeenImages":
        """Return the record without `roles`: what is chosen or fitted again owes nothing to the images of before."""
        kept = {role: hashes for role, hashes in self.by_role.items() if role not in roles}
        return SeenImages(kept, complete=self.complete)

    def in_role(self, role: Role) -> Hashes:
        """Return the hashes of one role, `(n,)` ascending."""
        return self.by_role.get(role, _NONE)

    def roles_of_all(self, images: Iterable[Hashed]) -> list[tuple[Role, ...]]:
        """Return the roles in which each image was seen, by its bytes or its pixels; empty if in none."""
        pairs = [(_number(image.sha256), _number(image.pixel_sha256)) for image in images]
        known = np.array(pairs, np.uint64).reshape(-1, 2)
        seen = {role: np.isin(known, self.in_role(role)) & (known != 0) for role in ROLES}
        inside = {role: hits.any(axis=1) for role, hits in seen.items()}
        return [tuple(role for role in ROLES if inside[role][place]) for place in range(len(pairs))]

    def column(self, images: Iterable[Hashed]) -> list[str]:
        """Return the roles of many images as the column `seen` of a prediction table has them."""
        return [" ".join(roles) or ("none" if self.complete else "") for roles in self.roles_of_all(images)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint or JSON."""
        encoded: dict[str, str] = {
            role: base64.b64encode(self.in_role(role).astype(">u8").tobytes()).decode("ascii") for role in ROLES
        }
        return {"version": VERSION, "complete": self.complete, **encoded}

    @staticmethod
    def from_dict(plain: Any, place: str) -> "SeenImages":
        """Return the record that `to_dict` described.

        Args:
            plain: The record.
            place: What the file is called that has it, for messages.

        Raises:
            UserError: If it is of a newer version, or no such record.
        """
        validate(plain, _RECORD, place)
        if plain["version"] > VERSION:
            raise UserError(
                f"{place} has a record of the images that its model has seen in version {plain['version']}, and this "
                f"fancnn reads up to {VERSION}: update it"
            )
        try:
            by_role = {role: _decoded(plain.get(role, ""), role) for role in ROLES}
        except ValueError as error:
            raise UserError(f"{place} is damaged: seen: {error}") from error
        return SeenImages(by_role, complete=plain.get("complete") is True)


NOTHING_SEEN = SeenImages()


def content_hashes(contents: Iterable[str]) -> Hashes:
    """Return one hash for each distinct image, `(n,)` ascending; those whose content is not known are passed over.

    Args:
        contents: `content` of the images: 64 hexadecimal digits, or empty where not known.

    Example:
        >>> content_hashes(["00000000000000ff" * 4, "00000000000000ff" * 4, ""])
        array([255], dtype=uint64)
    """
    return np.array(sorted({_number(content) for content in contents} - {0}), np.uint64)


def _hashes(images: Iterable[Hashed]) -> Hashes:
    numbers = {_number(text) for image in images for text in (image.sha256, image.pixel_sha256)} - {0}
    return np.array(sorted(numbers), np.uint64)


def _number(text: str) -> int:
    """Return the first eight bytes of a hash as a number, never 0; 0 where it is not known.

    What is no hash, as another program may name its images, is hashed.
    """
    if not text:
        return 0
    digits = (
        text[:KEPT] if _HASH.fullmatch(text) else hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    )
    return int(digits[:KEPT], 16) or 1


def _decoded(text: Any, role: str) -> Hashes:
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError(f"the images seen as {role} are no base64") from error
    if len(content) % 8:
        raise ValueError(f"the images seen as {role} are cut short")
    return np.unique(np.frombuffer(content, ">u8").astype(np.uint64))
