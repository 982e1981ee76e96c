"""Thumbnails: the images that deserve a look, small and inside the page."""

import base64
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fancnn.data.labeled_images import LabeledImage
from fancnn.images.drawn_boxes import Box, with_boxes
from fancnn.images.image_gate import DEFAULT_GATE
from fancnn.images.reading import UnreadableImage, read_image
from fancnn.metrics.defect_regions import place_in_words
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds

SIDE = 168  # pixels, of the longer side
SHOWN = 12  # of each kind
BOXES = 20  # on an image, the hottest
CLOSE, LEAST_CLOSE = 3, 48  # sides of a box, and at least these pixels, are what a close-up shows
QUALITY = 80
CHANGED = "changed since: this is not the image that was scored"
NO_HASHES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Thumbnail:
    """An image, or in `missing` why it cannot be shown; `source` is a `data:` address.

    `where` says where its defect is, which has a box then; empty where it is GO or that is not known. `close_up` is the
    hottest box enlarged, a `data:` address; empty where there is none, or it is large enough to be seen as it is.
    """

    path: str
    kind: str
    source: str
    missing: str
    probability: float | None = None
    decision: str = ""
    where: str = ""
    close_up: str = ""

    @property
    def changed(self) -> bool:
        """Return whether the file is there with another content."""
        return self.missing == CHANGED


@dataclass(frozen=True)
class GallerySection:
    """Thumbnails of one kind; `total` images are of it, shown or not."""

    name: str
    title: str
    says: str
    images: tuple[Thumbnail, ...]
    total: int


def gallery_sections(
    rows: Sequence[Prediction], thresholds: Thresholds, root: Path, hashes: Mapping[str, str] = NO_HASHES
) -> list[GallerySection]:
    """Return the worst escapes and overkills, the images to RECHECK and the least sure, of rows that can be scored.

    Args:
        rows: With truth and probability.
        thresholds: That they are decided by.
        root: Folder that the paths are relative to.
        hashes: SHA-256 by path, as far as known; a file with another one is not shown.
    """
    lower, upper = thresholds.lower, thresholds.upper

    def distance(row: Prediction) -> float:
        return min(abs(_probability(row) - lower), abs(_probability(row) - upper))

    escapes = sorted((row for row in rows if row.label == 1 and _probability(row) <= lower), key=_probability)
    overkills = sorted(
        (row for row in rows if row.label == 0 and _probability(row) > upper), key=_probability, reverse=True
    )
    rechecked = sorted((row for row in rows if lower < _probability(row) <= upper), key=_probability, reverse=True)
    rows_shown = {row.path for row in (*escapes[:SHOWN], *overkills[:SHOWN], *rechecked[:SHOWN])}
    unsure = sorted((row for row in rows if row.path not in rows_shown), key=distance)
    look = _looker(root, thresholds, hashes)
    kinds = [
        ("escapes", "Escapes", "Bad parts that would pass, the surest mistake first.", escapes),
        ("overkills", "Overkills", "Good parts that would be rejected, the surest mistake first.", overkills),
    ]
    if thresholds.has_recheck:
        kinds.append(("recheck", "RECHECK", "A person looks at these; the likeliest bad ones first.", rechecked))
    if any(row.regions is not None for row in rows):
        found = [row for row in rows if row.label == 1 and _probability(row) > upper and row.regions]
        found.sort(key=_probability, reverse=True)
        says = "Bad parts that are rejected, the surest first; beneath, the hottest box close up, and its place."
        kinds.append(("found", "Found, and where", says, found))
        rows_shown |= {row.path for row in found[:SHOWN]}
        unsure = [row for row in unsure if row.path not in rows_shown]
    kept = [GallerySection(name, title, says, tuple(map(look, of[:SHOWN])), len(of)) for name, title, says, of in kinds]
    says = "Nearest to a threshold and not shown above: the next to change if anything does."
    return [
        *kept,
        GallerySection("unsure", "Least sure", says, tuple(map(look, unsure[:SHOWN])), min(len(unsure), SHOWN)),
    ]


