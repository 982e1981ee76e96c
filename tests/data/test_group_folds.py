"""Splits that keep groups together, and the names of groups."""

import random
from collections import Counter, defaultdict
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fancnn.data.labeled_images import LabeledImage
from fancnn.data.split_plan import SplitPlan
from fancnn.data.split_rules import grouped_split, joined_groups
from fancnn.errors import UserError


def table(classes, parts):
    return Counter(zip(classes, parts, strict=True))


def parts_by(keys, parts):
    found = defaultdict(set)
    for key, part in zip(keys, parts, strict=True):
        found[key].add(part)
    return found


LOTS = st.lists(  # per group: images of GO, images of NG
    st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(any), min_size=1, max_size=25
)


def images_of(lots):
    classes, groups = [], []
    for index, counts in enumerate(lots):
        for name, count in zip(("GO", "NG"), counts, strict=True):
            classes += [name] * count
            groups += [f"lot{index}"] * count
    return classes, groups


@settings(max_examples=60, deadline=None)
@given(LOTS, st.sampled_from([(0.2, 0.0), (0.2, 0.2), (0.15, 0.1), (0.5, 0.0)]), st.integers(-1, 2**33))
def test_no_group_is_in_two_parts_and_every_part_has_every_class(lots, fractions, seed):
    val, test = fractions
    classes, groups = images_of(lots)
    wanted = {"train", "val", "test"} if test else {"train", "val"}
    try:
        parts = grouped_split(classes, groups, val_fraction=val, test_fraction=test, seed=seed)
    except UserError:
        few = any(sum(lot[column] > 0 for lot in lots) < 3 * len(wanted) for column in (0, 1))
        assert few, "with so many groups of each class there is a choice"
        return
    assert all(len(found) == 1 for found in parts_by(groups, parts).values())
    assert set(table(classes, parts)) == {(name, part) for name in set(classes) for part in wanted}


