"""Where the defects of a run's images are: in its own table, and after thresholds were chosen again."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from samples import compose_command

import fancnn
from fancnn.decide.decide import decide
from fancnn.decide.settings import DecideSettings
from fancnn.evaluate.evaluate import evaluate_run
from fancnn.evaluate.settings import EvaluateSettings
from fancnn.metrics.predictions import Prediction, read_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.stored_regions import with_regions


def boxes(rows: list[Prediction]) -> dict[str, list[tuple[int, ...]] | None]:
    return {row.path: None if row.regions is None else [one.box for one in row.regions] for row in rows}


def test_a_run_keeps_where_its_defects_are_as_evaluate_finds_them(cell_run: Path, tmp_path: Path) -> None:
    kept = [row for row in read_predictions(cell_run / "predictions.csv") if row.split == "test"]
    given = [f"run={cell_run}", "split=test", "device=cpu", f"output_dir={tmp_path}"]
    evaluate_run(compose_command("evaluate", EvaluateSettings, *given))
    found = read_predictions(tmp_path / "predictions.csv")
    assert boxes(found) == boxes(kept)
    assert {row.mm_per_pixel for row in found} == {0.1}
    assert {(row.decision == "GO", row.regions == ()) for row in found} == {(True, True), (False, False)}


def test_another_threshold_of_cells_is_kept_in_the_model_and_finds_other_boxes(cell_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(cell_run, tmp_path / "run"))
    decide(compose_command("decide", DecideSettings, f"run={run}", "decision.cell_threshold=1"))
    model, rows = fancnn.load(run), read_predictions(run / "predictions.csv")
    assert (model.cell_threshold, model.mm_per_pixel) == (1, 0.1)
    for row in rows:
        assert row.regions is not None
        assert [one.width for one in row.regions] == ([] if row.decision == "GO" else [4]), "the hottest cell alone"


def test_what_becomes_ng_gets_its_regions_and_what_becomes_go_loses_them(cell_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(cell_run, tmp_path / "run"))
    before = {row.path: row for row in read_predictions(run / "predictions.csv")}
    for threshold in (0, 1):
        decide(compose_command("decide", DecideSettings, f"run={run}", f"decision.threshold={threshold}"))
        rows = read_predictions(run / "predictions.csv")
        assert {bool(row.regions) for row in rows} == {threshold == 0}
        if threshold == 0:
            assert all(row.regions == before[row.path].regions for row in rows if before[row.path].regions)


@pytest.mark.parametrize("what", ["gone", "another"])
def test_an_image_that_is_no_more_what_it_was_has_no_known_place(
    what: str, cell_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    model = fancnn.load(cell_run)
    model.thresholds = Thresholds.single(0.0)
    if what == "another":
        (tmp_path / "a.png").write_bytes((image_folder / "NG/scratch/000.png").read_bytes())
    row = Prediction("a.png", 0.9, "NG", sha256="0" * 64)
    assert [found.regions for found in with_regions(model, [row], tmp_path)] == [None]
    if what == "another":  # one that nobody knows the bytes of is taken as it is
        assert with_regions(model, [replace(row, sha256="")], tmp_path)[0].regions


def test_a_model_without_cells_leaves_its_rows_as_they_are(trained_run: Path) -> None:
    rows = [Prediction("a.png", 0.9, "NG")]
    assert with_regions(fancnn.load(trained_run), rows, Path("/nowhere")) == rows
