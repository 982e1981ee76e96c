import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fancnn.decisions.escape_claims import allowed_escapes, claim_unit, ng_evidence
from fancnn.decisions.lots import holds_by_lot
from fancnn.decisions.threshold_choice import threshold_for_escape_rate
from fancnn.errors import UserError

# NG parts in groups: probability in twentieths, and group
parts = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcdefghij")), min_size=1, max_size=40)


@given(st.integers(1, 500), st.sampled_from([0.005, 0.02, 0.1, 0.5]), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_escapes_that_are_allowed_are_the_most_whose_exact_bound_holds(
    count: int, rate: float, confidence: float
) -> None:
    allowed = allowed_escapes(count, rate, confidence)
    bounds = [stats.beta.ppf(confidence, k + 1, count - k) if k < count else 1.0 for k in (allowed, allowed + 1)]
    assert allowed < 0 or bounds[0] <= rate + 1e-9
    assert bounds[1] > rate - 1e-9


@given(parts, st.sampled_from([0.1, 0.3, 0.5, 0.8]), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_threshold_of_groups_is_the_largest_whose_claim_holds_and_passes_no_more_parts_than_asked(
    table: list[tuple[int, str]], rate: float, confidence: float
) -> None:
    scores, groups = np.array([score / 20 for score, _ in table]), [group for _, group in table]

    def holds(threshold: float) -> bool:
        escaped = {group for score, group in zip(scores, groups, strict=True) if score <= threshold}
        allowed = allowed_escapes(len(set(groups)), rate, confidence)
        return len(escaped) <= allowed and np.mean(scores <= threshold) <= rate

    reached = [level for level in np.arange(0, 20) / 20 if holds(level)]
    try:
        found = threshold_for_escape_rate(scores, rate, confidence, groups=groups, unit="group").thresholds.lower
    except UserError:
        assert not reached
    else:
        assert holds(found)
        assert np.sum(scores <= found) == np.sum(scores <= max(reached))  # no other threshold passes more


@given(parts, st.sampled_from([0.1, 0.3, 0.5, 0.8]), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_threshold_of_parts_in_groups_is_the_largest_whose_claim_holds(
    table: list[tuple[int, str]], rate: float, confidence: float
) -> None:
    scores, groups = np.array([score / 20 for score, _ in table]), [group for _, group in table]
    names = sorted(set(groups))

    def holds(threshold: float) -> bool:
        sizes = [groups.count(name) for name in names]
        passed = [sum(g == name and s <= threshold for s, g in zip(scores, groups, strict=True)) for name in names]
        return holds_by_lot(sizes, passed, rate, 40, confidence)

    reached = [level for level in np.arange(0, 20) / 20 if holds(level)]
    try:
        found = threshold_for_escape_rate(
            scores, rate, confidence, groups=groups, unit="part", largest_group=40
        ).thresholds.lower
    except UserError:
        assert not reached
    else:
        assert holds(found)
        assert np.sum(scores <= found) == np.sum(scores <= max(reached))


def test_parts_that_come_in_groups_are_not_counted_as_independent_unless_the_largest_group_is_known() -> None:
    groups = ["a", "a", "b"]
    with pytest.raises(
        UserError, match=r"decision.unit=part: 1 groups have several images.*decision.largest_group=..."
    ):
        claim_unit(groups, "part", None, "decision.")
    with pytest.raises(UserError, match="or give each image a group"):
        claim_unit([*groups, ""], None, None)
    with pytest.raises(UserError, match="unit=group needs a group for each image"):
        claim_unit([*groups, ""], "group", None)
    with pytest.raises(UserError, match="largest_group=3 is for unit=part"):
        claim_unit(groups, "group", 3)
    with pytest.raises(UserError, match="largest_group=3: these images name no groups"):
        claim_unit(["", ""], None, 3)
    with pytest.raises(UserError, match="largest_group=1: the group a has 2 NG parts"):
        ng_evidence([0.1, 0.2, 0.3], groups, "part", 1)
    assert claim_unit(groups, None, 3) == "part"
    assert claim_unit(groups, None, None) == "group"
    assert claim_unit(["a", "b"], "part", None) == "part"


def test_too_few_groups_are_told_with_the_number_needed() -> None:
    groups = [str(i // 10) for i in range(300)]
    with pytest.raises(
        UserError, match=r"30 groups with NG parts cannot prove .* of groups <= 1 % .*: 299 groups .* 9.51 %"
    ):
        threshold_for_escape_rate(np.linspace(0.5, 1, 300), 0.01, groups=groups)
    with pytest.raises(
        UserError, match=r"300 NG parts in 30 groups cannot prove .* of parts <= 1 % .*: 346 groups like"
    ):
        threshold_for_escape_rate(np.linspace(0.5, 1, 300), 0.01, groups=groups, largest_group=10)
