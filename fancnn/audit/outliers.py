"""Images that are far from the others of their class in light, contrast, sharpness or size."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fancnn.audit.audit_checks import Finding, Item
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage
from fancnn.plurals import plural

FAR = 6.0  # robust deviations from the median
FEWEST = 20  # images of a class
USUAL_SIZE = 0.9  # of a class: where so many have one shape, others are unusual
LEAST_SPREAD = 0.02  # of the median: a lamp that never changes makes no outlier of a breath

MEASURES: tuple[tuple[str, str, Callable[[ImageFacts], float], str], ...] = (
    ("A009", "brightness", lambda item: item.brightness, "gray levels"),
    ("A010", "contrast", lambda item: item.contrast, "gray levels"),
    ("A011", "sharpness", lambda item: item.sharpness, ""),
)


def outlier_findings(images: Sequence[LabeledImage], facts: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Yield a finding for each measure by which some images are far from the others of their class."""
    classes = sorted({image.class_name for image in images})
    for code, name, measure, unit in MEASURES:
        values = np.array([measure(item) for item in facts])
        far = [place for of_class in classes for place in _far(values, _members(images, of_class))]
        if far:
            items = tuple(
                Item(images[place].path, detail=f"{name} {values[place]:.4g} {unit}".strip()) for place in far
            )
            yield Finding(code, f"{plural(len(far), 'image')} with another {name} than the class has", items)
    odd = [place for of_class in classes for place in _odd_sizes(facts, _members(images, of_class))]
    if odd:
        items = tuple(Item(images[place].path, detail=f"{facts[place].width} x {facts[place].height}") for place in odd)
        yield Finding("A012", f"{plural(len(odd), 'image')} of another size than nine in ten of the class have", items)


def _members(images: Sequence[LabeledImage], of_class: str) -> list[int]:
    return [place for place, image in enumerate(images) if image.class_name == of_class]


def _far(values: np.ndarray, members: Sequence[int]) -> list[int]:
    """Return the members that are far from the median, the furthest first."""
    if len(members) < FEWEST:
        return []
    own = values[list(members)]
    middle = float(np.median(own))
    spread = max(1.4826 * float(np.median(np.abs(own - middle))), LEAST_SPREAD * abs(middle), 1e-9)
    distance = np.abs(own - middle) / spread
    return [members[place] for place in np.argsort(-distance, kind="stable") if distance[place] > FAR]


def _odd_sizes(facts: Sequence[ImageFacts], members: Sequence[int]) -> list[int]:
    sizes = Counter((facts[place].height, facts[place].width) for place in members)
    if len(members) < FEWEST:
        return []
    usual, count = sizes.most_common(1)[0]
    if count < USUAL_SIZE * len(members):
        return []
    return [place for place in members if (facts[place].height, facts[place].width) != usual]
