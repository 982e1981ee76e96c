import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from textures import textures

from fancnn.data.fingerprints import SIDE
from fancnn.data.registration import TURNS, align, coarse_alignment, definiteness, laid_over, turned


@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_turns_are_those_of_numpy(turn: int) -> None:
    image = np.arange(16).reshape(4, 4)
    expected = {
        "": image,
        "mirrored": image[:, ::-1],
        "mirrored upside down": image[::-1],
        "turned by 180 degrees": np.rot90(image, 2),
        "turned by 90 degrees": np.rot90(image, -1),
        "turned by 270 degrees": np.rot90(image),
    }.get(TURNS[turn], image.T if turn == 4 else np.rot90(image, 2).T)
    assert torch.equal(turned(torch.from_numpy(image), turn), torch.from_numpy(expected.copy()))


@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_turn_and_shift_are_named(turn: int) -> None:
    first = textures(5)
    second = turned(first, turn).roll((4, -7), (1, 2))
    turns, shift, peak = coarse_alignment(first, second, torch.ones(5))
    assert turns.tolist() == [turn] * 5
    assert shift.tolist() == [[4, -7]] * 5
    assert peak.min() > 0.8


@given(st.integers(0, 100), st.floats(0.85, 1.0), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(0.5, 2))
@settings(max_examples=20)
def test_the_piece_gain_and_offset_are_found(seed: int, scale: float, down: float, along: float, gain: float) -> None:
    first = textures(1, seed)
    truth = torch.tensor([[scale, down, scale, along]])
    start = align(first, first, torch.zeros(1, dtype=torch.long), truth, steps=0)
    seen, common = laid_over(first, start, SIDE)
    second = torch.where(common, gain * seen + 10, torch.zeros(()))
    near = truth + torch.tensor([[0.02, -0.02, -0.02, 0.02]])
    result = align(first, second, torch.zeros(1, dtype=torch.long), near)
    torch.testing.assert_close(result.affine, truth, atol=5e-3, rtol=0)
    torch.testing.assert_close(result.gain, torch.tensor([gain]), rtol=0.08, atol=0)
    assert result.correlation.item() > 0.99


def test_images_that_have_little_in_common_are_not_compared() -> None:
    image = textures(1)
    far = torch.tensor([[1.0, 1.0, 1.0, 1.0]])  # a quarter of the image
    result = align(image, image, torch.zeros(1, dtype=torch.long), far, steps=0)
    assert result.correlation.tolist() == [-1.0]


def test_a_straight_edge_shows_no_place_along_itself() -> None:
    edge = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    edge[:, :, 30:] = 200
    values = definiteness(torch.cat([edge, textures(1).byte()]))
    assert values[0] < 1e-6
    assert values[1] > 0.03
