import pytest
import torch
import torch.nn.functional as F

from fancnn.training.epoch_scores import epoch_scores


def test_mixed_labels_have_their_own_loss_and_are_scored_as_what_most_of_them_is() -> None:
    logits, shares = torch.tensor([-1.0, 0.5, 2.0, -2.0]), torch.tensor([0.3, 0.9, 0.6, 0.0])
    mixed = epoch_scores(logits, shares, F.binary_cross_entropy_with_logits, 0.5)
    whole = epoch_scores(logits, shares.round(), F.binary_cross_entropy_with_logits, 0.5)
    chances = logits.sigmoid()
    expected = -(shares * chances.log() + (1 - shares) * (1 - chances).log()).mean()
    assert mixed.pop("loss") == pytest.approx(expected.item(), abs=1e-6)
    del whole["loss"]
    assert mixed == whole
    assert mixed["accuracy"] == 1
