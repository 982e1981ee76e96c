"""Which image is in train, val or test: by rule, by folders, or by an earlier run's split.csv."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fancnn.data.hashed_split import hashed_split, validate_copies_in_one_split
from fancnn.data.labeled_images import LabeledImage, read_split
from fancnn.data.path_names import names_in_paths, part_classes, part_types, validate_parts_in_one_split, with_parts
from fancnn.data.split_rules import Split, grouped_split, ordered_split, stratified_split
from fancnn.errors import UserError
from fancnn.settings.choices import PartLabels, SplitMethod
from fancnn.settings.validation import validate_grouping


@dataclass(frozen=True)
class SplitPlan:
    """How images become splits.

    Attributes:
        method: `stratified`, `ordered`, `grouped` (see `split_rules`) or `hashed` (see `hashed_split`).
        val_fraction: Share of all images that validate.
        test_fraction: Share of all images that are kept for a last look.
        group: Regular expression on the relative path that names the lot, panel or patient.
        split_file: A `split.csv` to take the splits from; then the rules above are not used.
        seed: Decides the random methods.
        part: Regular expression on the relative path that names the part, where there are several images of one;
            they stay in one split.
        part_labels: `same` or `any_ng`; see `with_parts`.

    Raises:
        ValueError: If there is no such method, or no group where it needs one, or it would divide parts.
    """

    method: str = SplitMethod.stratified
    val_fraction: float = 0.2
    test_fraction: float = 0.0
    group: str | None = None
    split_file: str | Path | None = None
    seed: int = 0
    part: str | None = None
    part_labels: str = PartLabels.same

    def __post_init__(self) -> None:
        SplitMethod.of("split_method", self.method)
        PartLabels.of("part_labels", self.part_labels)
        validate_grouping(self.method, self.group, self.part)

    def assign(self, images: Sequence[LabeledImage]) -> list[LabeledImage]:
        """Return the images with `split`, `group` and `part` filled in, in the same order.

        Images that have a split already (a root with `train/`) keep it; val is then taken from
        train by the rule if there is none.

        Raises:
            UserError: If the images cannot be split so, differ from `split_file`, or those of a part are in several
                classes, groups or splits; or copies would be, where they cannot be kept together.
        """
        assigned = self._assigned(with_parts(self._with_groups(images), self.part, PartLabels(self.part_labels)))
        if self.part is not None:
            validate_parts_in_one_split(assigned, self.part)
        return assigned

    def _assigned(self, grouped: Sequence[LabeledImage]) -> list[LabeledImage]:
        if self.split_file is not None:
            return _as_in_file(grouped, Path(self.split_file))
        if not any(image.split for image in grouped):
            return self._by_rule(grouped, self.test_fraction)
        if any(image.split == "val" for image in grouped):
            return list(grouped)
        train = iter(self._by_rule([image for image in grouped if image.split == "train"], 0.0))
        return [next(train) if image.split == "train" else image for image in grouped]

    def _with_groups(self, images: Sequence[LabeledImage]) -> list[LabeledImage]:
        if not self.group:
            return list(images)
        names = names_in_paths([image.path for image in images], self.group, "data.group")
        return [replace(image, group=name) for image, name in zip(images, names, strict=True)]

    def _by_rule(self, images: Sequence[LabeledImage], test_fraction: float) -> list[LabeledImage]:
        classes = part_classes(images)
        fractions = {"val_fraction": self.val_fraction, "test_fraction": test_fraction}
        splits: list[Split]
        if self.method == "ordered":
            splits = ordered_split(classes, **fractions)
        elif self.method == "grouped":
            groups = [image.group for image in images]
            contents = [image.content for image in images]
            splits = grouped_split(
                classes, groups, **fractions, seed=self.seed, contents=contents, types=part_types(images)
            )
        elif self.method == "hashed":
            keys = [image.group or image.part or image.content for image in images]
            splits = hashed_split(classes, keys, **fractions, seed=self.seed)
        else:
            contents = [image.content for image in images]
            parts = None if self.part is None else [image.part for image in images]
            splits = stratified_split(classes, **fractions, seed=self.seed, contents=contents, parts=parts)
        assigned = [replace(image, split=split) for image, split in zip(images, splits, strict=True)]
        if self.method == "hashed":
            validate_copies_in_one_split(assigned)
        return assigned


def _as_in_file(images: Sequence[LabeledImage], path: Path) -> list[LabeledImage]:
    """Keep the images that the file names, with its splits; those it does not name are left out."""
    wanted = {row.path: row for row in read_split(path)}
    present = {image.path: image for image in images}
    missing = [name for name in wanted if name not in present]
    changed = [name for name, row in wanted.items() if name in present and row.sha256 != present[name].sha256]
    if missing or changed:
        raise UserError(
            f"data.split_file={path} does not fit the images: {_examples(missing, 'missing')}"
            f"{'; ' if missing and changed else ''}{_examples(changed, 'changed')}. Restore them or split again "
            "without data.split_file"
        )
    return [
        replace(image, split=wanted[image.path].split, group=image.group or wanted[image.path].group)
        for image in images
        if image.path in wanted
    ]


def _examples(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what} ({', '.join(names[:3])}{more})"
