import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fancnn.data.samplers import SAMPLERS, Draw, SeededBatchSampler

counts = st.tuples(st.integers(1, 40), st.integers(1, 40))


def labels_of(go: int, ng: int) -> Tensor:
    return torch.cat([torch.zeros(go), torch.ones(ng)])[torch.randperm(go + ng, generator=torch.Generator())]


def drawn(draw: Draw, epoch: int, seed: int = 0, rank: int = 0, world: int = 1) -> list[int]:
    batches = SeededBatchSampler(draw, 7, seed, rank, world)
    batches.set_epoch(epoch)
    found = [batch.tolist() for batch in batches if len(batch)]
    assert len(found) == len(batches)
    return [index for batch in found for index in batch]


@given(of=counts, epoch=st.integers(0, 9), name=st.sampled_from(sorted(SAMPLERS)))
def test_an_epoch_is_decided_by_seed_and_epoch_alone(of: tuple[int, int], epoch: int, name: str) -> None:
    labels = labels_of(*of)
    first = drawn(SAMPLERS[name](labels), epoch, seed=3)
    torch.rand(5)  # whatever else was random
    assert drawn(SAMPLERS[name](labels), epoch, seed=3) == first


@given(of=counts, epoch=st.integers(0, 9), world=st.integers(1, 4), name=st.sampled_from(sorted(SAMPLERS)))
def test_processes_share_what_one_would_have(of: tuple[int, int], epoch: int, world: int, name: str) -> None:
    draw = SAMPLERS[name](labels_of(*of))
    alone = drawn(draw, epoch)
    size = draw.size // world
    for rank in range(world):
        assert drawn(draw, epoch, rank=rank, world=world) == alone[rank::world][:size]


@given(of=counts, epoch=st.integers(0, 9))
def test_undersampled_has_all_of_the_rarer_class_and_as_many_of_the_other_each_once(
    of: tuple[int, int], epoch: int
) -> None:
    labels = labels_of(*of)
    found = drawn(SAMPLERS["undersampled"](labels), epoch)
    assert len(set(found)) == len(found) == 2 * min(of)
    assert labels[found].sum() == min(of)


def test_undersampled_takes_another_part_each_epoch_and_in_time_all() -> None:
    labels = labels_of(60, 20)
    draw = SAMPLERS["undersampled"](labels)
    epochs = [frozenset(drawn(draw, epoch)) for epoch in range(30)]
    assert len(set(epochs)) == 30
    assert len(frozenset().union(*epochs)) == 80


def test_balanced_draws_both_classes_alike_and_each_image_of_a_class_alike() -> None:
    labels = labels_of(180, 20)
    draw = SAMPLERS["balanced"](labels)
    assert draw.size == 200
    found = torch.tensor([drawn(draw, epoch) for epoch in range(200)]).flatten()
    # 40,000 draws: the standard deviation of the share of NG is 0.0025, of one image's count 32 and 10.5
    assert float(labels[found].mean()) == pytest.approx(0.5, abs=4 * 0.0025)
    times = torch.bincount(found, minlength=200).float()
    for label, expected, deviation in ((1, 1000, 31.3), (0, 111.1, 10.5)):
        assert float((times[labels == label] - expected).abs().max()) < 5 * deviation