def samples(images: Iterable[LabeledImage], root: Path, each: int = 4, kinds: int = 8) -> list[GallerySection]:
    """Return a few images of each class and defect type, spread over the list."""
    by_kind: dict[str, list[LabeledImage]] = {}
    for image in images:
        by_kind.setdefault(kind_of(image.class_name, image.defect_type), []).append(image)
    sections = []
    for kind, members in sorted(by_kind.items(), key=lambda item: (item[1][0].label, item[0]))[:kinds]:
        places = sorted({len(members) * i // each for i in range(each)})
        shown = tuple(thumbnail(members[place].path, kind, root, members[place].sha256) for place in places)
        sections.append(GallerySection(kind, kind, "", shown, len(members)))
    return sections


def thumbnails(
    rows: Iterable[Prediction], root: Path, thresholds: Thresholds, hashes: Mapping[str, str] = NO_HASHES
) -> list[Thumbnail]:
    """Return a thumbnail of each row; `hashes` as in `gallery_sections`."""
    return list(map(_looker(root, thresholds, hashes), rows))


def kind_of(class_name: str, defect_type: str) -> str:
    """Return the class and defect type as a path.

    Example:
        >>> kind_of("NG", "scratch"), kind_of("NG", "")
        ('NG/scratch', 'NG')
    """
    return "/".join(filter(None, (class_name, defect_type)))


def _looker(root: Path, thresholds: Thresholds, hashes: Mapping[str, str]) -> Callable[[Prediction], Thumbnail]:
    def look(row: Prediction) -> Thumbnail:
        kind = kind_of(row.class_name, row.defect_type) or {0: "GO", 1: "NG"}.get(row.label or 0, "")
        probability = row.probability
        decision = "" if probability is None else thresholds.decide(probability)
        regions = (row.regions or ()) if decision not in ("", "GO") else ()
        where = place_in_words(regions, row.mm_per_pixel)
        shown = thumbnail(row.path, kind, root, hashes.get(row.path, ""), [one.box for one in regions[:BOXES]])
        return replace(shown, probability=probability, decision=decision, where=where)

    return look


def thumbnail(path: str, kind: str, root: Path, sha256: str, boxes: Sequence[Box] = ()) -> Thumbnail:
    """Return a thumbnail of a file, or why there is none; `sha256` is of its bytes, empty where that is not known."""
    try:
        with DEFAULT_GATE.content(root.expanduser() / path) as content:
            changed = sha256 not in ("", hashlib.sha256(content).hexdigest())
            if changed:
                return Thumbnail(path, kind, "", CHANGED)
            image = Image.fromarray(read_image(content))
            close_up = _close_up(image, boxes[0]) if boxes else ""
            return Thumbnail(path, kind, _small(image, boxes), "", close_up=close_up)
    except UnreadableImage as error:
        return Thumbnail(path, kind, "", str(error))


def _small(image: Image.Image, boxes: Sequence[Box]) -> str:
    """Return a small image; one with boxes is twice as large, since what is in them is small."""
    whole, side = image.width, 2 * SIDE if boxes else SIDE
    image = image.copy()
    image.thumbnail((side, side), reducing_gap=2.0)
    if boxes:
        scale = image.width / whole
        small = [(left * scale, top * scale, right * scale, bottom * scale) for left, top, right, bottom in boxes]
        image = Image.fromarray(with_boxes(np.asarray(image), small))
    return _address(image)


def _close_up(image: Image.Image, box: Box) -> str:
    """Return what lies about a box, three times as wide as the box is long; nothing where most of the image would."""
    left, top, right, bottom = box
    side = max(round(CLOSE * max(right - left, bottom - top)), LEAST_CLOSE)
    if 2 * side > max(image.size):
        return ""
    width, height = (min(side, whole) for whole in image.size)
    first_column = min(max(round((left + right - width) / 2), 0), image.width - width)
    first_row = min(max(round((top + bottom - height) / 2), 0), image.height - height)
    region = (first_column, first_row, first_column + width, first_row + height)
    scale = 2 * SIDE / max(width, height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return _address(image.resize(size, Image.Resampling.BICUBIC, box=region))


def _address(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _probability(row: Prediction) -> float:
    assert row.probability is not None
    return row.probability
