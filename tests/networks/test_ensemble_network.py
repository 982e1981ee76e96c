import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fancnn.decisions.calibration import UNCALIBRATED, Calibration
from fancnn.networks import ConvNet, Ensemble, PatchNet
from fancnn.networks.cell_network import cell_network
from fancnn.networks.ensemble_network import Calibrate

logits = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=8)
steps = st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)), min_size=1, max_size=5)


@given(logits, steps, st.floats(0.1, 3))
def test_calibration_is_that_of_numpy(raw: list[float], rises: list[tuple[float, float]], slope: float) -> None:
    knots, values = np.cumsum([a for a, _ in rises]) - 5, np.cumsum([b for _, b in rises]) - 5
    calibration = Calibration(tuple(knots.tolist()), tuple(values.tolist()), slope, "isotonic")
    found = Calibrate(calibration)(torch.tensor(raw))
    np.testing.assert_allclose(found.numpy(), calibration.apply(raw), rtol=1e-4, atol=1e-4)


def test_the_logit_is_that_of_the_mean_probability() -> None:
    torch.manual_seed(0)
    members = [ConvNet((16, 16), filters=(4,), hidden=(8,)) for _ in range(3)]
    half = Calibration((0.0,), (0.0,), 0.5, "temperature").to_dict()
    images = torch.rand(5, 3, 16, 16)
    joined = Ensemble(members, [UNCALIBRATED.to_dict(), half, half])
    chances = [member(images) * factor for member, factor in zip(members, (1, 0.5, 0.5), strict=True)]
    torch.testing.assert_close(joined(images).sigmoid(), torch.stack(chances).sigmoid().mean(0))


def test_members_that_are_certain_do_not_round_to_infinity() -> None:
    joined = Ensemble([nn.Flatten(0), nn.Flatten(0)], [UNCALIBRATED.to_dict()] * 2)
    assert joined(torch.tensor([[200.0], [-200.0]])).tolist() == pytest.approx([200.0, -200.0])


def test_each_member_needs_its_calibration() -> None:
    with pytest.raises(ValueError, match="2 members and 1 calibrations: expected one for each"):
        Ensemble([nn.Flatten(0), nn.Flatten(0)], [UNCALIBRATED.to_dict()])


def test_the_cells_of_an_ensemble_are_the_mean_of_its_members_and_its_logit_is_as_ever() -> None:
    torch.manual_seed(0)
    fine, coarse = PatchNet((16, 24), (4, 6), stride=2).eval(), PatchNet((16, 24), (4, 6), stride=4).eval()
    joined = Ensemble([fine, coarse], [UNCALIBRATED.to_dict()] * 2)
    images = torch.rand(3, 3, 16, 24)
    found = joined.logits_and_cells(images)
    spread = coarse.logits_and_cells(images).cells.repeat_interleave(2, 1).repeat_interleave(2, 2)
    mean = (fine.logits_and_cells(images).cells.sigmoid() + spread.sigmoid()) / 2
    torch.testing.assert_close(found.cells.sigmoid(), mean)
    torch.testing.assert_close(found.logits, joined(images))


def test_an_ensemble_has_cells_only_if_all_its_members_have() -> None:
    members = [PatchNet((16, 16), (4, 6), stride=4), ConvNet((16, 16), filters=(4,), hidden=(8,))]
    mixed = Ensemble(members, [UNCALIBRATED.to_dict()] * 2)
    assert cell_network(members[0]) is members[0]
    assert cell_network(members[1]) is None
    assert cell_network(mixed) is None
    with pytest.raises(ValueError, match="a member of the ensemble has no cells"):
        mixed.logits_and_cells(torch.zeros(1, 3, 16, 16))
