"""What the course of a training is told to mean: the signs one by one, and no alarm where there is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fancnn.training.diagnosis import (
    EVEN,
    NOTICEABLE,
    at_chance,
    constant_output,
    dead_layers,
    diagnose,
    largest_step,
    overfitting,
    rate_too_high,
    rate_too_low,
    still_falling,
)

Row = dict[str, float]


def course(train: list[float], val: list[float] | None = None, lr: float = 1e-3, auroc: float = 0.9) -> list[Row]:
    """Rows of `metrics.csv` with these losses."""
    same = {"lr": lr, "train/auroc": auroc, "val/auroc": auroc, "val/recall": 0.8, "val/specificity": 0.7}
    pairs = zip(train, val or train, strict=True)
    return [{"epoch": i, "train/loss": a, "val/loss": b, **same} for i, (a, b) in enumerate(pairs, start=1)]


def constant(count: int, first: float = EVEN) -> list[Row]:
    """Epochs in which all images, a quarter NG, get one probability."""
    ng = {"val/recall": 1.0, "val/specificity": 0.0, "val/accuracy": 0.25, "val/average_precision": 0.25}
    go = {"val/recall": 0.0, "val/specificity": 1.0, "val/accuracy": 0.75, "val/average_precision": 0.25}
    rows = course([first, *[EVEN] * (count - 1)], lr=0.1, auroc=0.5)
    return [{**row, **(ng, go)[i % 2]} for i, row in enumerate(rows)]


def layer(name: str, **values: list[float]) -> list[dict[str, Any]]:
    """Rows of `dynamics.csv` of a layer, one for each epoch."""
    ((column, numbers),) = values.items()
    return [{"epoch": epoch, "layer": name, column: number} for epoch, number in enumerate(numbers, start=1)]


losses = st.lists(st.floats(0.001, 2.0), min_size=1, max_size=40)


@given(losses, losses)
def test_losses_that_never_rise_are_neither_overfitting_nor_too_high_a_rate(
    one: list[float], other: list[float]
) -> None:
    size = min(len(one), len(other))
    rows = course(sorted(one[:size], reverse=True), sorted(other[:size], reverse=True))
    assert overfitting(rows) is None
    assert rate_too_high(rows) is None


@given(losses)
def test_a_validation_loss_that_goes_with_training_is_no_overfitting(train: list[float]) -> None:
    assert overfitting(course(train)) is None


@given(losses, st.integers(0, 39), st.floats(0, 100))
def test_one_bad_epoch_of_validation_is_no_overfitting(train: list[float], at: int, spike: float) -> None:
    falling = sorted(train, reverse=True)
    val = list(falling)
    val[at % len(val)] += spike
    assert overfitting(course(falling, val)) is None


@given(st.integers(2, 20), st.integers(3, 20), st.floats(0.02, 0.2))
def test_overfitting_is_told_from_the_epoch_of_the_lowest_loss_on(down: int, up: int, step: float) -> None:
    val = [2 - 1.5 * i / down for i in range(down)] + [0.5 + step * i for i in range(up)]
    train = [1 / (i + 1) ** 2 for i in range(down + up)]
    found = overfitting(course(train, val))
    rise, least = sorted(val[-3:])[1] - 0.5, min(val[-2:])
    lowest = 0.5 + step  # at most, of the middle of three epochs
    if least > max(1.25 * lowest, lowest + NOTICEABLE) + 1e-9:
        assert found is not None
        assert f"From epoch {down + 1} to the end the validation loss rose from 0.500 to {0.5 + rise:.3f}" in str(found)
    if rise < NOTICEABLE - 1e-9:
        assert found is None


@given(losses, losses)
def test_any_course_is_diagnosed_and_each_kind_is_told_once(one: list[float], other: list[float]) -> None:
    size = min(len(one), len(other))
    kinds = [finding.kind for finding in diagnose(course(one[:size], other[:size]))]
    assert len(kinds) == len(set(kinds))


def test_nothing_is_said_of_nothing() -> None:
    assert diagnose([]) == []
    assert diagnose([{"epoch": 1, "seconds": 2.0}] * 9) == []


def test_a_rate_that_gets_nowhere_is_to_be_raised() -> None:
    said = str(rate_too_low(course([0.6925 - 0.0003 * i for i in range(10)], lr=1e-6)))
    assert said.startswith("In 10 epochs the training loss went from 0.6925 to 0.6898")
    assert "learning rate of 1e-06" in said
    assert "Raise model.optimizer.lr" in said


def test_a_start_that_gains_speed_or_a_loss_that_learns_is_no_low_rate() -> None:
    assert rate_too_low(course([0.69, 0.68, 0.66, 0.63])) is None
    assert rate_too_low(course([0.3 - 0.0003 * i for i in range(10)])) is None


def test_one_probability_for_all_after_a_huge_loss_is_too_high_a_rate() -> None:
    (finding,) = diagnose(constant(4, first=737.0))
    assert "Since epoch 1 every validation image gets the same probability, after a training loss of up to 737" in (
        str(finding)
    )
    assert "the learning rate, 0.1 at most, is too high" in str(finding)


def test_one_probability_for_all_without_a_huge_loss_blames_no_rate() -> None:
    said = str(constant_output([*course([0.7, 0.7]), *[{**row, "epoch": row["epoch"] + 2} for row in constant(3)]]))
    assert said.startswith("Since epoch 3 every")
    assert "is too high" not in said


def test_an_area_of_a_half_by_accident_is_not_constant() -> None:
    assert constant_output([{**row, "val/average_precision": 0.4} for row in constant(5)]) is None


def test_two_constant_epochs_are_not_sure_and_a_recovery_takes_it_back() -> None:
    assert constant_output(constant(2)) is None
    assert constant_output(constant(3)) is not None
    assert constant_output([*constant(5), *course([0.6])]) is None


def test_scores_of_guessing_after_many_epochs_are_told() -> None:
    rows = course([0.693, 0.71, 0.69, 0.70, 0.692], auroc=0.53)
    assert "the AUROC is 0.53 on training and 0.53 on validation" in str(at_chance(rows))
    assert at_chance(rows[:4]) is None
    thrown = str(at_chance(course([1.97, 0.69, 0.69, 0.69, 0.69], lr=0.01, auroc=0.53)))
    assert "after a training loss of up to 1.97: the learning rate, 0.01 at most, is too high" in thrown
    assert at_chance(course([0.693, 0.71, 0.69, 0.70, 0.692], auroc=0.7)) is None


@pytest.mark.parametrize(
    ("train", "text"),
    [
        ([0.6, 0.4, 0.3, 0.5, 0.6, 0.65], "rose from 0.300 in epoch 3 to 0.600"),
        ([0.6, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4], "In 3 of the last 5 epochs|In 2 of the last 5"),
    ],
)
def test_a_loss_that_rises_or_oscillates_is_too_high_a_rate(train: list[float], text: str) -> None:
    said = str(rate_too_high(course(train)))
    assert any(part in said for part in text.split("|"))
    assert "Lower model.optimizer.lr" in said


def test_a_rise_in_the_middle_is_not_told() -> None:
    """A one-cycle schedule has its highest rate there, and comes down again."""
    assert rate_too_high(course([0.7, 0.3, 0.5, 0.6, 0.4, 0.2, 0.1, 0.09, 0.08, 0.07])) is None


def test_a_validation_loss_that_jumps_to_the_end_is_too_high_a_rate_and_no_overfitting() -> None:
    val = [0.7, 0.7, 0.3, 0.8, 0.35, 1.8, 0.4, 3.5, 0.4, 5.4]
    rows = course([0.7 * 0.8**i for i in range(10)], val)
    assert "In 4 of the last 4 epochs the validation loss doubled or was halved" in str(rate_too_high(rows))
    assert overfitting(rows) is None
    assert rate_too_high(course([0.7 * 0.8**i for i in range(10)], [*val[:5], 0.3, 0.31, 0.3, 0.29, 0.3])) is None


def test_huge_steps_of_the_layers_in_the_middle_are_too_high_a_rate() -> None:
    steps = [row for name in "abc" for row in layer(name, update_ratio=[0.25, 0.2, 0.01])]
    rows = course([0.7, 0.6, 0.5])
    assert largest_step(steps) == (1, 0.25)
    assert "In epoch 1 a step of the optimizer changed the layers' weights by 25% of their norm" in (
        str(rate_too_high(rows, steps))
    )
    one = [*layer("a", update_ratio=[9.0]), *layer("b", update_ratio=[1e-3]), *layer("c", update_ratio=[1e-3])]
    assert rate_too_high(rows, one) is None  # a kernel that starts at zero


def test_a_training_that_ended_too_soon_is_told() -> None:
    falling = [0.7 * 0.85**i for i in range(10)]
    assert "in the last 2 epochs, 15% in each" in str(still_falling(course(falling)))
    assert still_falling(course(falling, [*falling[:-1], 0.5])) is None  # validation does not go along
    assert still_falling(course([0.7 * 0.99**i for i in range(10)])) is None


def test_a_dead_layer_is_named_with_the_epoch_it_died_in() -> None:
    rows = [*layer("blocks.0.2", dead=[0, 0.5, 0.9]), *layer("hidden.1.1", dead=[0.4, 1, 1])]
    (found,) = dead_layers(rows)
    assert "Since epoch 2 all units of the layer hidden.1.1 are zero" in str(found)


def test_a_layer_that_came_back_or_is_nearly_dead_is_not_dead() -> None:
    assert dead_layers([*layer("a", dead=[1, 1, 0.5]), *layer("b", dead=[0.99, 0.99, 0.99])]) == []


def test_a_dead_layer_is_told_before_what_follows_from_it() -> None:
    found = diagnose(constant(5), layer("hidden.1.1", dead=[1.0] * 5))
    assert [finding.kind for finding in found] == ["dead hidden.1.1", "constant"]
