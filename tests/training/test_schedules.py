"""Each curve against its closed form, or torch's own schedule of the same name."""

from collections.abc import Callable
from math import cos, pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from fancnn.errors import UserError
from fancnn.training.schedules import (
    Plateau,
    constant,
    cosine_decay,
    exponential_decay,
    one_cycle,
    scheduled,
    step_decay,
)

LR = 0.3


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)


def rates(make: Callable[[torch.optim.Optimizer], LRScheduler], count: int) -> list[float]:
    """The rate of each of `count` epochs or steps."""
    optimizer = sgd()
    scheduler, found = make(optimizer), []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_constant_and_exponential_are_their_closed_forms() -> None:
    assert rates(constant, 5) == [LR] * 5
    assert rates(lambda o: exponential_decay(o, None), 5) == [LR] * 5
    assert rates(lambda o: exponential_decay(o, 20), 41) == pytest.approx([LR * 0.1 ** (t / 20) for t in range(41)])


def test_step_is_torchs() -> None:
    ours, torchs = (rates(make, 20) for make in (lambda o: step_decay(o, 3, 0.5), lambda o: StepLR(o, 3, 0.5)))
    assert ours == pytest.approx(torchs)
    assert ours[:7] == pytest.approx([LR] * 3 + [LR / 2] * 3 + [LR / 4])


@given(total=st.integers(5, 300), rising=st.floats(0.25, 0.75))
def test_one_cycle_is_torchs_without_its_momentum(total: int, rising: float) -> None:
    def torchs(optimizer: torch.optim.Optimizer) -> LRScheduler:
        return OneCycleLR(
            optimizer,
            max_lr=LR,
            total_steps=total,
            pct_start=rising,
            div_factor=25,
            final_div_factor=1e4,
            cycle_momentum=False,
        )

    ours = rates(lambda o: one_cycle(o, total, rising), total)
    optimizer, expected = sgd(), []
    scheduler = torchs(optimizer)
    for step in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < total - 1:
            scheduler.step()
    assert ours == pytest.approx(expected, rel=1e-6)


@given(total=st.integers(1, 300), warmup=st.floats(0, 0.9), final=st.floats(0, 0.5))
def test_cosine_rises_in_a_line_and_falls_by_half_a_cosine(total: int, warmup: float, final: float) -> None:
    found = rates(lambda o: cosine_decay(o, total, warmup, final), total)
    rising = round(warmup * total)
    assert found[:rising] == pytest.approx([LR * (t + 1) / rising for t in range(rising)])
    falling = [final + (1 - final) * (1 + cos(pi * (t - rising) / (total - rising))) / 2 for t in range(rising, total)]
    assert found[rising:] == pytest.approx([LR * share for share in falling])


def test_plateau_falls_after_patience_and_not_below_the_least() -> None:
    optimizer = sgd()
    plateau, found = Plateau(optimizer, "val/loss", factor=0.1, patience=1, min_lr=0.01), []
    for loss in (1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.99):
        plateau.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([LR, LR, LR, 0.03, 0.03, 0.01, 0.01, 0.01])


def test_plateau_knows_that_higher_is_better_for_scores_other_than_losses() -> None:
    optimizer = sgd()
    plateau = Plateau(optimizer, "val/auroc", patience=0)
    for score in (0.5, 0.6, 0.7):
        plateau.step(score)
    assert optimizer.param_groups[0]["lr"] == LR
    plateau.step(0.6)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(LR / 10)


def test_those_that_take_the_number_of_steps_step_every_batch_and_are_told_it() -> None:
    made = scheduled(lambda optimizer, total_steps: one_cycle(optimizer, total_steps), sgd(), lambda: 100.0)
    assert made["interval"] == "step"
    assert scheduled(constant, sgd(), lambda: pytest.fail("not asked for"))["interval"] == "epoch"
    plateau = scheduled(lambda optimizer: Plateau(optimizer, "train/loss"), sgd(), lambda: 100)
    assert (plateau["interval"], plateau["monitor"]) == ("epoch", "train/loss")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda o: exponential_decay(o, -1), "epochs_per_decade=-1 should be above 0"),
        (lambda o: step_decay(o, 0), "every=0 should be 1 or more"),
        (lambda o: step_decay(o, 1, 1.0), "factor=1.0 should be above 0 and below 1"),
        (lambda o: cosine_decay(o, 10, warmup=1.0), "warmup=1.0 should be from 0 to below 1"),
        (lambda o: one_cycle(o, 10, rising=0), "rising=0 should be above 0 and below 1"),
        (lambda o: Plateau(o, "val/loss", patience=-1), "patience=-1"),
    ],
)
def test_impossible_values_are_refused(make: Callable[[torch.optim.Optimizer], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(sgd())


def test_plateau_of_a_score_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="monitor='val/zzz' is no score"):
        Plateau(sgd(), "val/zzz")
