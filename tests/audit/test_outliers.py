from dataclasses import replace

import numpy as np
import pytest

from fancnn.audit.outliers import FEWEST, outlier_findings
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage


def usual(count: int, class_name: str = "GO", light: float = 120.0) -> tuple[list[LabeledImage], list[ImageFacts]]:
    random = np.random.default_rng(1)
    images = [LabeledImage(f"{class_name}/{number}.png", class_name, 0) for number in range(count)]
    facts = [
        ImageFacts(
            image.path,
            brightness=light + random.normal(0, 3),
            contrast=40 + random.normal(0, 2),
            sharpness=0.3 + random.normal(0, 0.02),
            height=100,
            width=120,
        )
        for image in images
    ]
    return images, facts


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("A009", {"brightness": 20.0}),
        ("A010", {"contrast": 2.0}),
        ("A011", {"sharpness": 0.02}),
        ("A012", {"width": 90}),
    ],
)
def test_what_is_far_from_its_class_is_found(code: str, changed: dict[str, float]) -> None:
    images, facts = usual(60)
    facts[7] = replace(facts[7], **changed)
    (finding,) = outlier_findings(images, facts)
    assert finding.code == code
    assert [item.path for item in finding.items] == ["GO/7.png"]
    assert not finding.counts  # a note


def test_each_class_is_its_own_measure() -> None:
    images, facts = (one + other for one, other in zip(usual(40), usual(40, "NG", light=30.0), strict=True))
    assert list(outlier_findings(images, facts)) == []


def test_the_furthest_comes_first() -> None:
    images, facts = usual(60)
    facts[3], facts[9] = replace(facts[3], brightness=190.0), replace(facts[9], brightness=5.0)
    (finding,) = outlier_findings(images, facts)
    assert [item.path for item in finding.items] == ["GO/9.png", "GO/3.png"]


def test_a_lamp_that_never_changes_makes_no_outlier_of_a_breath() -> None:
    images, facts = usual(60)
    facts = [replace(item, brightness=120.0, contrast=40.0, sharpness=0.3) for item in facts]
    facts[5] = replace(facts[5], brightness=121.0)
    assert list(outlier_findings(images, facts)) == []


def test_few_images_have_no_outliers_and_many_sizes_no_odd_one() -> None:
    images, facts = usual(FEWEST - 1)
    facts[0] = replace(facts[0], brightness=0.0)
    assert list(outlier_findings(images, facts)) == []
    images, facts = usual(60)
    facts = [replace(item, width=100 + place % 7) for place, item in enumerate(facts)]
    assert list(outlier_findings(images, facts)) == []
