"""Splits that keep groups together, and the names of groups."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fancnn.data.split_rules import grouped_split
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
