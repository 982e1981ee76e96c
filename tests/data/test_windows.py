from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import write_images
from torch import Tensor

from fancnn.data.datasets import FileDataset, PixelDataset
from fancnn.data.defect_masks import DefectMasks
from fancnn.data.samplers import SAMPLERS
from fancnn.data.windows import WindowDataset, WindowPlan, Windows, WindowSampler
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.settings.groups import ImageLimits

LABELS = torch.tensor([0.0] * 7 + [1.0] * 5)
SIZE = (40, 60)

sides, epochs, seeds = st.integers(16, 80), st.integers(0, 50), st.integers(0, 9)


def places_of(seed: int) -> Tensor:
    return torch.rand(len(LABELS), 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor(SIZE)


def drawn(plan: WindowPlan, epoch: int, seed: int = 0, sampler: str = "shuffled") -> list[Windows]:
    windows = WindowSampler(SAMPLERS[sampler](LABELS), LABELS, SIZE, plan, 8, seed)
    windows.set_epoch(epoch)
    batches = list(windows)
    assert len(batches) == len(windows)
    return batches


def joined(batches: list[Windows]) -> Windows:
    return Windows(torch.cat([batch.indices for batch in batches]), torch.cat([batch.corners for batch in batches]))


@given(side=sides, epoch=epochs, seed=seeds, known=st.booleans())
def test_windows_lie_in_the_image_and_are_decided_by_seed_epoch_and_places(
    side: int, epoch: int, seed: int, known: bool
) -> None:
    plan = WindowPlan(side, 3, places_of(seed) if known else None)
    batches = drawn(plan, epoch, seed)
    torch.rand(3)  # whatever else was random
    again = drawn(plan, epoch, seed)
    assert all(
        torch.equal(*pair) for old, new in zip(batches, again, strict=True) for pair in zip(old, new, strict=True)
    )
    indices, corners = joined(batches)
    assert len(indices) == 3 * len(LABELS)
    assert (corners >= 0).all()
    assert (corners + torch.tensor([min(side, SIZE[0]), min(side, SIZE[1])]) <= torch.tensor(SIZE)).all()


@given(side=sides, epoch=epochs)
def test_before_places_are_known_windows_are_of_good_images_alone(side: int, epoch: int) -> None:
    assert set(LABELS[joined(drawn(WindowPlan(side, 2), epoch)).indices].tolist()) == {0.0}


@given(side=sides, epoch=epochs, seed=seeds)
def test_a_window_of_an_ng_image_has_its_place_within(side: int, epoch: int, seed: int) -> None:
    places = places_of(seed)
    indices, corners = joined(drawn(WindowPlan(side, 2, places), epoch, seed))
    of_ng = LABELS[indices] == 1
    assert sorted(indices[of_ng].tolist()) == sorted(2 * torch.nonzero(LABELS).flatten().tolist())
    inside = places[indices] - corners
    window = torch.tensor([min(side, SIZE[0]), min(side, SIZE[1])])
    assert ((inside >= -0.5) & (inside <= window + 0.5))[of_ng].all()


@given(side=sides, epoch=epochs, known=st.booleans())
def test_a_window_of_a_marked_image_is_about_its_defect_from_the_start(side: int, epoch: int, known: bool) -> None:
    points = torch.tensor([[3, 50], [4, 50], [30, 2]])
    plan = WindowPlan(side, 2, places_of(1) if known else None, {8: points})
    indices, corners = joined(drawn(plan, epoch))
    of_it = corners[indices == 8]
    assert len(of_it) == 2
    window = torch.tensor([min(side, SIZE[0]), min(side, SIZE[1])])
    inside = points[None] - of_it[:, None]
    assert ((inside >= 0) & (inside < window)).all(2).any(1).all()
    if not known:
        assert set(indices[LABELS[indices] == 1].tolist()) == {8}


def test_windows_of_good_images_are_half_at_their_place_and_half_anywhere() -> None:
    places = torch.full((len(LABELS), 2), 20.0)
    indices, corners = joined([batch for epoch in range(40) for batch in drawn(WindowPlan(16, 5, places), epoch)])
    near = ((places[indices] - corners - 8).abs() <= 6).all(1)[LABELS[indices] == 0].float().mean()
    by_luck = (13 / 25) * (13 / 45)  # of a window anywhere, whose middle is one of 25 rows and 45 columns
    assert float(near) == pytest.approx(0.5 + 0.5 * by_luck, abs=0.03)


def test_a_cut_has_the_pixels_of_the_image_from_memory_and_from_a_file(tmp_path: Path) -> None:
    root = write_images(tmp_path / "images", {"GO": 3, "NG": 2})
    files, labels = sorted(root.rglob("*.png")), torch.tensor([0.0, 0, 0, 1, 1])
    preprocess = Preprocess((30, 20))
    by_file = FileDataset(files, labels, preprocess, ImageGate(ImageLimits()))
    whole, _ = by_file[torch.arange(5)]
    in_memory = PixelDataset(whole, torch.arange(5), labels)
    windows = Windows(torch.tensor([4, 0, 4]), torch.tensor([[0, 0], [14, 4], [3, 2]]))
    expected = torch.stack([whole[4, :, :16, :16], whole[0, :, 14:, 4:], whole[4, :, 3:19, 2:18]])
    masks, marked = DefectMasks((30, 20)), torch.zeros(30, 20, dtype=torch.bool)
    marked[5:7, 3:9] = True
    masks.add(4, marked, preprocess)
    for dataset in (by_file, in_memory):
        assert torch.equal(WindowDataset(dataset, (16, 16), masks)[windows][0], expected)
        of_windows = WindowDataset(dataset, (16, 16), masks)[windows][-1]
        assert torch.equal(of_windows, torch.stack([marked[:16, :16], torch.zeros(16, 16) > 0, marked[3:19, 2:18]]))
        pixels, of_labels = WindowDataset(dataset, (16, 16))[windows]
        assert torch.equal(pixels, expected)
        assert of_labels.tolist() == [1, 0, 1]