@pytest.mark.parametrize(("val", "test"), [(0.2, 0.0), (0.2, 0.1), (0.15, 0.15), (0.3, 0.2), (0.05, 0.05), (0.4, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_with_many_groups_the_shares_are_met(val, test, seed):
    random_lots = np.random.default_rng(seed).integers(1, 9, (120, 2))
    classes, groups = images_of(random_lots.tolist())
    seen = table(classes, grouped_split(classes, groups, val_fraction=val, test_fraction=test, seed=seed))
    for name, count in Counter(classes).items():
        assert abs(seen[name, "val"] / count - val) < 0.03
        assert abs(seen[name, "test"] / count - test) < 0.03


def test_groups_of_one_class_each_are_divided_too():
    classes = ["GO"] * 40 + ["NG"] * 40
    groups = [f"lot{index // 10}" for index in range(80)]
    parts = grouped_split(classes, groups, val_fraction=0.2, seed=0)
    assert table(classes, parts)["GO", "val"] == table(classes, parts)["NG", "val"] == 10


def test_a_rare_class_reaches_every_part():
    classes = (["GO"] * 10 + ["NG"]) * 6 + ["GO"] * 140
    groups = [f"lot{index // 11}" for index in range(66)] + [f"lot{6 + index // 10}" for index in range(140)]
    for seed in range(5):
        seen = table(classes, grouped_split(classes, groups, val_fraction=0.1, test_fraction=0.1, seed=seed))
        assert all(seen["NG", part] >= 1 for part in ("train", "val", "test"))


def test_groups_as_single_images_give_the_counts_of_a_stratified_split():
    classes = ["GO"] * 50 + ["NG"] * 100
    parts = grouped_split(classes, list(map(str, range(150))), val_fraction=0.2, test_fraction=0.1, seed=1)
    assert table(classes, parts)["GO", "val"] == 10
    assert table(classes, parts)["NG", "val"] == 20
    assert Counter(parts) == {"train": 105, "val": 30, "test": 15}


def test_another_seed_gives_other_groups():
    classes, groups = images_of([(3, 3)] * 30)
    splits = {tuple(grouped_split(classes, groups, val_fraction=0.2, seed=seed)) for seed in range(10)}
    assert len(splits) > 5


def test_too_few_groups_are_counted():
    with pytest.raises(UserError, match=r"needs at least 3 groups.*train, val and test, but data\.group names 2"):
        grouped_split(["GO"] * 9, ["a"] * 5 + ["b"] * 4, val_fraction=0.2, test_fraction=0.1, seed=0)


def test_a_class_in_too_few_groups_is_named_with_them():
    classes, groups = images_of([(3, 3), (3, 0), (3, 0), (3, 0)])
    with pytest.raises(UserError, match=r"Class NG is in too few groups: lot0\. Each of train and val needs one"):
        grouped_split(classes, groups, val_fraction=0.2, seed=0)


def test_groups_that_cannot_be_divided_are_refused_in_words():
    groups = {"a": "AB", "b": "BC", "c": "CA"}  # any group in val leaves another class without val
    classes = [name for names in groups.values() for name in names * 2]
    members = [group for group in groups for _ in range(4)]
    with pytest.raises(UserError, match=r"No choice of whole groups gives val .*the 3 groups.*class A is in 2"):
        grouped_split(classes, members, val_fraction=0.3, seed=0)


# Defect types

TYPES = ("", "crack", "dent", "stain")
TYPED = st.lists(  # per group: images of GO, and of NG of each type
    st.tuples(*[st.integers(0, 5)] * 5).filter(any), min_size=1, max_size=20
)


def typed_images_of(lots):
    kinds = [("GO", ""), *(("NG", kind) for kind in TYPES)]
    rows = [
        (*kind, f"lot{index}")
        for index, counts in enumerate(lots)
        for kind, count in zip(kinds, counts, strict=True)
        for _ in range(count)
    ]
    return tuple(list(column) for column in zip(*rows, strict=True))


def off_types(classes, types, splits, fraction):
    """How far val is from its share of the images of each type, in images of one that would have ten."""
    seen, wish = Counter(zip(classes, types, splits, strict=True)), Counter(zip(classes, types, strict=True))
    return np.mean(
        [abs(seen[*kind, "val"] - fraction * count) / max(fraction * count, 1) for kind, count in wish.items()]
    )


@settings(max_examples=60, deadline=None)
@given(TYPED, st.sampled_from([0.0, 0.2]), st.integers(-1, 2**33), st.randoms(use_true_random=False))
def test_types_divide_no_group_and_leave_every_class_in_every_split(lots, test, seed, shuffler):
    classes, types, groups = typed_images_of(lots)
    contents = [str(shuffler.randrange(10 * len(classes))) for _ in classes]  # some join two groups
    shares = {"val_fraction": 0.2, "test_fraction": test, "seed": seed, "contents": contents}

    def split(**more):
        try:
            return grouped_split(classes, groups, **shares, **more)
        except UserError as error:
            return str(error)

    with_types, without = split(types=types), split()
    if isinstance(with_types, str):
        assert isinstance(without, str) or test  # what is chosen for test decides what is left for val
        return
    assert with_types == split(types=types)
    assert all(len(found) == 1 for keys in (groups, contents) for found in parts_by(keys, with_types).values())
    splits = {"train", "val", "test"} if test else {"train", "val"}
    assert set(table(classes, with_types)) == {(name, split) for name in set(classes) for split in splits}
    if not test and not isinstance(without, str):
        joined = joined_groups(groups, contents)
        several = parts_by(zip(classes, types, strict=True), joined)
        divisible = [kind if len(several[name, kind]) > 1 else "" for name, kind in zip(classes, types, strict=True)]
        of = [off_types(classes, divisible, splits, 0.2) for splits in (with_types, without)]
        assert of[0] <= of[1] + 1e-9


def test_types_keep_their_shares_better_than_without_them_and_classes_as_well():
    better, class_errors = [], []
    for seed in range(6):
        lots = np.random.default_rng(seed).integers(0, 4, (40, 5))
        lots[:, 2:] *= np.random.default_rng(seed + 100).random((40, 3)) < 0.3  # a type is in a third of the lots
        classes, types, groups = typed_images_of(lots.tolist())
        fractions = {"val_fraction": 0.2, "test_fraction": 0.15, "seed": seed}
        with_types = grouped_split(classes, groups, **fractions, types=types)
        without = grouped_split(classes, groups, **fractions)
        better.append(off_types(classes, types, without, 0.2) - off_types(classes, types, with_types, 0.2))
        class_errors.append(
            max(abs(table(classes, with_types)[name, "val"] / classes.count(name) - 0.2) for name in set(classes))
        )
    assert np.mean(better) > 0.05
    assert max(class_errors) < 0.05


@pytest.mark.parametrize("types", [None, "none", "one a class", "one a group"])
def test_without_types_that_could_be_divided_a_split_is_what_it_was_before_there_were_any(types):
    before = ["ff3b95d4a4e339ac", "090bc6886d1ca130", "f6b0bc5fcc98bdb7", "3f8feff80515e29f", "14d437b8248907e5"]
    for seed, expected in enumerate(before):
        drawn = random.Random(seed)
        groups = [f"lot{drawn.randrange(25)}" for _ in range(200)]
        classes = [drawn.choice(["GO", "GO", "NG"]) for _ in groups]
        contents = [str(drawn.randrange(2000)) for _ in groups]
        of_images = {"none": [""] * 200, "one a class": classes, "one a group": joined_groups(groups, contents)}
        shares = {"val_fraction": 0.2, "test_fraction": 0.15 * (seed % 2), "seed": seed, "contents": contents}
        splits = grouped_split(classes, groups, **shares, types=of_images.get(types))
        assert sha256(" ".join(splits).encode()).hexdigest()[:16] == expected


def test_types_in_folders_keep_their_shares_in_a_plan():
    images = [
        LabeledImage(f"NG/{kind}/lot{lot}-{number}.png", "NG", 1, defect_type=kind, sha256=f"{kind}{lot}{number}")
        for lot in range(20)
        for kind in (("crack",) if lot % 2 else ("dent",))
        for number in range(2)
    ]
    images += [LabeledImage(f"GO/lot{lot}-{n}.png", "GO", 0, sha256=f"GO{lot}{n}") for lot in range(20) for n in (0, 1)]
    for seed in range(5):
        plan = SplitPlan("grouped", 0.2, group=r"lot\d+", seed=seed)
        val = [image for image in plan.assign(images) if image.split == "val"]
        assert Counter(image.defect_type for image in val) == {"crack": 4, "dent": 4, "": 8}
