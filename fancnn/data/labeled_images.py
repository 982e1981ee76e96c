"""A listed image, and `split.csv`: which image is in which split of the data.

Format of `split.csv`, version 1: UTF-8, comma-separated, one row an image in the order of paths.

| column | meaning |
| --- | --- |
| path | relative to the data's root, with `/` |
| class | name of the class folder |
| label | 0 GO, 1 NG |
| split | `train`, `val` or `test` |
| sha256 | of the file's bytes |
| pixel_sha256 | of the decoded pixels: copies in another file format have the same; empty in tables of before |
| group | lot, panel or patient, where `data.group` names one |
| defect_type | sub-folder inside the class folder, where there is one |
| part | of which this is one of several images, where `data.part` names one; absent where it does not, and before |
| part_label | of that part: 0 GO, 1 NG; label is that of the image (`data.part_labels`) |
| version | 1 |
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fancnn.errors import UserError
from fancnn.files.tables import read_table, table_writer
from fancnn.settings.groups import SPLIT_NAMES

VERSION = 1
COLUMNS = ("path", "class", "label", "split", "sha256", "group", "defect_type", "pixel_sha256")


@dataclass(frozen=True)
class LabeledImage:
    """One image of a data folder; fields as the columns of `split.csv`."""

    path: str
    class_name: str
    label: int
    split: str = ""
    sha256: str = ""
    group: str = ""
    defect_type: str = ""
    pixel_sha256: str = ""
    part: str = ""
    part_label: int | None = None

    @property
    def content(self) -> str:
        """Return what makes it the same image as another: its pixels, or its bytes where these are not known."""
        return self.pixel_sha256 or self.sha256


def write_split(images: Iterable[LabeledImage], path: Path) -> None:
    listed = list(images)
    columns = (*COLUMNS, "part", "part_label") if any(image.part for image in listed) else COLUMNS
    with table_writer(path, columns, VERSION) as add:
        for image in listed:
            row = asdict(image)
            add({**{name: row[name] for name in columns if name in row}, "class": image.class_name})


def read_split(path: Path) -> list[LabeledImage]:
    """Read a `split.csv`.

    Raises:
        UserError: If it is missing, no split table, of a newer version, or names an unknown split.
    """
    rows = read_table(path, required=("path", "class", "label", "split", "sha256"), version=VERSION)
    for line, row in enumerate(rows, start=2):
        if row["split"] not in SPLIT_NAMES or row["label"] not in ("0", "1"):
            raise UserError(
                f"{path}, line {line}: split={row['split']!r} and label={row['label']!r} should be one of "
                f"{', '.join(SPLIT_NAMES)} and 0 or 1"
            )
    optional = ("group", "defect_type", "pixel_sha256", "part")
    return [
        LabeledImage(
            path=row["path"],
            class_name=row["class"],
            label=int(row["label"]),
            split=row["split"],
            sha256=row["sha256"],
            part_label=int(row["part_label"]) if row.get("part_label") in ("0", "1") else None,
            **{name: row.get(name, "") for name in optional},
        )
        for row in rows
    ]


def split_hash(images: Iterable[LabeledImage]) -> str:
    """Return SHA-256 over which content is in which split: equal splits of equal images have equal hashes."""
    lines = sorted(f"{image.path}\t{image.label}\t{image.split}\t{image.sha256}" for image in images)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def validate_split(images: Iterable[LabeledImage], path: Path, stated: str | None) -> None:
    """Refuse the `split.csv` of another run.

    Args:
        images: As it has them.
        path: Where it was read.
        stated: What `split_hash` gave of the images that the run was trained on; None where that is not known.

    Raises:
        UserError: If it is another split.
    """
    if stated and split_hash(images) != stated:
        raise UserError(
            f"{path} is not the split that its run was trained on: what it calls test may have been trained on. Bring "
            "back the file that belongs there"
        )


def copies_across_splits(images: Sequence[LabeledImage]) -> int:
    """Return how many images have a copy of the same pixels in another split: each is a small lie in the scores."""
    splits = defaultdict(set)
    for image in images:
        splits[image.content].add(image.split)
    return sum(len(splits[image.content]) > 1 for image in images)
