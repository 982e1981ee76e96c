"""What is said of scores."""

import pytest

from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.metrics_file import split_metrics
from fancnn.runs.scoring import print_scores


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
    print_scores("made up", {"val": split_metrics(rows, Thresholds.single(0.5))})
    found = capsys.readouterr().out
    assert said in found
    assert ("worst defect type" in found) == bool(said)


def rows_of(thresholds: Thresholds, chances: list[float], group: str = "") -> dict[str, dict[str, object]]:
    rows = [
        Prediction(f"{i}.png", chance, label=i % 2, group=group and f"{group} {i // 4}")
        for i, chance in enumerate(chances)
    ]
    return {"test": split_metrics(rows, thresholds)}


def test_with_recheck_the_machine_alone_comes_first_and_the_person_is_a_condition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_scores("made up", rows_of(Thresholds(0.3, 0.7), [0.1, 0.9, 0.5, 0.5, 0.9, 0.9, 0.1, 0.6]))
    found = capsys.readouterr().out
    assert (
        found.index("decided by the machine alone")
        < found.index("accuracy of the machine alone")
        < found.index("accuracy, if the person is right")
    )
    assert "recall, if the person is right" in found
    assert "the machine decides 5 of 8 parts alone, a person 3" in found
    assert "scores marked 'if the person is right' take that person never to miss" in found


def test_who_sends_everything_to_a_person_is_not_told_to_be_perfect(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores("made up", rows_of(Thresholds(0, 1), [0.1, 0.9] * 4))
    found = capsys.readouterr().out
    assert "the machine decides 0 of 8 parts alone, a person 8; scores of its own decisions are undefined" in found
    lines = {line.split("\u2502")[1].strip(): line for line in found.splitlines() if "\u2502" in line}
    assert "0.0000" in lines["decided by the machine alone"]
    assert "undefined" in lines["accuracy of the machine alone"]
    assert "accuracy" not in lines


def test_without_recheck_scores_are_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores("made up", rows_of(Thresholds.single(0.5), [0.1, 0.9] * 4))
    found = capsys.readouterr().out
    assert "person" not in found
    assert "alone" not in found


def test_the_console_says_what_intervals_count(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores("made up", rows_of(Thresholds.single(0.5), [0.1, 0.9, 0.6, 0.4] * 8, "lot"))
    found = " ".join(capsys.readouterr().out.split())
    assert "intervals are for parts and rest on 8 groups, whose parts may be alike" in found
    assert "note: groups are few (NG parts of 8 and GO parts of 8)" in found
