"""The page of an audit: what was found, with the images side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fancnn.audit.audit_checks import CHECKS, Finding
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage
from fancnn.pages.gallery import Thumbnail, kind_of, thumbnail
from fancnn.pages.page_template import rendered

SHOWN = 24  # images, or pairs, of a finding


@dataclass(frozen=True)
class ShownItem:
    """An item with its image, and the one that it is held against."""

    image: Thumbnail
    other: Thumbnail | None
    detail: str


@dataclass(frozen=True)
class ShownFinding:
    """A finding as the page shows it; `total` items are about it, shown or not."""

    finding: Finding
    items: tuple[ShownItem, ...]
    total: int


def audit_page(
    root: Path, images: Sequence[LabeledImage], facts: Sequence[ImageFacts], findings: Sequence[Finding]
) -> str:
    """Return the whole page; the same images give the same bytes."""
    by_path = {image.path: image for image in images}
    return rendered(
        Path(__file__).with_name("audit.html.j2"),
        root=str(root),
        classes=_classes(images),
        formats=Counter(f"{item.format}, {item.mode}" for item in facts).most_common(8),
        sizes=Counter(f"{item.width} x {item.height}" for item in facts).most_common(8),
        different_sizes=len({(item.height, item.width) for item in facts}),
        total=len(images),
        findings=[_shown(item, root, by_path) for item in findings],
        quiet=[(code, check) for code, check in CHECKS.items() if code not in {item.code for item in findings}],
    )


def _classes(images: Sequence[LabeledImage]) -> list[tuple[str, str, int]]:
    counts = Counter((image.label, kind_of(image.class_name, image.defect_type)) for image in images)
    return [("NG" if label else "GO", name, count) for (label, name), count in sorted(counts.items())]


def _shown(finding: Finding, root: Path, images: Mapping[str, LabeledImage]) -> ShownFinding:
    def look(path: str) -> Thumbnail:
        image = images.get(path)
        kind = "" if image is None else kind_of(image.class_name, image.defect_type)
        return thumbnail(path, kind, root, "" if image is None else image.sha256)

    items = tuple(
        ShownItem(look(item.path), look(item.other) if item.other else None, item.detail)
        for item in finding.items[:SHOWN]
    )
    return ShownFinding(finding, items, len(finding.items))
