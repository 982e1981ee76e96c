from dataclasses import replace

import torch
from textures import textures

from fancnn.audit.copies import BYTES, PIXELS, copy_findings, find_copies
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage
from fancnn.data.registration import turned


def facts_of(images: torch.Tensor) -> list[ImageFacts]:
    return [
        ImageFacts(str(place), sha256=f"{place:064x}", pixel_sha256=f"{place + 1000:064x}", gray=gray.numpy())
        for place, gray in enumerate(images.round().clamp(0, 255).byte())
    ]


def labelled(count: int) -> list[LabeledImage]:
    return [
        LabeledImage(f"{'GO' if place % 2 else 'NG'}/{place}.png", "GO" if place % 2 else "NG", 1 - place % 2)
        for place in range(count)
    ]


def test_each_kind_of_copy_is_named_once() -> None:
    originals = textures(40)
    facts = facts_of(torch.cat([originals, originals[:2], turned(originals[2:3], 1)]))
    facts[40] = replace(facts[40], sha256=facts[0].sha256, pixel_sha256=facts[0].pixel_sha256)
    facts[41] = replace(facts[41], pixel_sha256=facts[1].pixel_sha256)
    copies = find_copies(facts)
    assert [(pair.first, pair.second, pair.what) for pair in copies.pairs] == [
        (0, 40, BYTES),
        (1, 41, PIXELS),
        (2, 42, "mirrored"),
    ]
    assert copies.clusters == (*range(40), 0, 1, 2)
    codes = [finding.code for finding in copy_findings(labelled(43), copies)]
    assert codes == ["A002", "A003", "A004"]


def test_copies_in_two_classes_splits_or_groups_are_named() -> None:
    originals = textures(30)
    facts = facts_of(torch.cat([originals, originals[:1]]))
    facts[30] = replace(facts[30], sha256=facts[0].sha256, pixel_sha256=facts[0].pixel_sha256)
    copies = find_copies(facts)
    images = labelled(31)
    assert [finding.code for finding in copy_findings(images, copies)] == ["A002"]
    for code, change in (
        ("A005", {"class_name": "GO", "label": 0}),
        ("A006", {"split": "test"}),
        ("A007", {"group": "lot 2"}),
    ):
        changed = [*images[:30], replace(images[30], **change)]  # type: ignore[arg-type]
        found = list(copy_findings(changed, copies))
        assert [finding.code for finding in found] == ["A002", code]
        assert [(item.path, item.other) for item in found[1].items] == [("NG/30.png", "NG/0.png")]


def test_images_without_copies_have_no_finding() -> None:
    copies = find_copies(facts_of(textures(30)))
    assert copies.pairs == ()
    assert list(copy_findings(labelled(30), copies)) == []
    assert find_copies([]).clusters == ()
