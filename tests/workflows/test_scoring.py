"""What is said of scores."""

import pytest

from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.metrics_file import part_metrics
from fancnn.inspection.predictions import Prediction
from fancnn.workflows.scoring import tell_scores


@pytest.mark.parametrize(("stain", "said"), [(0.9, ""), (0.1, "worst defect type: stain, 1 of 2 escape")])
def test_the_worst_defect_type_is_one_that_escapes_or_none(
    stain: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chances = {"scratch": [0.9], "stain": [0.9, stain]}
    rows = [
        Prediction(f"{kind}{i}.png", chance, label=1, defect_type=kind)
        for kind, of_kind in chances.items()
        for i, chance in enumerate(of_kind)
    ]
    rows.append(Prediction("good.png", 0.1, label=0))
    tell_scores("made up", {"val": part_metrics(rows, Thresholds.single(0.5))})
    found = capsys.readouterr().out
    assert said in found
    assert ("worst defect type" in found) == bool(said)
