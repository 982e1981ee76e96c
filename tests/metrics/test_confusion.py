from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.thresholds import Thresholds


def test_confusion_counts_in_words() -> None:
    counts = ConfusionCounts.of([1, 1, 1, 0, 0], [0.9, 0.5, 0.51, 0.6, 0.5], Thresholds.single(0.5))
    assert (counts.ng_found, counts.escapes, counts.overkills, counts.go_passed) == (2, 1, 1, 1)
    assert counts.in_words() == "2 of 3 NG parts found, 1 escape; 1 of 2 GO parts passed, 1 overkill"
