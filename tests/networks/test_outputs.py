import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fancnn.metrics.cross_entropy import sigmoid, softmax
from fancnn.networks.ensemble_network import Ensemble
from fancnn.networks.outputs import logit_of_ng, probability_of_ng

PLAIN = {"logits": [0.0], "calibrated": [0.0], "slope": 1.0, "method": "none"}
HALVED = {**PLAIN, "slope": 0.5, "method": "temperature"}
rows = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.lists(st.floats(-30, 30), min_size=k, max_size=k), min_size=1, max_size=5)
)


@given(rows)
def test_the_probability_of_ng_is_what_the_softmax_leaves_of_go(found: list[list[float]]) -> None:
    logits = logit_of_ng(torch.tensor(found, dtype=torch.float64))
    assert sigmoid(logits.numpy()) == pytest.approx(1 - softmax(found)[:, 0], abs=1e-12)


def test_one_logit_is_that_of_ng_itself() -> None:
    logits = torch.randn(4)
    assert logit_of_ng(logits) is logits


def test_logits_of_any_size_stay_numbers() -> None:
    huge = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    assert logit_of_ng(huge).isfinite().all()


@given(rows)
def test_the_share_of_ng_is_all_but_that_of_go(found: list[list[float]]) -> None:
    shares = torch.tensor(softmax(found))
    torch.testing.assert_close(probability_of_ng(shares), shares[:, 1:].sum(1))


class Given(torch.nn.Module):
    """A network that gives the logits it was made with."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits, self.outputs = logits, 1 if logits.ndim == 1 else logits.shape[1]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_an_ensemble_of_types_has_the_mean_probability_of_each_type() -> None:
    """Each member's P(NG) calibrated, and shared out among types as that member does."""
    one, other = torch.randn(2, 5, 4, dtype=torch.float64).unbind()
    found = Ensemble([Given(one), Given(other)], [PLAIN, HALVED], outputs=4)(torch.zeros(5))
    expected = np.zeros((5, 4))
    for logits, slope in ((one, 1.0), (other, 0.5)):
        ng = sigmoid(slope * logit_of_ng(logits).numpy())
        given_ng = softmax(logits.numpy()[:, 1:])
        expected += np.column_stack([1 - ng, ng[:, None] * given_ng]) / 2
    assert found.exp().numpy() == pytest.approx(expected, abs=1e-6)
    alone = Ensemble([Given(one), Given(other)], [PLAIN, HALVED])(torch.zeros(5))
    torch.testing.assert_close(logit_of_ng(found), alone)


def test_an_ensemble_may_have_members_with_other_outputs_but_then_names_no_types() -> None:
    one, three = torch.randn(5), torch.randn(5, 3)
    found = Ensemble([Given(one), Given(three)], [PLAIN, PLAIN])(torch.zeros(5))
    mean = (one.sigmoid() + logit_of_ng(three).sigmoid()) / 2
    torch.testing.assert_close(found.sigmoid(), mean)
    with pytest.raises(ValueError, match="outputs=3: expected members with as many outputs each"):
        Ensemble([Given(one), Given(three)], [PLAIN, PLAIN], outputs=3)
