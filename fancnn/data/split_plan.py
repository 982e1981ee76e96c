"""Which picture is in train, val or test: by rule, by folders, or by an earlier run's split.csv."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fancnn.data.labeled_images import LabeledImage, read_split
from fancnn.data.split_rules import Part, group_names, grouped_split, ordered_split, stratified_split
from fancnn.errors import UserError
from fancnn.settings.validation import validate_split_method

Method = Literal["stratified", "ordered", "grouped"]


@dataclass(frozen=True)
class SplitPlan:
    """How pictures become parts.

    Attributes:
        method: `stratified`, `ordered` or `grouped`; see `split_rules`.
        val_fraction: Share of all pictures that validate.
        test_fraction: Share of all pictures that are kept for a last look.
        group: Regular expression on the relative path that names the lot, panel or patient.
        split_file: A `split.csv` to take the parts from; then the rules above are not used.
        seed: Decides the random methods.
    """

    method: Method = "stratified"
    val_fraction: float = 0.2
    test_fraction: float = 0.0
    group: str | None = None
    split_file: str | Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        validate_split_method(self.method, self.group)

    def assign(self, pictures: Sequence[LabeledImage]) -> list[LabeledImage]:
        """Return the pictures with `split` and `group` filled in, in the same order.

        Pictures that have a part already (a root with `train/`) keep it; val is then taken from
        train by the rule if there is none.

        Raises:
            UserError: If the pictures cannot be split so, or differ from `split_file`.
        """
        grouped = self._with_groups(pictures)
        if self.split_file is not None:
            return _as_in_file(grouped, Path(self.split_file))
        if not any(picture.split for picture in grouped):
            return self._by_rule(grouped, self.test_fraction)
        if any(picture.split == "val" for picture in grouped):
            return grouped
        train = iter(self._by_rule([picture for picture in grouped if picture.split == "train"], 0.0))
        return [next(train) if picture.split == "train" else picture for picture in grouped]

    def _with_groups(self, pictures: Sequence[LabeledImage]) -> list[LabeledImage]:
        if not self.group:
            return list(pictures)
        names = group_names([picture.path for picture in pictures], self.group)
        return [replace(picture, group=name) for picture, name in zip(pictures, names, strict=True)]

    def _by_rule(self, pictures: Sequence[LabeledImage], test_fraction: float) -> list[LabeledImage]:
        classes = [picture.class_name for picture in pictures]
        fractions = {"val_fraction": self.val_fraction, "test_fraction": test_fraction}
        parts: list[Part]
        if self.method == "ordered":
            parts = ordered_split(classes, **fractions)
        elif self.method == "grouped":
            groups = [picture.group for picture in pictures]
            contents = [picture.content for picture in pictures]
            parts = grouped_split(classes, groups, **fractions, seed=self.seed, contents=contents)
        else:
            contents = [picture.content for picture in pictures]
            parts = stratified_split(classes, **fractions, seed=self.seed, contents=contents)
        return [replace(picture, split=part) for picture, part in zip(pictures, parts, strict=True)]


def _as_in_file(pictures: Sequence[LabeledImage], path: Path) -> list[LabeledImage]:
    """Keep the pictures that the file names, with its parts; those it does not name are left out."""
    wanted = {row.path: row for row in read_split(path)}
    present = {picture.path: picture for picture in pictures}
    missing = [name for name in wanted if name not in present]
    changed = [name for name, row in wanted.items() if name in present and row.sha256 != present[name].sha256]
    if missing or changed:
        raise UserError(
            f"data.split_file={path} does not fit the pictures: {_examples(missing, 'missing')}"
            f"{'; ' if missing and changed else ''}{_examples(changed, 'changed')}. Restore them or split anew without "
            "data.split_file"
        )
    return [
        replace(picture, split=wanted[picture.path].split, group=picture.group or wanted[picture.path].group)
        for picture in pictures
        if picture.path in wanted
    ]


def _examples(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{more})"
