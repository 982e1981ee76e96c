"""Splits: who is in which part, by properties that hold for all data."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
import sklearn.model_selection  # noqa: F401  # its first import draws from `random`; fancnn imports it when needed
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fancnn.data.split_rules import grouped_split, ordered_split, stratified_split
from fancnn.errors import UserError

FRACTIONS = st.tuples(st.floats(0.01, 0.9), st.just(0.0) | st.floats(0.01, 0.9)).filter(lambda f: sum(f) < 0.99)
COUNTS = st.dictionaries(st.sampled_from(["GO", "NG", "100", "60", "良品"]), st.integers(3, 60), min_size=1)
SEEDS = st.integers(-5, 2**40)


def listing(counts):
    return [name for name, count in counts.items() for _ in range(count)]


def table(classes, parts):
    return Counter(zip(classes, parts, strict=True))


def floors(count, val, test):
    """The documented counts: floors, but at least 1 in each part, train included."""
    wish = {"val": max(1, int(count * val + 1e-9))}
    if test:
        wish["test"] = max(1, int(count * test + 1e-9))
    while sum(wish.values()) >= count:
        wish[max(wish, key=wish.get)] -= 1
    return {**wish, "train": count - sum(wish.values())}


# Every kind of split


@settings(deadline=None)
@given(COUNTS, FRACTIONS, SEEDS)
def test_each_class_is_divided_by_the_documented_counts(counts, fractions, seed):
    val, test = fractions
    classes = listing(counts)
    for parts in (
        stratified_split(classes, val_fraction=val, test_fraction=test, seed=seed),
        ordered_split(classes, val_fraction=val, test_fraction=test),
    ):
        seen = table(classes, parts)
        for name, count in counts.items():
            assert {part: seen[name, part] for part in floors(count, val, test)} == floors(count, val, test)
        assert len(parts) == len(classes)


@pytest.mark.parametrize(("count", "fraction", "expected"), [(100, 0.29, 29), (10, 0.3, 3), (3, 0.1, 1), (7, 0.57, 3)])
def test_shares_round_down_as_people_do(count, fraction, expected):
    parts = ordered_split(["GO"] * count, val_fraction=fraction)
    assert parts.count("val") == expected


def test_three_tenths_held_back_leave_seven_to_train():
    seen = Counter(stratified_split(["GO"] * 50 + ["NG"] * 100, val_fraction=0.2, test_fraction=0.1, seed=0))
    assert seen == {"train": 105, "val": 30, "test": 15}


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_same_arguments_give_the_same_split_and_global_random_state_is_left_alone(seed):
    classes = ["GO"] * 40 + ["NG"] * 30
    groups = [str(index % 12) for index in range(70)]

    def splits():
        shares = {"val_fraction": 0.2, "test_fraction": 0.1, "seed": seed}
        return (
            stratified_split(classes, **shares),
            stratified_split(classes, **shares, contents=groups),
            grouped_split(classes, groups, **shares),
        )

    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist()
    first = splits()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    random.seed(2)
    np.random.seed(2)
    assert splits() == first


def every_function(classes, **fractions):
    groups = [str(index) for index in range(len(classes))]
    return [
        lambda: stratified_split(classes, seed=0, **fractions),
        lambda: ordered_split(classes, **fractions),
        lambda: grouped_split(classes, groups, seed=0, **fractions),
    ]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_outside_its_range_is_refused(which, fraction):
    split = every_function(["GO"] * 9, val_fraction=fraction)[which]
    with pytest.raises(UserError, match=rf"data\.val_fraction={fraction}: expected a share above 0 and below 1"):
        split()
    if fraction != 0:
        split = every_function(["GO"] * 9, val_fraction=0.2, test_fraction=fraction)[which]
        with pytest.raises(UserError, match=rf"data\.test_fraction={fraction}: expected a share from 0 to below 1"):
            split()


@pytest.mark.parametrize("which", range(3))
def test_shares_that_leave_nothing_to_train_on_are_refused(which):
    split = every_function(["GO"] * 9, val_fraction=0.7, test_fraction=0.3)[which]
    with pytest.raises(UserError, match=r"val_fraction=0\.7 and data\.test_fraction=0\.3 leave nothing to train on"):
        split()


@pytest.mark.parametrize("which", range(3))
def test_classes_with_too_few_images_are_named_with_their_counts(which):
    classes = ["GO"] * 9 + ["crack"] * 2 + ["dent"]
    split = every_function(classes, val_fraction=0.2, test_fraction=0.2)[which]
    with pytest.raises(UserError, match=r"at least 3 images.*crack has 2, dent has 1.*set data\.test_fraction=0"):
        split()
    split = every_function(classes, val_fraction=0.2)[which]
    with pytest.raises(UserError, match="at least 2 images, one for each of train and val, but dent has 1"):
        split()


# Stratified


@settings(deadline=None)
@given(COUNTS, SEEDS, st.integers(3, 60))
def test_another_class_beside_changes_nothing(counts, seed, others):
    classes = listing(counts)
    alone = stratified_split(classes, val_fraction=0.2, test_fraction=0.1, seed=seed)
    beside = stratified_split(["A"] * others + classes, val_fraction=0.2, test_fraction=0.1, seed=seed)
    assert beside[others:] == alone


def test_another_seed_gives_another_split():
    splits = {tuple(stratified_split(["GO"] * 40, val_fraction=0.5, seed=seed)) for seed in range(20)}
    assert len(splits) == 20


def test_two_classes_of_one_size_are_not_drawn_alike():
    parts = stratified_split(["GO"] * 40 + ["NG"] * 40, val_fraction=0.5, seed=0)
    assert parts[:40] != parts[40:]


def test_every_image_has_its_chance_of_val():
    drawn = np.mean(
        [
            [part == "val" for part in stratified_split(["GO"] * 10, val_fraction=0.3, seed=seed)]
            for seed in range(1000)
        ],
        axis=0,
    )
    assert np.abs(drawn - 0.3).max() < 0.07  # 4.8 standard deviations, and the seeds are fixed


@settings(deadline=None)
@given(COUNTS, FRACTIONS, SEEDS)
def test_contents_that_all_differ_change_nothing(counts, fractions, seed):
    classes = listing(counts)
    shares = {"val_fraction": fractions[0], "test_fraction": fractions[1]}
    contents = [f"hash {index}" for index in range(len(classes))]
    plain = stratified_split(classes, **shares, seed=seed)
    assert stratified_split(classes, **shares, seed=seed, contents=contents) == plain


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["GO", "NG"]), st.integers(0, 12)), max_size=60), FRACTIONS, SEEDS)
def test_copies_stay_together_and_every_part_has_every_class(images, fractions, seed):
    val, test = fractions
    classes, contents = [name for name, _ in images], [f"{name} {content}" for name, content in images]
    needed = 3 if test else 2
    assume(all(count >= needed for count in Counter(classes).values()))
    different = {name: len({key for key in contents if key.startswith(name)}) for name in set(classes)}
    if any(count < needed for count in different.values()):
        with pytest.raises(UserError, match="has only copies of"):
            stratified_split(classes, val_fraction=val, test_fraction=test, seed=seed, contents=contents)
        return
    parts = stratified_split(classes, val_fraction=val, test_fraction=test, seed=seed, contents=contents)
    assert all(len(found) == 1 for found in parts_by(contents, parts).values())
    sizes, seen = Counter(contents), table(classes, parts)
    for name, count in Counter(classes).items():
        wish = floors(count, val, test)
        for part in wish:
            assert seen[name, part] >= 1
        for part in set(wish) - {"train"}:
            sets = {key for key, at in zip(contents, parts, strict=True) if key.startswith(name) and at == part}
            assert seen[name, part] <= wish[part] or len(sets) == 1
        assert sum(sizes[key] for key in sizes if key.startswith(name)) == count


def parts_by(keys, parts):
    found = defaultdict(set)
    for key, part in zip(keys, parts, strict=True):
        found[key].add(part)
    return found


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["GO", "NG"]), st.integers(0, 9)), max_size=40), SEEDS)
def test_copies_across_classes_stay_together_or_are_refused_in_words(images, seed):
    classes, contents = [name for name, _ in images], [str(content) for _, content in images]
    assume(all(count >= 2 for count in Counter(classes).values()))
    try:
        parts = stratified_split(classes, val_fraction=0.3, seed=seed, contents=contents)
    except UserError as error:
        assert "copies" in str(error)  # noqa: PT017  # either outcome is right
        return
    assert all(len(found) == 1 for found in parts_by(contents, parts).values())
    assert set(table(classes, parts)) == {(name, part) for name in set(classes) for part in ("train", "val")}


def test_many_copies_of_one_file_do_not_crowd_out_the_others():
    contents = ["same"] * 70 + [str(index) for index in range(30)]
    parts = stratified_split(["GO"] * 100, val_fraction=0.2, test_fraction=0.1, seed=3, contents=contents)
    assert Counter(parts) == {"train": 70, "val": 20, "test": 10}
    assert set(parts[:70]) == {"train"}


def test_a_class_of_copies_of_one_image_is_named():
    contents = [*map(str, range(5)), *["same"] * 5]
    with pytest.raises(UserError, match="Class NG has only copies of one image, but each of train and val needs"):
        stratified_split(["GO"] * 5 + ["NG"] * 5, val_fraction=0.2, seed=0, contents=contents)


def test_classes_that_are_copies_of_each_other_are_told_from_others():
    contents = ["a", "b", "c", "a", "b", "c"]
    classes = ["GO"] * 3 + ["NG"] * 3
    parts = stratified_split(classes, val_fraction=0.3, seed=0, contents=contents)
    assert parts[:3] == parts[3:]
    contents = ["a", "b", "b", "c", "a", "c"]  # any image of one class in val leaves another none in train
    with pytest.raises(UserError, match=r"no image left for val: too many of its files are copies.*other classes"):
        stratified_split(["A", "A", "B", "B", "C", "C"], val_fraction=0.3, seed=0, contents=contents)


# Ordered


def test_the_original_programs_split_is_kept():
    classes = ["GO"] * 128 + ["NG"] * 208
    parts = ordered_split(classes, val_fraction=0.2)
    assert Counter(parts) == {"train": 270, "val": 66}
    assert parts[:25] == ["val"] * 25
    assert parts[25:128] == ["train"] * 103
    assert parts[128:169] == ["val"] * 41


@settings(deadline=None)
@given(COUNTS, FRACTIONS, st.randoms(use_true_random=False))
def test_each_class_comes_in_the_order_val_test_train(counts, fractions, shuffler):
    classes = listing(counts)
    shuffler.shuffle(classes)
    parts = ordered_split(classes, val_fraction=fractions[0], test_fraction=fractions[1])
    for name in counts:
        places = [["val", "test", "train"].index(p) for p, c in zip(parts, classes, strict=True) if c == name]
        assert places == sorted(places)
