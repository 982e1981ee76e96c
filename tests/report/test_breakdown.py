"""Bounds by defect type: the page says what `metrics.json` and the console say."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_run

from fancnn.metrics.predictions import Prediction
from fancnn.metrics.rounding import percent_at_most
from fancnn.report.breakdown import by_type
from fancnn.report.report_data import of_run
from fancnn.report.report_figures import figures_of
from fancnn.report.report_page import report_page
from fancnn.runs.scoring import print_scores


def in_groups(rows: list[Prediction]) -> list[Prediction]:
    return [replace(row, group=f"lot {i // 8}") for i, row in enumerate(rows)]


def with_an_unnamed_type(rows: list[Prediction]) -> list[Prediction]:
    return [
        replace(row, defect_type="") if row.defect_type == "stain" and i < 12 else row for i, row in enumerate(rows)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [list, in_groups, with_an_unnamed_type])
@pytest.mark.parametrize("chosen_on", ["val", "test"])
def test_page_console_and_file_state_the_same_bounds(
    shape: type, chosen_on: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = shape(rows_of(80, shift=1.0))
    about = {"decision": "the greatest F1, 0.9", "decision_split": chosen_on}
    run = write_run(tmp_path / "run", rows, searched=chosen_on, **about)
    stored = json.loads((run / "metrics.json").read_text())["splits"]["test"]
    material = of_run(run, None, None)
    shown = by_type(material.judged, material.thresholds, searched=material.searched)
    assert [(kind.name, kind.bound) for kind in shown] == [
        (item["defect_type"], item["bound"]) for item in stored["by_type"]
    ]
    unit = "group" if shape is in_groups else "part"
    assert {kind.escapes.unit for kind in shown} == {item["unit"] for item in stored["by_type"]} == {unit}
    page = report_page(material, figures_of(material))
    assert f"NG parts by type; the bound is of {unit}s" in page
    assert ("though the thresholds were chosen on these very images" in page) == (chosen_on == "test")
    print_scores("made up", {"test": stored})
    console = capsys.readouterr().out
    (said,) = re.findall(r"at most ([\d.]+ %) of (\w+)s, with 95 % confidence", console)
    worst = next(kind for kind in shown if kind.escapes.escapes)
    assert said == (percent_at_most(worst.bound), unit)
    assert f'<td class="figure">{said[0]}</td>' in page
