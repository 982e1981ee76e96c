from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.data.cross_validation_folds import crossed
from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError


def images(go: int, ng: int, a_group: int = 1) -> list[LabeledImage]:
    made = []
    for name, count in (("GO", go), ("NG", ng)):
        for i in range(count):
            group = f"{name}-{i // a_group}"
            made.append(LabeledImage(f"{name}/{i}", name, int(name == "NG"), sha256=f"{name}{i}", group=group))
    return made


@given(st.integers(3, 6), st.integers(12, 40), st.integers(12, 40), st.integers(0, 5))
def test_every_image_is_judged_once_and_chooses_an_epoch_once(folds: int, go: int, ng: int, seed: int) -> None:
    plans = crossed(images(go, ng), folds, seed, grouped=False)
    for parts in zip(*([image.split for image in plan] for plan in plans), strict=True):
        assert Counter(parts) == {"test": 1, "val": 1, "train": folds - 2}


@given(st.integers(0, 5))
def test_classes_are_shared_out_evenly(seed: int) -> None:
    for plan in crossed(images(30, 15), 5, seed, grouped=False):
        assert Counter(image.class_name for image in plan if image.split == "test") == {"GO": 6, "NG": 3}


@given(st.integers(0, 5))
def test_groups_and_copies_stay_together(seed: int) -> None:
    for plan in crossed(images(40, 40, a_group=4), 4, seed, grouped=True):
        parts = {image.group: set[str]() for image in plan}
        for image in plan:
            parts[image.group].add(image.split)
        assert all(len(found) == 1 for found in parts.values())
    twins = [*images(10, 10), LabeledImage("GO/copy", "GO", 0, sha256="GO3")]
    for plan in crossed(twins, 3, seed, grouped=False):
        assert len({image.split for image in plan if image.sha256 == "GO3"}) == 1


def test_the_seed_decides() -> None:
    assert crossed(images(20, 20), 4, 1, grouped=False) == crossed(images(20, 20), 4, 1, grouped=False)
    assert crossed(images(20, 20), 4, 1, grouped=False) != crossed(images(20, 20), 4, 2, grouped=False)


@pytest.mark.parametrize(
    ("folds", "grouped", "text"),
    [(2, False, "folds=2 should be 3 or more"), (5, True, "class GO has 3 different images or groups: too few")],
)
def test_too_few_are_refused(folds: int, grouped: bool, text: str) -> None:
    with pytest.raises(UserError, match=text):
        crossed(images(12, 12, a_group=4), folds, 0, grouped=grouped)
