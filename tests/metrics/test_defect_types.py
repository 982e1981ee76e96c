from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from fancnn.metrics.cross_entropy import softmax
from fancnn.metrics.defect_types import guessed, naming
from fancnn.metrics.intervals import exact_interval
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds

NAMES = ("GO", "chip", "dent", "NG")
TYPES = ("chip", "dent", "stain")


@given(st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1))
def test_the_likeliest_type_does_not_depend_on_go(logits: list[list[float]]) -> None:
    found = guessed(logits, NAMES)
    of_all = softmax(logits)
    for guess, shares in zip(found, of_all, strict=True):
        assert guess.share == pytest.approx(shares[1:].max() / shares[1:].sum(), rel=1e-6)
        assert shares[NAMES.index(guess.name)] == pytest.approx(shares[1:].max())
    assert found == guessed(np.add(logits, [5, 0, 0, 0]), NAMES)


rows = st.lists(
    st.builds(
        Prediction,
        path=st.just("a"),
        probability=st.floats(0, 1),
        label=st.integers(0, 1),
        true_type=st.sampled_from(("", *TYPES)),
        found_type=st.sampled_from(TYPES),
    ),
    max_size=30,
)


@given(rows)
def test_the_confusion_is_scikit_learns_of_the_ng_parts_that_were_found(table: list[Prediction]) -> None:
    found = naming(table, Thresholds(0.3, 0.6))
    known = [row for row in table if row.label == 1 and row.true_type]
    assert (found is None) == (not known)
    if found is None:
        return
    seen = [row for row in known if (row.probability or 0) > 0.6]
    matrix = [[found.confusion.get(true, {}).get(name, 0) for name in TYPES] for true in TYPES]
    if seen:
        truth, said = [row.true_type for row in seen], [row.found_type for row in seen]
        assert matrix == confusion_matrix(truth, said, labels=TYPES).tolist()
    assert (found.right, found.of) == (np.trace(matrix), len(seen))
    assert set(found.confusion) == set(Counter(row.true_type for row in known))
    plain = found.to_dict()
    assert plain["share"] == (found.right / found.of if found.of else None)
    assert (plain["interval"] is None) == (found.of == 0)


def test_names_of_parts_of_few_lots_are_as_sure_as_the_lots() -> None:
    rows = [
        Prediction(
            f"{i}", 0.9, label=1, true_type="chip", found_type="chip" if i < 80 else "dent", group=f"lot {i // 10}"
        )
        for i in range(100)
    ]
    named = naming(rows, Thresholds.single(0.5))
    assert named is not None
    assert named.interval == exact_interval(8, 10)
