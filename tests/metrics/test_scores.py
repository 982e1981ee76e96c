import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from torch import nn

from fancnn.metrics.score_registry import monitorable_scores, score
from fancnn.metrics.thresholds import Thresholds
from fancnn.training.epoch_scores import epoch_scores

# probabilities from a coarse grid, so that ties and values at the threshold are common
tables = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 19).map(lambda i: i / 20)), min_size=1, max_size=60)


def scikit_learn(labels: list[int], chances: list[float], threshold: float) -> dict[str, float]:
    """The same scores by scikit-learn; NaN where undefined."""
    calls = [int(chance > threshold) for chance in chances]
    both, called_both = len(set(labels)) == 2, len(set(calls)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "loss": sk.log_loss(labels, chances, labels=[0, 1]),
            "accuracy": sk.accuracy_score(labels, calls),
            "precision": sk.precision_score(labels, calls, zero_division=math.nan),
            "recall": sk.recall_score(labels, calls, zero_division=math.nan),
            "f1": sk.f1_score(labels, calls, zero_division=math.nan),
            "specificity": sk.recall_score(labels, calls, pos_label=0, zero_division=math.nan),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, calls) if both else math.nan,
            "mcc": sk.matthews_corrcoef(labels, calls) if both and called_both else math.nan,
            "brier": sk.brier_score_loss(labels, chances, labels=[0, 1]),
            "auroc": sk.roc_auc_score(labels, chances) if both else math.nan,
            "average_precision": sk.average_precision_score(labels, chances) if 1 in labels else math.nan,
        }


@given(tables, st.sampled_from([0.25, 0.5, 0.7]))
def test_scores_are_scikit_learns_and_none_where_undefined(table: list[tuple[int, float]], threshold: float) -> None:
    labels, chances = [label for label, _ in table], [chance for _, chance in table]
    found = score(labels, chances, Thresholds.single(threshold))
    for name, expected in scikit_learn(labels, chances, threshold).items():
        if math.isnan(expected):
            assert found[name] is None, name
        else:
            assert found[name] == pytest.approx(expected, abs=1e-9), name


@given(tables)
def test_the_scores_of_an_epoch_are_those_of_the_prediction_table(table: list[tuple[int, float]]) -> None:
    labels, chances = [label for label, _ in table], [chance for _, chance in table]
    logits = torch.tensor(chances, dtype=torch.float64).logit()
    live = epoch_scores(logits, torch.tensor(labels, dtype=torch.float64), nn.BCEWithLogitsLoss(), 0.52)
    offline = score(labels, chances, Thresholds.single(0.52))
    for name in (*monitorable_scores(), "precision"):
        if offline[name] is None:
            assert name not in live
        else:
            assert live[name].item() == pytest.approx(offline[name], abs=1e-6), name


@given(tables)
def test_rates_are_the_complements_of_recall_and_specificity(table: list[tuple[int, float]]) -> None:
    found = score([label for label, _ in table], [chance for _, chance in table], Thresholds.single(0.5))
    for rate, of in (("escape_rate", "recall"), ("overkill_rate", "specificity")):
        assert (found[rate] is None) == (found[of] is None)
        assert found[rate] is None or found[rate] == pytest.approx(1 - found[of])  # type: ignore[operator]


def test_certain_and_wrong_costs_much_but_not_infinity() -> None:
    assert score([1], [0.0], Thresholds.single(0.5))["loss"] == pytest.approx(-math.log(1e-15))


def test_the_log_loss_of_a_large_logit_keeps_its_digits() -> None:
    chances = torch.tensor([20.0], dtype=torch.float64).sigmoid().numpy()
    expected = nn.functional.softplus(torch.tensor(20.0, dtype=torch.float64)).item()
    assert score(np.array([0]), chances, Thresholds.single(0.5))["loss"] == pytest.approx(expected, rel=1e-6)


def test_the_calibration_error_of_a_score_is_that_of_ten_bins() -> None:
    # 0.1 and 0.9 promised; 1 of 2 and 2 of 2 came true
    found = score([0, 1, 1, 1], [0.1, 0.1, 0.9, 0.9], Thresholds.single(0.5))
    assert found["calibration_error"] == pytest.approx((0.4 + 0.1) / 2)


def test_nothing_to_score_is_undefined_throughout() -> None:
    assert set(score([], [], Thresholds.single(0.5)).values()) == {None}


def test_what_the_machine_decides_alone_stands_beside_what_results_if_the_person_is_right() -> None:
    # 4 NG: 1 found, 1 passed, 2 to a person; 4 GO: 2 passed, 1 rejected, 1 to a person
    found = score([1, 1, 1, 1, 0, 0, 0, 0], [0.9, 0.1, 0.5, 0.6, 0.1, 0.2, 0.9, 0.5], Thresholds(0.3, 0.7))
    alone = {name.removeprefix("alone_"): value for name, value in found.items() if name.startswith("alone_")}
    assert alone == pytest.approx(
        {"accuracy": 3 / 5, "precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "specificity": 2 / 3}
    )
    assert (found["decided_rate"], found["recheck_rate"]) == (5 / 8, 3 / 8)
    assert (found["recheck_rate_ng"], found["recheck_rate_go"]) == (2 / 4, 1 / 4)
    assert (found["accuracy"], found["recall"], found["escape_rate"]) == (6 / 8, 3 / 4, 1 / 4)


def test_a_model_that_sends_everything_to_a_person_has_no_scores_of_its_own() -> None:
    found = score([1, 0, 1], [0.9, 0.1, 0.2], Thresholds(0, 1))
    assert (found["decided_rate"], found["recheck_rate"]) == (0, 1)
    assert {value for name, value in found.items() if name.startswith("alone_")} == {None}


@given(tables)
def test_without_recheck_the_machine_alone_is_all_there_is(table: list[tuple[int, float]]) -> None:
    found = score([label for label, _ in table], [chance for _, chance in table], Thresholds.single(0.5))
    assert found["decided_rate"] == 1
    for name in ("accuracy", "precision", "recall", "f1", "specificity"):
        assert found[f"alone_{name}"] == found[name], name
