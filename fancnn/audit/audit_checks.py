"""What an audit finds: checks with a code each, and the images that each is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Check:
    """A check of the audit.

    Attributes:
        title: In a few words.
        severity: `error` is wrong whatever it is used for, `warning` makes scores too good or too bad, `note` is worth
            a look.
        meaning: What it is about, and why that matters.
    """

    title: str
    severity: Severity
    meaning: str


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "A001": Check("files that cannot be read", "error", "A training stops at them, or leaves them out."),
        "A002": Check("copies of a file", "note", "Equal bytes. A split keeps them together; they count once."),
        "A003": Check(
            "equal pixels in another file",
            "note",
            "Saved in another format. A split keeps them together; they count once.",
        ),
        "A004": Check(
            "near-duplicates",
            "warning",
            "One photograph, edited. A random split puts some into training and others into the test, where they are "
            "recognized and not judged: scores are too good.",
        ),
        "A005": Check(
            "one image in two classes", "error", "Copies or near-duplicates with contradicting labels: one is wrong."
        ),
        "A006": Check(
            "copies across splits",
            "error",
            "Copies or near-duplicates lie in train/ and in val/ or test/ as the folders are given: what is measured "
            "there is memory.",
        ),
        "A007": Check("copies across groups", "warning", "Copies or near-duplicates in two groups of data.group."),
        "A008": Check(
            "sequences", "note", "Numbers in names whose neighbors look alike: frames of one part, or a lot."
        ),
        "A009": Check("unusual brightness", "note", "Far from the others of the class: a lamp, a cap, another camera."),
        "A010": Check("unusual contrast", "note", "Far from the others of the class: empty, foggy or overexposed."),
        "A011": Check("unusual sharpness", "note", "Far from the others of the class: out of focus, or moved."),
        "A012": Check("unusual sizes", "note", "Another shape or far another size than most of the class."),
        "A013": Check(
            "a shortcut to the label",
            "warning",
            "The class can be guessed from what is no defect: the file's size and kind, the mean color, the border. A "
            "network may learn that in place of defects, and fail where it changes.",
        ),
        "A014": Check(
            "names that follow the label",
            "note",
            "The class can be guessed from file names: good and bad parts were taken in other orders or on other days.",
        ),
        "A015": Check(
            "few parts for what is usually claimed", "note", "With so few, intervals are wide and claims are refused."
        ),
    }
)


@dataclass(frozen=True)
class Item:
    """An image that a finding is about.

    Attributes:
        path: Relative to the root.
        other: The image that it is held against; empty where there is none.
        detail: What was seen, in words or numbers.
    """

    path: str
    other: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        code: Of the check.
        says: In one sentence, with numbers.
        items: The images that it is about, what matters most first.
        advice: What to do; empty where the sentence says it.
        silenced: Why it does not count; empty where it does.
    """

    code: str
    says: str
    items: tuple[Item, ...] = ()
    advice: str = ""
    silenced: str = ""

    @property
    def check(self) -> Check:
        return CHECKS[self.code]

    @property
    def counts(self) -> bool:
        """Return whether it is more than a note, and not silenced."""
        return not self.silenced and self.check.severity != "note"
